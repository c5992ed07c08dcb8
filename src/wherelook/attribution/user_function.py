"""A method that is the user's own function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.attribution.method import Method
from wherelook.errors import InputError
from wherelook.registry import called, check_call, first_line
from wherelook.score import AnswerScore, Attribution, Passes, Progress

PROTOCOL = "(score, image, settings, *, seed, progress)"
EXPECTED = "expected a map (rows, columns) or an Attribution"


def own_method(function: Callable[..., Any], presets: Sequence[str]) -> Method:
    """The method that a function makes.

    Args:
        function: called as function(score, image, settings, seed=..., progress=...): `score` is a
            `wherelook.score.AnswerScore`, `image` (3, height, width) in [0, 1], `settings` a mapping of what the user
            set. It returns an `Attribution`, or a map (rows, columns) of numbers from 0 up, as a tensor or an array.
            The map is scaled so that its largest value is 1.
        presets: names that are accepted; all mean the same.

    Raises:
        InputError: the function does not take these arguments.
    """
    name = called(function)
    check_call("method", function, PROTOCOL, None, None, {}, seed=0, progress=None)
    return Method(
        run=partial(_run, function, name),
        presets={preset: {} for preset in presets},
        passes=lambda settings, size: Passes(),
        summary=first_line(function),
        source="-",
    )


def _run(
    function: Callable[..., Any],
    name: str,
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: Any,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    found = function(score, image, settings, seed=seed, progress=progress)
    attribution = found if isinstance(found, Attribution) else Attribution(_map(found, name))
    saliency = _map(attribution.saliency, name)
    return replace(attribution, saliency=saliency / saliency.max() if saliency.any() else saliency)


def _map(value: Any, name: str) -> Tensor:
    saliency = torch.from_numpy(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value
    if not isinstance(saliency, Tensor):
        raise InputError(f"method {name!r} returned a {type(value).__name__}; {EXPECTED}")
    if saliency.ndim != 2 or 0 in saliency.shape or saliency.is_complex():
        raise InputError(f"method {name!r} returned a tensor of shape {tuple(saliency.shape)}; {EXPECTED}")
    saliency = saliency.detach().to("cpu", torch.float32)
    if not saliency.isfinite().all() or saliency.min() < 0:
        raise InputError(f"method {name!r} returned a map with values that are negative or not finite")
    return saliency
