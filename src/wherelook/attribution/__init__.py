"""Attribution methods: functions from a score function to a map. They know no model, tokenizer or data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, get_args, get_type_hints

from wherelook.attribution import controls, igos
from wherelook.types import Attribution, InputError, Passes, Size, unknown_name

__all__ = ["METHODS", "Method", "make_settings"]

PRESET_NAMES = ("best", "fast", "paper")


@dataclass(frozen=True)
class Method:
    """A method and what a user wants to know before running it.

    Attributes:
        run: (score, image, settings, *, seed, progress) -> Attribution; see `igos.igos_plus`.
        presets: settings by preset name.
        passes: (settings, image size) -> the most passes that they cost.
        summary: one line.
        source: paper and equation.
    """

    run: Callable[..., Attribution]
    presets: Mapping[str, Any]
    passes: Callable[[Any, Size], Passes]
    summary: str
    source: str


METHODS: Mapping[str, Method] = {
    "igos+": Method(
        igos.igos_plus,
        igos.PRESETS,
        partial(igos.passes, masks=1),
        "one optimised mask: deleting its region destroys the answer, inserting it restores it",
        "arXiv 2503.13891, section 3",
    ),
    "igos++": Method(
        igos.igos_plus_plus,
        igos.PRESETS,
        partial(igos.passes, masks=2),
        "two optimised masks, one for deletion and one for insertion; their product is the map",
        "arXiv 2012.15783",
    ),
    "random": Method(controls.random_map, controls.PRESETS, controls.passes, "control: seeded uniform noise", "-"),
    "center": Method(controls.center_map, controls.PRESETS, controls.passes, "control: a Gaussian on the centre", "-"),
}


def make_settings(method: str, preset: str = "best", overrides: Mapping[str, str | float] | None = None) -> Any:
    """The settings of a method's preset, with some of them changed.

    Args:
        method: a key of `METHODS`.
        preset: best, fast or paper.
        overrides: new values by name; text is read as the setting's own type.

    Raises:
        InputError: an unknown method, preset or setting, or a value of the wrong type or out of range.
    """
    if method not in METHODS:
        raise unknown_name("method", method, list(METHODS))
    presets = METHODS[method].presets
    if preset not in presets:
        raise unknown_name("preset", preset, list(PRESET_NAMES))
    settings = presets[preset]
    types = get_type_hints(type(settings))
    names = [field.name for field in fields(settings)]
    changes = {}
    for name, value in (overrides or {}).items():
        if name not in names:
            raise unknown_name(f"setting of {method}", name, names)
        changes[name] = _parse(name, value, types[name])
    return replace(settings, **changes)


def _parse(name: str, value: str | float, kind: Any) -> Any:
    choices = get_args(kind)
    text = str(value).strip()
    if choices:
        if text not in choices:
            raise unknown_name(f"value of {name}", text, choices)
        return text
    if kind is bool:
        words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
        if text.lower() not in words:
            raise InputError(f"setting {name}={text!r} is not true or false")
        return words[text.lower()]
    try:
        number = kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise InputError(f"setting {name}={text!r} is not {wanted}") from None
    if not math.isfinite(number):
        raise InputError(f"setting {name}={text!r} is not a finite number")
    return number
