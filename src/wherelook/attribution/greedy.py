"""Greedy region search: add the region whose showing, and whose removal, does most to the answer; again and again.

With V all regions, s(S) the geometric mean of the probabilities of the selected tokens when only S is shown on the
baseline (exp of the mean log-probability), the set S grows by the region that maximizes

    F(S) = s(S) + 1 - s(V - S)          insight (what S alone brings) + necessity (what is lost without S)

as in EAGLE (arXiv 2509.22496, insight and necessity scores; the search of arXiv 2402.09164). The full search costs
n (n + 1) forwards for n regions. The windowed form follows the idea of PhaseWin (arXiv 2511.10914): one look at all
regions, then only at the most promising, several accepted at once, and a stop when S holds the answer.

From an order to a map: a region's saliency is the share of the whole gain in F that is still to come when its turn
comes. The first has 1; where F saturates, what follows is near 0, however many regions there are. Gains that were not
measured (of regions accepted together, and of those left when the search stops) divide the measured total in proportion
to the last known gains. RANK of the saliency is the rank itself: no two regions tie, the map tells the whole order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wherelook.attribution.grids import RegionKind, region_labels
from wherelook.canvas import Size, map_size
from wherelook.errors import InputError
from wherelook.score import AnswerScore, Attribution, Passes, Progress

CHUNK = 32
"""Sets scored at once, two masks each."""

RANK = 0.05
"""Share of the saliency that is the rank in the order of choice."""

NOTHING = 1e-5
"""A gain in F below this share of the answer's probability is the noise of float32: no map is drawn from it."""

AGEING = (0.01, 100.0)
"""Limits of the factor on gains that were not measured again; see `_search`."""


@dataclass(frozen=True)
class GreedySettings:
    """Attributes:
    regions: "superpixels" [EAGLE], or "cells" of a square grid.
    count: how many: superpixels at most, cells about (49: 7 x 7 on a square image; 784: the replay's grid).
    """

    regions: RegionKind = "superpixels"
    count: int = 64

    def __post_init__(self) -> None:
        if self.regions not in ("superpixels", "cells"):
            raise InputError(f"regions is superpixels or cells, not {self.regions!r}")
        if not 1 <= self.count <= 4096:
            raise InputError(f"count must be from 1 to 4096, not {self.count}")


@dataclass(frozen=True)
class WindowSettings(GreedySettings):
    """Those of the full search, and:

    Attributes:
        window: candidates of a round after the first, which looks at all regions.
        rounds: at most; the regions left after the last are ranked by their last known gains.
        together: regions of a round are accepted together with its best if they gain this share of what it gains.
        stop: the search ends when the chosen regions alone bring back this share of the score gap s(V) - s(nothing) and
            the image without them has lost it.
    """

    window: int = 16
    rounds: int = 64
    together: float = 0.9
    stop: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("window", "rounds"):
            if not 1 <= getattr(self, name) <= 4096:
                raise InputError(f"{name} must be from 1 to 4096, not {getattr(self, name)}")
        for name in ("together", "stop"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"{name} must be above 0 and at most 1, not {getattr(self, name)}")


# The full search at 200 or 50 forwards has few regions: its cost grows with their square.
PRESETS: dict[str, GreedySettings] = {
    "paper": GreedySettings(count=64),
    "best": GreedySettings(count=13),
    "fast": GreedySettings(count=6),
}

# "paper" is PhaseWin's window over EAGLE's superpixels, without an early stop.
WINDOW_PRESETS: dict[str, WindowSettings] = {
    "paper": WindowSettings(count=64, window=16, rounds=64, together=0.9, stop=1.0),
    "best": WindowSettings(count=49, window=7, rounds=7, together=0.9, stop=0.95),
    "fast": WindowSettings(count=16, window=6, rounds=2, together=0.9, stop=0.95),
}


def passes(settings: GreedySettings, image_size: Size) -> Passes:
    """Those of the full search; fewer where the image has fewer superpixels than were asked for."""
    count = _most_regions(settings, image_size)
    return Passes(forward=max(0, count * (count + 1) - 2))


def window_passes(settings: WindowSettings, image_size: Size) -> Passes:
    """At most: no early stop, and every round accepts several regions, which are then scored once more as one set."""
    count = _most_regions(settings, image_size)
    total = 0
    for done in range(min(settings.rounds, count - 1)):
        candidates = min(settings.window, count - done) if done else count
        total += 2 * candidates + 2
    return Passes(forward=total)


