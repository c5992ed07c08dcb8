"""Real processes that start at once: copies of one that has imported what a command needs, which takes seconds.

For what a process is told while it works, how it ends, and what it leaves behind when it dies. How one starts from
nothing is the subject of `tests/e2e/test_process.py`.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any

import pytest

IMPORTED = ["wherelook.cli.app", "wherelook.evaluation.worker", "transformers.models.auto.modeling_auto"]


@contextlib.contextmanager
def without_test_only() -> Iterator[None]:
    """New processes cannot do with the torchvision that only the tests see: tests/torchvision_stub.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [folder for folder in sys.path if Path(folder).name != "test-only"])
        yield


def prepared() -> multiprocessing.context.ForkServerContext:
    """Where such processes come from. It has no threads that a copy of it would lack."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return context


@contextlib.contextmanager
def spawned_at_once() -> Iterator[None]:
    """Whoever spawns a process is given such a copy."""
    with without_test_only(), pytest.MonkeyPatch.context() as patch:
        context = prepared()
        patch.setattr(multiprocessing, "get_context", lambda method: context)
        yield


class Command:
    """`wherelook`, or a program, in a process of its own.

    Args:
        line: its arguments.
        folder: where it runs.
        prepare: called in the process before the command.
        program: what to run instead of the command.
    """

    def __init__(
        self,
        line: tuple[object, ...],
        folder: Path,
        prepare: Callable[[], None] | None = None,
        *,
        program: str | None = None,
    ) -> None:
        self.files = [folder.parent / f"{folder.name}-{name}" for name in ("output", "errors")]
        given = [str(word) for word in line], folder, self.files, dict(os.environ), prepare, program
        with without_test_only():
            self.process: BaseProcess = prepared().Process(target=_run, args=given)
            self.process.start()

    def wait(self, seconds: float) -> tuple[int | None, str, str]:
        """Exit code, standard output and standard error; the code is None after so many seconds without an end."""
        self.process.join(seconds)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            self.process.join()
        return code, *(file.read_text(encoding="utf-8") for file in self.files)


def _run(
    words: list[str],
    folder: Path,
    files: list[Path],
    environment: dict[str, str],
    prepare: Callable[[], None] | None,
    program: str | None,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(number, "w", False), "utf-8") for number in (1, 2))
    os.chdir(folder)
    sys.argv = ["wherelook", *words]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from wherelook.cli import main

    if prepare is not None:
        prepare()
    if program is None:
        main()
    else:
        exec(program, {"__name__": "__main__"})


def killed_at_piece(number: int) -> None:
    """The process is killed when it has written half of the piece that is this one of all that it writes, from 1."""
    from wherelook import storage

    put, pieces = storage.put, []

    def half(file: IO[Any], data: Any) -> Any:
        pieces.append(data)
        if len(pieces) == number:
            put(file, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return put(file, data)

    storage.put = half
