"""Sanity checks: does a map change when what it should explain changes? (Adebayo et al. 2018, arXiv 1810.03292)

The same words of the same answer are explained again after one thing was changed: weights shuffled in stages, another
image, a blank image, another question. A method whose map stays the same does not explain the model's answer. Maps
are compared by Spearman's rank correlation over 28 x 28 cells.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from wherelook.attribution import METHODS
from wherelook.case import Case, open_case
from wherelook.data.images import load_image
from wherelook.data.samples import Sample
from wherelook.errors import InputError, WherelookError
from wherelook.metrics import rank_correlation
from wherelook.models import VisionLanguageModel
from wherelook.stats import bootstrap_interval
from wherelook.study.judges import check_search, exact, hardly_right
from wherelook.study.runs import Run
from wherelook.types import Progress

WEIGHT_STAGES = ("language, upper half", "language", "vision", "all weights")
INPUT_STAGES = ("other image", "blank image", "other question")
CONTROL = "other seed"
"""Nothing is changed but the seed: how much a method agrees with itself."""

STAGES = (CONTROL, *WEIGHT_STAGES, *INPUT_STAGES)
GRAY = 127

LIMIT = 0.3
"""A mean correlation above this after all weights were shuffled is a failure."""


@dataclass(frozen=True)
class Check:
    """One method on one answer after one change.

    Attributes:
        sample: id of the sample.
        other: id of the sample that lends image and question.
        run: name of the method and preset.
        stage: what was changed: one of `WEIGHT_STAGES`, `INPUT_STAGES` or `CONTROL`.
        correlation: Spearman's, with the map before the change; None where no map is left (nothing to explain).
    """

    sample: str
    other: str
    run: str
    stage: str
    correlation: float | None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is a check of."""
        return self.sample, self.other, self.run, self.stage


def check_sanity(
    model: VisionLanguageModel,
    samples: Iterable[Sample],
    runs: Sequence[Run],
    *,
    count: int,
    only_right: bool = False,
    seed: int = 0,
    known: Sequence[Check] = (),
    progress: Progress | None = None,
) -> Iterator[Check]:
    """Every run on `count` answers that rest on the image, after every change.

    Args:
        model: who answered. Its weights are shuffled and put back.
        samples: the questions; those whose answer does not rest on the image are left out.
        runs: methods with presets.
        count: how many answers.
        only_right: wrong answers to questions with a known one are left out too.
        seed: of the methods and the shuffling.
        known: checks made earlier, which are taken as they are; see `read_checks`.
        progress: called after every change.

    Raises:
        WherelookError: fewer than two answers rest on the image.
        HardlyRightError: `only_right`, and hardly any answer is.
    """
    cases: list[tuple[str, Case]] = []
    asked, wrong, passed_over = 0, 0, ""
    with model.evaluation():
        for sample in samples:
            case = open_case(model, sample.image, sample.question, seed=seed)
            asked += 1
            if only_right and exact(case.judged, sample) is False:
                wrong += 1
                check_search(wrong, asked - wrong, case.relevance.answer, sample)
                passed_over = "; " + hardly_right(wrong, asked, case.relevance.answer, sample)
                continue
            if case.relevance.status == "ok":
                cases.append((sample.id, case))
            if len(cases) == count:
                break
        if len(cases) < 2:
            raise WherelookError(f"fewer than two of the answers rest on the image: nothing to check on{passed_over}")
        made = {check.key: check for check in known}
        before: dict[tuple[str, str], Tensor | None] = {}
        for number, stage in enumerate(STAGES):
            # Weights are shuffled once for all answers: copying those of a large model takes longer than a map.
            shuffled = stage in WEIGHT_STAGES
            wanted = [(index, run) for index in range(len(cases)) for run in runs]
            keys = [(cases[index][0], cases[(index + 1) % len(cases)][0], run.name, stage) for index, run in wanted]
            yield from (made[key] for key in keys if key in made)
            missing = [pair for pair, key in zip(wanted, keys, strict=True) if key not in made]
            for index, run in missing:  # with the model's own weights
                name, case = cases[index]
                if (name, run.name) not in before:
                    before[name, run.name] = _map(case, case.selected, run, seed)
            with shuffled_weights(model.model, stage, seed=seed) if shuffled and missing else contextlib.nullcontext():
                for index, of_case in groupby(missing, key=itemgetter(0)):
                    name, case = cases[index]
                    # The next answer's sample lends its image and its question.
                    lender, other = cases[(index + 1) % len(cases)]
                    changed, selected = _change(stage, case, other)
                    for _, run in of_case:
                        after = _map(changed, selected, run, seed + (stage == CONTROL))
                        original = before[name, run.name]
                        correlation = None if after is None or original is None else rank_correlation(original, after)
                        yield Check(name, lender, run.name, stage, correlation)
            if progress is not None:
                progress("changes", number + 1, len(STAGES))