def greedy(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: GreedySettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """The full search: every region that is left is tried at every step.

    Args:
        score: log-probabilities of the selected tokens as a function of masks.
        image: RGB in [0, 1]; its edges make the superpixels.
        settings: see `GreedySettings`.
        seed: not used: nothing is drawn.
        progress: called after each step with the number of regions chosen.

    Returns:
        The saliency (see the module), and F after each step. Zeros where no region gains anything.
    """
    labels = region_labels(image, settings.regions, settings.count, score.canvas)
    count = int(labels.max()) + 1
    return _search(score, labels, window=count, rounds=count, together=math.inf, stop=math.inf, progress=progress)


def greedy_window(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: WindowSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """The windowed search with an early stop; arguments and result as for `greedy`."""
    labels = region_labels(image, settings.regions, settings.count, score.canvas)
    return _search(
        score,
        labels,
        window=settings.window,
        rounds=settings.rounds,
        together=settings.together,
        stop=settings.stop,
        progress=progress,
    )


@dataclass(frozen=True)
class _Pair:
    """s(S) and s(V - S)."""

    shown: float
    rest: float

    @property
    def objective(self) -> float:
        return self.shown + 1 - self.rest


def _search(
    score: AnswerScore,
    labels: Int[Tensor, "rows columns"],
    *,
    window: int,
    rounds: int,
    together: float,
    stop: float,
    progress: Progress | None,
) -> Attribution:
    count = int(labels.max()) + 1
    original, baseline = float(_probability(score.original)), float(_probability(score.baseline))
    now, everything = _Pair(baseline, original), _Pair(original, baseline)
    chosen = torch.zeros(count, dtype=torch.bool)
    gains = torch.zeros(count, dtype=torch.float64)  # the last known
    order: list[int] = []
    increments: list[float] = []
    trace: list[float] = []
    for done in range(rounds):
        remaining = _ranked(gains, ~chosen)
        if len(remaining) < 2 or _holds_the_answer(now, everything, stop):
            break
        candidates = remaining[:window] if done else remaining
        sets = chosen.repeat(len(candidates), 1)
        sets[torch.arange(len(candidates)), candidates] = True
        pairs = _pairs(score, labels, sets)
        measured = pairs[:, 0] + 1 - pairs[:, 1] - now.objective
        if done:
            # What a region gains depends on what is shown already: gains of different rounds cannot be compared. Those
            # not measured again are taken to have changed by the same factor as those that were.
            before, after = float(gains[candidates].sum()), float(measured.sum())
            gains *= min(max(after / before, AGEING[0]), AGEING[1]) if before > 0 else 1.0
        gains[candidates] = measured

        best, *others = measured.argsort(descending=True, stable=True).tolist()
        enough = together * float(measured[best])
        accepted = [best, *(other for other in others if 0 < measured[other] >= enough)]
        added = candidates[accepted]
        chosen[added] = True
        pair = pairs[best] if len(accepted) == 1 else _pairs(score, labels, chosen[None])[0]
        before_round, now = now.objective, _Pair(float(pair[0]), float(pair[1]))
        order += added.tolist()
        increments += _divided(now.objective - before_round, gains[added])
        trace.append(now.objective)
        if progress is not None:
            progress("search", len(order), count)
    rest = _ranked(gains, ~chosen)
    order += rest.tolist()
    increments += _divided(everything.objective - now.objective, gains[rest])
    values = _saliency(torch.tensor(increments, dtype=torch.float64), least=NOTHING * max(original, baseline))
    saliency = torch.zeros(count, dtype=torch.float32)
    saliency[torch.tensor(order)] = values.float()
    return Attribution(saliency[labels], tuple(trace))


def _most_regions(settings: GreedySettings, image_size: Size) -> int:
    if settings.regions == "superpixels":
        return settings.count
    rows, columns = map_size(settings.count**0.5, image_size)
    return rows * columns


def _pairs(
    score: AnswerScore, labels: Int[Tensor, "rows columns"], sets: Bool[Tensor, "sets regions"]
) -> Float[Tensor, "sets 2"]:
    """s(S) and s(V - S) of each set, in chunks: memory does not grow with the number of sets."""
    found = []
    with torch.no_grad():
        for chunk in sets.split(CHUNK):
            shown = chunk[:, labels].float()
            found.append(_probability(score(torch.cat([shown, 1 - shown]))).reshape(2, len(chunk)).T)
    return torch.cat(found)


def _probability(log_probabilities: Float[Tensor, "*sets tokens"]) -> Float[Tensor, "*sets"]:
    """The geometric mean over tokens."""
    return log_probabilities.detach().cpu().double().mean(dim=-1).exp()


def _ranked(gains: Float[Tensor, " regions"], among: Bool[Tensor, " regions"]) -> Int[Tensor, " remaining"]:
    """Regions from the largest gain to the smallest; ties by label, which is reading order for cells."""
    labels = among.nonzero()[:, 0]
    return labels[gains[labels].argsort(descending=True, stable=True)]


def _holds_the_answer(now: _Pair, everything: _Pair, stop: float) -> bool:
    gap = everything.shown - everything.rest
    return gap > 0 and now.shown - everything.rest >= stop * gap and everything.shown - now.rest >= stop * gap


def _divided(total: float, gains: Float[Tensor, " regions"]) -> list[float]:
    """The total in parts proportional to the gains above zero; equal parts where there are none."""
    parts = gains.clamp_min(0)
    if not parts.any():
        parts = torch.ones_like(parts)
    return (total * parts / parts.sum()).tolist()


def _saliency(increments: Float[Tensor, " regions"], *, least: float) -> Float[Tensor, " regions"]:
    """Saliencies in the order of choice from the increments of F; strictly decreasing, or all zero."""
    steps = increments.clamp_min(0)  # adding a region can also do harm: that moves no earlier one up
    total = float(steps.sum())
    if total <= least:
        return torch.zeros_like(steps)
    to_come = 1 - (steps.cumsum(0) - steps) / total
    rank = 1 - torch.arange(len(steps), dtype=steps.dtype) / len(steps)
    return ((1 - RANK) * to_come + RANK * rank).clamp(0, 1)
