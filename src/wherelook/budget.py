"""The most that an explanation may cost, known before it starts."""

from __future__ import annotations

from typing import Any

from wherelook.attribution import METHODS, make_settings
from wherelook.explain import FALLBACK
from wherelook.metrics.deletion_insertion import STEPS
from wherelook.request import AUTO_BASELINES
from wherelook.score import Size

OPENING = 5
"""The answer, its tokens, the image, and the answer to the baseline with its tokens."""


def most_requests(
    method: str,
    settings: Any,
    image_size: Size,
    *,
    replay_steps: int | None,
    baseline: str,
    baseline_image: bool,
) -> int:
    """The most requests that an explanation sends to an endpoint, maps of single tokens apart.

    Args:
        method, settings: of `wherelook.attribution.METHODS`.
        image_size: (height, width).
        replay_steps, baseline: as in `Explainer.explain`.
        baseline_image: whether there is one.
    """
    baselines = len(AUTO_BASELINES) + baseline_image if baseline == "auto" else 1
    map_passes = METHODS[method].passes(settings, image_size).forward
    fallback_settings = make_settings(FALLBACK, "fast")
    fallback = METHODS[FALLBACK].passes(fallback_settings, image_size).forward + 1
    steps = STEPS if replay_steps is None else replay_steps
    # Two curves with either of two baselines, and the second baseline itself.
    replays = 4 * (steps - 1) + 1 if steps else 0
    return OPENING + baselines + max(map_passes + replays, map_passes + fallback)
