"""Runs inputs of a target, each from its own seed: any of them can be made again, and none may do more than be refused.

An input passes if it is read, or refused with an error of `wherelook.errors`. Anything else is a failure: another
exception, more than `LONGEST` seconds, or memory without a bound.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from wherelook.errors import WherelookError

LONGEST = 10.0
"""Seconds that one input may take."""


class HangError(BaseException):
    """An input took too long. Not an `Exception`, which code under test may catch."""


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        name: of it.
        make: (generator) -> an input.
        run: (input, an empty folder) -> None; reads it.
        share: how many inputs of this reader are tried for one of another: slow ones get fewer.
    """

    name: str
    make: Callable[[Random], Any]
    run: Callable[[Any, Path], object]
    share: float = 1.0


@dataclass(frozen=True)
class Failure:
    """An input that did more than be refused: `--target NAME --first NUMBER --count 1` makes it again."""

    target: str
    number: int
    what: str
    made: Any


@dataclass
class Tally:
    """What happened to the inputs of a target."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    failures: list[Failure] = field(default_factory=list)


def run(target: Target, first: int, count: int, folder: Path, *, seconds: float | None = None) -> Tally:
    """Tries inputs `first` to `first + count` of a target, or those for which `seconds` suffice."""
    tally, started = Tally(), time.monotonic()
    for number in range(first, first + count):
        if seconds is not None and time.monotonic() - started > seconds:
            break
        made = target.make(Random(f"{target.name}/{number}"))
        place = folder / "input"
        place.mkdir(exist_ok=True)
        began = time.monotonic()
        try:
            with _bounded():
                target.run(made, place)
            tally.read += 1
        except WherelookError as error:
            tally.refused += 1
            if "\n" in str(error).strip() or not str(error).strip():
                tally.failures.append(Failure(target.name, number, f"no single line: {str(error)!r}", made))
        except (Exception, HangError):
            tally.failures.append(Failure(target.name, number, traceback.format_exc(limit=-4), made))
        tally.slowest = max(tally.slowest, time.monotonic() - began)
    return tally


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    def late(*_: object) -> None:
        raise HangError(f"over {LONGEST:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def limit_memory(extra: int) -> None:
    """No more than `extra` bytes of address space beyond what the process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + extra,) * 2)


def peak_memory() -> int:
    """Bytes of memory that the process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
