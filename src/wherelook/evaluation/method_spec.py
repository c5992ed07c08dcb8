"""What is compared: methods with their presets, and what is changed in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wherelook.attribution import METHODS, make_settings
from wherelook.errors import InputError


@dataclass(frozen=True)
class MethodSpec:
    """What is evaluated: a method with its preset, and what is changed in it.

    Attributes:
        method, preset: see `wherelook.attribution.METHODS`.
        overrides: (name, value) of settings to change.
        alpha: of the choice of words; None for that of the other runs.
        seed: added to the seed of the evaluation.

    Raises:
        InputError: an unknown method, preset or setting, or a value out of range; see
            `wherelook.attribution.make_settings`.
    """

    method: str
    preset: str = "best"
    overrides: tuple[tuple[str, str], ...] = ()
    alpha: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        make_settings(self.method, self.preset, dict(self.overrides))

    @property
    def name(self) -> str:
        """method:preset, and what is changed: igos+:best[l1=2]."""
        changes = [f"{key}={value}" for key, value in self.overrides]
        changes += [] if self.alpha is None else [f"alpha={self.alpha:g}"]
        changes += [f"seed={self.seed}"] if self.seed else []
        return f"{self.method}:{self.preset}" + (f"[{' '.join(changes)}]" if changes else "")

    @property
    def settings(self) -> Any:
        """The method's settings."""
        return make_settings(self.method, self.preset, dict(self.overrides))


def parse_methods(text: str) -> list[MethodSpec]:
    """Runs from "igos+:fast,rise"; without a preset it is best.

    Raises:
        InputError: an unknown method or preset, or none.
    """
    runs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        method, _, preset = part.partition(":")
        runs.append(MethodSpec(method, preset or "best"))
    if not runs:
        raise InputError(f"no methods in {text!r}; valid: {', '.join(METHODS)}")
    return list(dict.fromkeys(runs))


def sweep_methods(methods: Sequence[MethodSpec], values: Mapping[str, str]) -> list[MethodSpec]:
    """Each method as it is, then with one setting changed at a time.

    Args:
        methods: where the other settings stay.
        values: values separated by commas, by the name of the setting; "alpha" and "seed" are names too.

    Raises:
        InputError: an unknown name, or a value out of range.
    """
    every: list[MethodSpec] = []
    for one in methods:
        every.append(one)
        every += [_changed(one, name, text) for name, texts in values.items() for text in texts.split(",")]
    return list(dict.fromkeys(every))


def _changed(method: MethodSpec, name: str, text: str) -> MethodSpec:
    try:
        if name == "alpha":
            return replace(method, alpha=float(text))
        if name == "seed":
            return replace(method, seed=int(text))
    except ValueError:
        raise InputError(f"{name}={text!r} is not a number") from None
    return replace(method, overrides=((name, text.strip()),))
