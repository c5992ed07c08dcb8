"""Errors that a user sees. Nothing is imported here: the command line starts with it."""

from __future__ import annotations

from collections.abc import Sequence


class WherelookError(Exception):
    """Something failed. One clear line: what, what was expected, how to fix it."""

    exit_code = 1


class InputError(WherelookError):
    """The user's input or usage is at fault."""

    exit_code = 2


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
