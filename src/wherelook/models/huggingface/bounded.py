"""Renders chat templates in another process, of little memory and time.

A template is a program that comes with a model. The sandbox that it runs in keeps it from the machine, not from a loop
without end or a text of ten gigabytes.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

from wherelook.models.huggingface import template_trial

WALL_SECONDS = 60.0
"""Ends a trial where the system does not count the seconds that it computes."""

MOST_FAILED_STARTS = 2
"""After so many the process is not started again."""

VERDICTS = {
    "long": f"it writes more than {template_trial.LONGEST_TEXT:,} characters",
    "memory": f"it takes more than {template_trial.MEMORY / 1e6:,.0f} MB of memory",
    "time": f"it computes for more than {template_trial.CPU_SECONDS:g} seconds",
    "end": "it ends the process that renders it",
}


class FailureError(Exception):
    """A chat template that raised instead of writing; the text says what."""


class ExcessError(Exception):
    """A chat template that takes too much time or memory; the text says what."""


def render(template: str, variables: dict[str, Any]) -> str | None:
    """What a chat template writes; None where no process can be started to render it in.

    Args:
        template: Jinja's.
        variables: what it is given: plain types.

    Raises:
        FailureError: it raises.
        ExcessError: it takes too much.
    """
    answer = _worker.ask(json.dumps({"template": template, "variables": variables}, default=str))
    if "error" in answer:
        raise FailureError(answer["error"])
    if "excess" in answer:
        raise ExcessError(VERDICTS[answer["excess"]])
    return answer.get("text")


class _Worker:
    """The other process: started when it is first asked, and again after it ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = os.getpid()
        self._failed_starts = 0
        atexit.register(self.close)

    def ask(self, request: str) -> dict[str, str]:
        """Its answer, as `template_trial` describes it; nothing where it cannot be started."""
        with self._lock:
            try:
                return self._ask(request)
            except BaseException:  # Ctrl-C: the answer to come must not be taken for that to the next request
                self.close()
                raise

    def _ask(self, request: str) -> dict[str, str]:
        for _ in range(2):  # a process that others ended says nothing about the template
            process = self._running()
            if process is None:
                return {}
            try:
                answer = _exchange(process, request)
            except TimeoutError:
                self.close()
                return {"excess": "time"}
            if answer is not None:
                return answer
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            self.close()
            if hasattr(signal, "SIGPROF") and process.returncode == -signal.SIGPROF:
                return {"excess": "time"}
        return {"excess": "end"}

    def _running(self) -> subprocess.Popen[str] | None:
        """The process; None where none can be started."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        while self._failed_starts < MOST_FAILED_STARTS:
            self._process = _start()
            if self._process is not None:
                break
            self._failed_starts += 1
        return self._process

    def close(self) -> None:
        """Ends the process."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            _end(process)


def _start() -> subprocess.Popen[str] | None:
    """A process that is ready; None where it does not become so."""
    if not sys.executable or getattr(sys, "frozen", False):
        return None
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", template_trial.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
    except OSError:
        return None
    ready = False
    try:
        folders = [os.fsdecode(entry) for entry in sys.path if isinstance(entry, str | os.PathLike)]
        ready = _exchange(process, json.dumps(folders)) == template_trial.READY
    except TimeoutError:
        return None
    finally:
        if not ready:
            _end(process)
    return process if ready else None


def _exchange(process: subprocess.Popen[str], line: str) -> dict[str, str] | None:
    """Its answer to a line; None when it is gone.

    Raises:
        TimeoutError: it was ended because it took more than `WALL_SECONDS`.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(WALL_SECONDS, stop)
    timer.daemon = True
    timer.start()
    try:
        print(line, file=process.stdin, flush=True)
        answer = process.stdout.readline()
    except OSError:
        answer = ""
    finally:
        timer.cancel()
    if answer.endswith("\n"):
        return dict(json.loads(answer))
    if late.is_set():
        raise TimeoutError
    return None


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    with contextlib.suppress(OSError):  # the rest of a request that it did not read
        process.communicate()


_worker = _Worker()


def _begin_anew() -> None:
    """A forked process has a helper, and a lock, of its own."""
    global _worker  # noqa: PLW0603
    _worker = _Worker()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
