"""What can be wrong with a request, whatever the model and the image: found before either costs anything."""

from __future__ import annotations

import math

from wherelook.arguments import check_text
from wherelook.baselines import BASELINES, OTHER_IMAGE
from wherelook.errors import InputError, unknown_name

AUTO_BASELINES = ("blur", "mean", "strong-blur")
"""What the baseline "auto" tries: the first one; if no word of the answer rests on that difference, of the others the
one with the largest score gap; another image, if one is given, where none of these shows a relevant word either. Noise
is not among them: a model shown noise leaves what it was trained on, and any word may then change."""

PER_TOKEN_WORDS = 8
"""Of a long answer, words that get maps of their own unless more are asked for."""

REASONING_LIMIT = 1_000_000
"""Characters of a given thought: thinking models write long ones."""

TEXT_LIMIT = 8000
STEPS_LIMIT = 500


def check_request(
    question: str,
    *,
    answer: str | None,
    baseline: str,
    alpha: float,
    max_new_tokens: int,
    replay_steps: int | None = None,
    baseline_image: bool = False,
) -> None:
    """Raises InputError for the first thing that is wrong.

    The arguments are those of `Explainer.explain`; `baseline_image` is whether there is one.
    """
    check_text("question", question)
    if answer is not None:
        check_text("answer", answer)
    if baseline not in ("auto", *BASELINES, OTHER_IMAGE):
        raise unknown_name("baseline", baseline, ("auto", *BASELINES, OTHER_IMAGE))
    if baseline == OTHER_IMAGE and not baseline_image:
        raise InputError(f"the baseline {OTHER_IMAGE!r} is another image: give one (baseline_image, --baseline-image)")
    if baseline_image and baseline not in ("auto", OTHER_IMAGE):
        raise InputError(f"a baseline image goes with the baseline {OTHER_IMAGE!r} or 'auto'; got {baseline!r}")
    if not 0 <= alpha < math.inf:
        raise InputError(f"alpha is a number of nats from 0 up; got {alpha}")
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is at least 1; got {max_new_tokens}")
    if replay_steps is not None and replay_steps != 0:
        check_replay_steps(replay_steps)


def check_replay_steps(replay_steps: int) -> None:
    """Raises InputError unless curves of so many steps can be made."""
    if not 2 <= replay_steps <= STEPS_LIMIT:
        raise InputError(f"replay steps are 0 (no replay) or at least 2 and at most {STEPS_LIMIT}; got {replay_steps}")