def _change(stage: str, case: Case, other: Case) -> tuple[Case, list[int]]:
    """The case after one change, and the positions of the tokens to explain."""
    if stage == CONTROL:
        return case, case.selected
    if stage == "other question":
        asked = open_case(
            case.model,
            case.image,
            other.question,
            repeated=other.reply,
            chat=other.chat,
            tokens="all",
            baseline=case.baseline,
        )
        return asked, asked.selected
    pixels = case.image.pixels
    if stage == "other image":
        height, width = case.image.size
        pixels = np.asarray(other.image.picture.resize((width, height)))
    elif stage == "blank image":
        pixels = np.full_like(pixels, GRAY)
    changed = open_case(
        case.model,
        load_image(pixels),
        case.question,
        repeated=case.reply,
        chat=case.chat,
        baseline=case.baseline,
        seed=case.seed,
    )
    return changed, case.selected


def _map(case: Case, selected: Sequence[int], run: Run, seed: int) -> Tensor | None:
    """The map of the tokens at these positions; None where there is nothing to explain."""
    try:
        return METHODS[run.method].run(case.score.select(selected), case.guide, run.settings, seed=seed).saliency
    except InputError:
        return None


def summarize(
    checks: Sequence[Check], run: str
) -> tuple[Literal["passes", "fails", "no map"], dict[str, dict[str, Any]]]:
    """The verdict on a run, and for each stage the mean correlation, its 95 % interval and the answers without a map.

    It fails when the mean after all weights were shuffled is above `LIMIT`.
    """
    stages: dict[str, dict[str, Any]] = {}
    for stage in STAGES:
        found = [check.correlation for check in checks if check.run == run and check.stage == stage]
        values = [value for value in found if value is not None]
        low, high = bootstrap_interval(values) if values else (None, None)
        stages[stage] = {
            "mean": float(np.mean(values)) if values else None,
            "low": low,
            "high": high,
            "no_map": len(found) - len(values),
        }
    if stages[CONTROL]["mean"] is None:
        return "no map", stages
    mean = stages["all weights"]["mean"]
    return "passes" if mean is None or mean <= LIMIT else "fails", stages


def to_rows(checks: Sequence[Check], runs: Sequence[Run], *, asked: int) -> list[dict[str, Any]]:
    """For each run its name (`method`), the verdict, on how many answers of how many asked for, and every stage.

    The settings of the method are there as well: a verdict holds for them alone.
    """
    rows = []
    for run in runs:
        verdict, stages = summarize(checks, run.name)
        answers = len({check.sample for check in checks if check.run == run.name})
        settings = asdict(run.settings)
        rows.append(
            {"method": run.name, "verdict": verdict, "answers": answers, "asked": asked, "settings": settings} | stages
        )
    return rows


@contextlib.contextmanager
def shuffled_weights(model: nn.Module, stage: str, *, seed: int = 0) -> Iterator[None]:
    """Every weight tensor of a part of the model with its numbers in random order inside; restored after.

    Shuffling keeps the distribution of each tensor, so that signals neither die nor explode, and needs no knowledge of
    how the model was initialised.

    Args:
        model: of Transformers.
        stage: one of `WEIGHT_STAGES`.
        seed: of the order.
    """
    chosen = _parameters(model, stage)
    kept = [parameter.detach().clone() for parameter in chosen]
    generator = torch.Generator().manual_seed(seed)
    try:
        with torch.no_grad():
            for parameter in chosen:
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
        yield
    finally:
        with torch.no_grad():
            for parameter, before in zip(chosen, kept, strict=True):
                parameter.copy_(before)


def _parameters(model: nn.Module, stage: str) -> list[nn.Parameter]:
    find: Any = getattr(model, "get_decoder", lambda: None)
    decoder = find()
    language = {id(parameter) for parameter in decoder.parameters()} if decoder is not None else set()
    everything = list(model.parameters())
    if decoder is None or len(language) == len(everything):
        if stage == "all weights":
            return everything
        raise WherelookError(f"{type(model).__name__} does not tell its language model from its vision part")
    if stage == "language, upper half":
        layers = max((part for part in decoder.modules() if isinstance(part, nn.ModuleList)), key=len)
        return [parameter for layer in layers[len(layers) // 2 :] for parameter in layer.parameters()]
    if stage == "language":
        return [parameter for parameter in everything if id(parameter) in language]
    if stage == "vision":
        return [parameter for parameter in everything if id(parameter) not in language]
    return everything
