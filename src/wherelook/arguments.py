"""Types of arguments that users give in Python: the plain value, or one line that says what was expected."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wherelook.errors import InputError

LARGEST = 2**62
"""Of whole numbers, seeds too: what the generators of numpy and PyTorch take."""


ALPHA = 1.0
"""Nats of likelihood that a word loses without the image to count as visually grounded [paper]."""

FLIP_FLOOR = 0.2
"""Nats. A word that the baseline turns into another one is visually grounded from here on: see `tokens.select`."""

STEPS = 50
"""Points of the deletion and insertion curves unless another number is asked for: one number everywhere."""

TEXT_LIMIT = 8000
"""Characters of a question or an answer."""


def expected(name: str, what: str, got: Any) -> InputError:
    """The error for an argument of another kind than `what`."""
    return InputError(f"{name} is {what}; got {shown(got)}")


def shown(value: Any) -> str:
    """A value for a message: short ones as they are written, of others the type."""
    if value is None or isinstance(value, str | bool | int | float):
        try:
            text = repr(value)
        except ValueError:  # whole numbers of thousands of digits
            text = ""
        if 0 < len(text) <= 60:
            return text
    return f"a value of type {type(value).__name__}"


def text(name: str, value: Any) -> str:
    """A text, else InputError."""
    if not isinstance(value, str):
        raise expected(name, "text", value)
    return str(value)


def whole(name: str, value: Any) -> int:
    """A whole number of Python or numpy as Python's, else InputError; truth values are none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or abs(int(value)) > LARGEST:
        raise expected(name, "a whole number", value)
    return int(value)


def number(name: str, value: Any) -> float:
    """A real number as a float, else InputError; one that is too large is infinite."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise expected(name, "a number", value)
    try:
        return float(value)
    except OverflowError:  # whole numbers of hundreds of digits
        return math.inf


def truth_value(name: str, value: Any) -> bool:
    """True or False, of numpy too, else InputError."""
    if not isinstance(value, bool | np.bool_):
        raise expected(name, "True or False", value)
    return bool(value)


def check_text(name: str, text: str, *, limit: int = TEXT_LIMIT) -> None:
    """Raises InputError unless there is something to read, not too long, that can be written as UTF-8."""
    if not text.strip():
        raise InputError(f"the {name} is empty")
    if len(text) > limit:
        raise InputError(f"the {name} has {len(text)} characters; the limit is {limit}")
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no text
        raise InputError(f"the {name} {ascii(text)[:100]} is not text in UTF-8") from None


@dataclass(frozen=True)
class Option:
    """What the command line says of a field of a configuration, and how it reads it.

    Attributes:
        help: one line or two.
        flag: its name there; None for that of the field.
        metavar: what stands for the value; None for the type's.
        least, most: of a number.
        kind: type of the text or number that is typed; None for that of the field.
        parse: makes the field's value of the values of an option that can be repeated.
    """

    help: str
    flag: str | None = None
    metavar: str | None = None
    least: float | None = None
    most: float | None = None
    kind: Any = None
    parse: Callable[[Sequence[str]], Any] | None = None


def option(default: Any, help: str, **more: Any) -> Any:
    """A field of a configuration with what the command line says of it; see `Option`."""
    return field(default=default, metadata={"option": Option(help, **more)})


def key_values(pairs: Sequence[str], *, option: str = "--set", example: str = "iterations=8") -> dict[str, str]:
    """KEY=VALUE pairs as a mapping."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise InputError(f"{option} {pair!r}: expected KEY=VALUE, for example {option} {example}")
        settings[key.strip()] = value.strip()
    return settings
