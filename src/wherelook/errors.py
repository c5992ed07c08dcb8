"""Errors that a user sees. Nothing heavy is imported here: the command line starts with it."""

from __future__ import annotations

import errno
from collections.abc import Sequence

FAILED, BAD_USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
"""Exit codes of every command: it failed, the input is at fault, the user or the system ended it."""


class WherelookError(Exception):
    """Something failed. One clear line: what, what was expected, how to fix it."""

    exit_code = FAILED


class InputError(WherelookError):
    """The user's input or usage is at fault."""

    exit_code = BAD_USAGE


class EmptyAnswerError(WherelookError):
    """The model answers with nothing."""


class UnfinishedThoughtError(WherelookError):
    """A model's thought did not come to its end, so that there is no answer to explain.

    Attributes:
        reasoning: what there is of the thought.
    """

    def __init__(self, message: str, reasoning: str = "") -> None:
        super().__init__(message)
        self.reasoning = reasoning


class UnavailableError(WherelookError):
    """Who is asked cannot answer this or any other question: a server that is gone, or does not let us in.

    Over many samples it ends the work, and what is finished is kept; any other error is one sample's.
    """


class UnusableError(InputError, UnavailableError):
    """The same, where what the user gave is at fault: an address, a key, a model's name."""


def unknown_name(kind: str, name: str, valid: Sequence[str]) -> InputError:
    """The error for a name that does not exist: it lists the names that do."""
    return InputError(f"unknown {kind} {name!r}; valid: {', '.join(valid)}")


DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors of a disk that has no room."""


def machine_failure(error: BaseException) -> str | None:
    """What to tell about an error of the machine, which is no defect of ours: memory, disk, permissions.

    Returns:
        One line; None for any other error.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # the second is torch's
        return (
            "out of memory: use a smaller image or model, --dtype bfloat16, a smaller --batch-size, or a device with "
            "more memory"
        )
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        if error.errno in DISK_FULL:
            return f"the disk is full ({place}{error.strerror}); what is finished is kept: make room and run it again"
        return f"a file cannot be used ({place}{error.strerror})"
    return None


EXTRAS = {"hub": "datasets>=4.4", "quantized": "bitsandbytes>=0.49", "ray": "ray>=2.50"}
"""What the extras of pyproject.toml stand for."""


def how_to_install(extra: str) -> str:
    """The commands that bring what an extra stands for, whether or not wherelook came from a package index."""
    return f"pip install '{EXTRAS[extra]}', or in a checkout of wherelook: pip install -e '.[{extra}]'"
