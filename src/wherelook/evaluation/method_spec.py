"""What is compared: methods with their presets, and what is changed in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wherelook.arguments import key_values
from wherelook.attribution import METHODS, make_settings, method_name, split_method
from wherelook.errors import InputError

if TYPE_CHECKING:
    from wherelook.config import MethodLike


@dataclass(frozen=True)
class MethodSpec:
    """What is evaluated: a method with its preset, and what is changed in it.

    Attributes:
        method: see `wherelook.config.ExplainConfig`.
        preset: of those that it has.
        overrides: (name, value) of settings to change.
        alpha: of the choice of words; None for that of the other runs.
        seed: added to the seed of the evaluation.

    Raises:
        InputError: an unknown method, preset or setting, or a value out of range; see
            `wherelook.attribution.make_settings`.
    """

    method: MethodLike
    preset: str = "best"
    overrides: tuple[tuple[str, str], ...] = ()
    alpha: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        make_settings(self.method, self.preset, dict(self.overrides))

    @property
    def name(self) -> str:
        """method:preset, and what is changed: guided-igos:best[l1=2]."""
        changes = [f"{key}={value}" for key, value in self.overrides]
        changes += [] if self.alpha is None else [f"alpha={self.alpha:g}"]
        changes += [f"seed={self.seed}"] if self.seed else []
        return f"{method_name(self.method)}:{self.preset}" + (f"[{' '.join(changes)}]" if changes else "")

    @property
    def settings(self) -> Any:
        """The method's settings."""
        return make_settings(self.method, self.preset, dict(self.overrides))


def parse_methods(text: str) -> list[MethodSpec]:
    """Runs from "guided-igos:fast,rise"; what is changed stands in brackets, as in the name of a run.

    Without a preset it is best, or the only one that the method has.

    Raises:
        InputError: an unknown method or preset, or none.

    Example:
        >>> [run.name for run in parse_methods("rise,guided-igos:best[masks=2 verify=0]")]
        ['rise:best', 'guided-igos:best[masks=2 verify=0]']
    """
    runs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, bracket, changes = part.removesuffix("]").partition("[")
        if bool(bracket) != part.endswith("]"):
            raise InputError(f"method {part!r}: expected NAME[:PRESET], or NAME[:PRESET][KEY=VALUE ...]")
        run = MethodSpec(*split_method(name))
        for key, value in key_values(changes.split(), option=name, example="l1=2").items():
            run = _changed(run, key, value)
        runs.append(run)
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
    return replace(method, overrides=(*method.overrides, (name, text.strip())))
