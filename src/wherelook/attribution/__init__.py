"""Attribution methods: functions from a score function to a map. They know no model, tokenizer or data set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from typing import Any, get_args, get_type_hints

from wherelook.arguments import expected
from wherelook.attribution import (
    attention,
    controls,
    grad_cam,
    gradients,
    greedy,
    guided_igos,
    igos,
    igos_plus,
    logit_lens,
    occlusion,
    rise,
)
from wherelook.attribution.method import Method
from wherelook.attribution.user_function import own_method
from wherelook.errors import InputError, unknown_name
from wherelook.registry import Registry, called

__all__ = [
    "FALLBACK",
    "METHODS",
    "Method",
    "check_forward_only",
    "find_method",
    "make_settings",
    "method_name",
    "plain_settings",
    "split_method",
]

PRESET_NAMES = ("best", "fast", "paper")

INSIDE = "image tokens in a decoder"

FALLBACK = "occlusion"
"""What makes a map where the score gap is too small for the method that was asked for."""

_OURS: Mapping[str, Method] = {
    "guided-igos": Method(
        run=guided_igos.guided_igos,
        presets=guided_igos.PRESETS,
        passes=guided_igos.passes,
        summary="the objective of igos+ from a gradient; the map is then smoothed, checked, and ranked to its end",
        source="this project: docs/fidelity.md",
    ),
    "igos+": Method(
        run=igos_plus.igos_plus,
        presets=igos_plus.PRESETS,
        passes=partial(igos_plus.passes, masks=1),
        summary="one optimized mask: deleting its region destroys the answer, inserting it restores it",
        source="arXiv 2503.13891, section 3",
    ),
    "igos++": Method(
        run=igos_plus.igos_plus_plus,
        presets=igos_plus.PRESETS,
        passes=partial(igos_plus.passes, masks=2),
        summary="two optimized masks, one for deletion and one for insertion; their product is the map",
        source="arXiv 2012.15783",
    ),
    "igos": Method(
        run=igos.igos,
        presets=igos.PRESETS,
        passes=igos.passes,
        summary="one mask for deletion, along integrated gradients with a backtracking line search",
        source="arXiv 1905.00954",
    ),
    "gradient": Method(
        run=gradients.gradient,
        presets=gradients.GRADIENT_PRESETS,
        passes=gradients.one_pass,
        summary="magnitude of the gradient by the pixels",
        source="arXiv 1312.6034",
    ),
    "gradient-x-input": Method(
        run=gradients.gradient_x_input,
        presets=gradients.GRADIENT_X_INPUT_PRESETS,
        passes=gradients.one_pass,
        summary="gradient by the pixels times their difference from the baseline",
        source="arXiv 1605.01713",
        fixed_masks=True,
    ),
    "integrated-gradients": Method(
        run=gradients.integrated_gradients,
        presets=gradients.INTEGRATED_PRESETS,
        passes=gradients.integrated_passes,
        summary="gradient times difference, averaged along the path from the baseline",
        source="arXiv 1703.01365, equation 1",
        fixed_masks=True,
    ),
    "smoothgrad": Method(
        run=gradients.smoothgrad,
        presets=gradients.SMOOTH_PRESETS,
        passes=gradients.smooth_passes,
        summary="gradient averaged over noisy copies of the image",
        source="arXiv 1706.03825",
        fixed_masks=True,
    ),
    "occlusion": Method(
        run=occlusion.occlusion,
        presets=occlusion.PRESETS,
        passes=occlusion.passes,
        summary="what the answer loses when a sliding window is replaced by the baseline",
        source="arXiv 1311.2901, section 4.2",
    ),
    "strips": Method(
        run=occlusion.strips,
        presets=occlusion.STRIP_PRESETS,
        passes=occlusion.strip_passes,
        summary="occlusion of whole rows and columns; the map is the product of the two profiles",
        source="strip probe, after AnswerMap",
    ),
    "rise": Method(
        run=rise.rise,
        presets=rise.PRESETS,
        passes=rise.passes,
        summary="mean of random masks, weighted by the answer's probability under each",
        source="arXiv 1806.07421, equation 6",
    ),
    "greedy": Method(
        run=greedy.greedy,
        presets=greedy.PRESETS,
        passes=greedy.passes,
        summary=(
            "full greedy search: the region that brings most when shown and costs most when removed, again and again"
        ),
        source="arXiv 2509.22496 (EAGLE)",
    ),
    "greedy-window": Method(
        run=greedy.greedy_window,
        presets=greedy.WINDOW_PRESETS,
        passes=greedy.window_passes,
        summary="greedy search that tries only the most promising regions and stops when they hold the answer",
        source="arXiv 2511.10914 (PhaseWin), objective of arXiv 2509.22496",
    ),
    "attention": Method(
        run=attention.attention,
        presets=attention.PRESETS,
        passes=attention.passes,
        summary="attention of the answer to image tokens, mean over layers and heads",
        source="raw attention",
        needs=INSIDE,
    ),
    "rollout": Method(
        run=attention.rollout,
        presets=attention.PRESETS,
        passes=attention.passes,
        summary="attention multiplied through the layers",
        source="arXiv 2005.00928, section 3",
        needs=INSIDE,
    ),
    "relative-attention": Method(
        run=attention.relative_attention,
        presets=attention.RELATIVE_PRESETS,
        passes=partial(attention.passes, forward=1 + attention.ASK_AGAIN),
        summary="attention divided by that to a general question",
        source="arXiv 2502.17422, section 4",
        needs=INSIDE,
    ),
    "relevancy": Method(
        run=attention.relevancy,
        presets=attention.PRESETS,
        passes=partial(attention.passes, backward=1),
        summary="attention weighted by its gradient, through the layers",
        source="arXiv 2103.15679, equations 5 and 6",
        needs=INSIDE,
    ),
    "grad-cam": Method(
        run=grad_cam.grad_cam,
        presets=grad_cam.PRESETS,
        passes=partial(attention.passes, backward=1),
        summary="hidden states of a language layer, weighted by their gradient",
        source="arXiv 1610.02391, equations 1 and 2",
        needs=INSIDE,
    ),
    "logit-lens": Method(
        run=logit_lens.logit_lens,
        presets=logit_lens.PRESETS,
        passes=attention.passes,
        summary="what image tokens would say, less interference",
        source="after arXiv 2506.23270, simplified",
        needs=INSIDE,
    ),
    "random": Method(
        run=controls.random_map,
        presets=controls.PRESETS,
        passes=controls.passes,
        summary="control: seeded uniform noise",
        source="-",
    ),
    "center": Method(
        run=controls.center_map,
        presets=controls.PRESETS,
        passes=controls.passes,
        summary="control: a Gaussian on the center",
        source="-",
    ),
    "edges": Method(
        run=controls.edge_map,
        presets=controls.PRESETS,
        passes=controls.passes,
        summary="control: edge density of the image",
        source="arXiv 1810.03292",
    ),
}


def _method(name: str, found: Any) -> Method:
    if isinstance(found, Method):
        return found
    if callable(found):
        return own_method(found, PRESET_NAMES)
    raise expected(f"method {name!r}", "a Method or a function (score, image, settings, *, seed, progress)", found)


METHODS: Registry[Method] = Registry("method", "wherelook.methods", _OURS, _method)
"""By name. Other packages add theirs by an entry point of the group wherelook.methods."""

RENAMED = {f"{name}:{preset}": "guided-igos" for name in ("igos+", "igos++") for preset in ("best", "fast")}
"""What presets of earlier versions are called now."""


def split_method(method: Any, preset: str | None = None) -> tuple[Any, str]:
    """A method and its preset, which may stand in its name: METHOD[:PRESET].

    Args:
        method: as `find_method` takes it.
        preset: None for that of the name, else "best", or the first that the method has.

    Raises:
        InputError: an unknown method, one that has no such preset, or a preset that is given twice.

    Example:
        >>> split_method("rise:fast"), split_method("igos+")
        (('rise', 'fast'), ('igos+', 'paper'))
    """
    if isinstance(method, str):
        name, colon, own = method.partition(":")
        if colon and preset not in (None, own):
            raise InputError(f"the preset is given twice: {method!r} and {preset!r}")
        if colon:
            method, preset = name, own
    presets = find_method(method).presets
    if preset is None:
        preset = "best" if "best" in presets else next(iter(presets))
    check_preset(method, preset)
    return method, preset


def check_preset(method: Any, preset: str) -> None:
    """Raises InputError unless the method has this preset."""
    presets = find_method(method).presets
    if preset in presets:
        return
    name = method_name(method)
    if f"{name}:{preset}" in RENAMED:
        raise InputError(
            f"{name} has the paper's constants alone now; {name}:{preset} of earlier versions is called "
            f"{RENAMED[f'{name}:{preset}']}:{preset}"
        )
    raise unknown_name(f"preset of {name}", preset, list(presets))


def find_method(method: Any) -> Method:
    """The method of a name; a `Method` is itself, a function becomes one.

    Raises:
        InputError: an unknown name, something else than these, or a function that cannot be called as a method.
    """
    if isinstance(method, str):
        return METHODS.find(method)
    if not isinstance(method, Method) and not callable(method):
        raise expected(
            "method", "a name of `wherelook methods` or a function (score, image, settings, *, seed, progress)", method
        )
    return _method(method_name(method), method)


def method_name(method: Any) -> str:
    """What a record calls a method: its name here, or that of the function."""
    if isinstance(method, str):
        return method
    return METHODS.name_of(method) or called(method.run if isinstance(method, Method) else method)


def make_settings(method: Any, preset: str = "best", overrides: Mapping[str, str | float] | None = None) -> Any:
    """The settings of a method's preset, with some of them changed.

    Args:
        method: a key of `METHODS`, a `Method`, or a function, whose settings are a plain mapping.
        preset: best, fast or paper, of those that the method has.
        overrides: new values by name; text is read as the setting's own type.

    Raises:
        InputError: an unknown method, preset or setting, or a value of the wrong type or out of range.
    """
    presets = find_method(method).presets
    check_preset(method, preset)
    if isinstance(presets[preset], Mapping):
        return {**presets[preset], **(overrides or {})}
    method = method_name(method)
    settings = presets[preset]
    types = get_type_hints(type(settings))
    names = [field.name for field in fields(settings)]
    changes = {}
    for name, value in (overrides or {}).items():
        if name not in names:
            raise unknown_name(f"setting of {method}", name, names)
        changes[name] = _parse(name, value, types[name])
    return replace(settings, **changes)


def plain_settings(settings: Any) -> dict[str, Any]:
    """The settings of a method by name."""
    return dict(settings) if isinstance(settings, Mapping) else asdict(settings)


def check_forward_only(method: Any) -> None:
    """Raises InputError unless the method works with log-probabilities alone, which is what an endpoint tells."""
    found = find_method(method)
    if not found.forward_only:
        reason = "gradients" if found.needs == "-" else found.needs
        valid = ", ".join(name for name, other in METHODS.items() if other.forward_only)
        raise InputError(
            f"method {method_name(method)!r} needs {reason}, and an endpoint tells log-probabilities alone; "
            f"valid with one: {valid}"
        )


def _parse(name: str, value: str | float, kind: Any) -> Any:
    choices = get_args(kind)
    try:
        text = str(value).strip()
    except ValueError:  # a whole number of thousands of digits
        raise InputError(f"setting {name} is too large") from None
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
