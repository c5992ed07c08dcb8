"""Sanity checks: does a map change when what it should explain changes? (Adebayo et al. 2018, arXiv 1810.03292)

The same words of the same answer are explained again after one thing was changed: weights shuffled in stages, another
image, a blank image, another question. A method whose map stays the same does not explain the model's answer. Maps
are compared by Spearman's rank correlation over 28 x 28 cells.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from wherelook.answer import AnsweredQuestion, ask
from wherelook.attribution import METHODS
from wherelook.config import ExplainConfig
from wherelook.data.datasets import Sample, prompt_text
from wherelook.data.images import load_image
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.failures import Watch, describe
from wherelook.evaluation.judges import AUTOMATIC, judge_answer
from wherelook.evaluation.method_spec import MethodSpec
from wherelook.evaluation.partners import Partners
from wherelook.evaluation.records import storable
from wherelook.evaluation.rows import sample_row
from wherelook.evaluation.search import Search
from wherelook.metrics import rank_correlation
from wherelook.models import VisionLanguageModel
from wherelook.score import Progress
from wherelook.stats import bootstrap_interval

WEIGHT_STAGES = ("language, upper half", "language", "vision", "all weights")
INPUT_STAGES = ("other image", "blank image", "other question")
CONTROL = "other seed"
"""Nothing is changed but the seed: how much a method agrees with itself."""

STAGES = (CONTROL, *WEIGHT_STAGES, *INPUT_STAGES)
GRAY = 127

WHY_NOT = {
    "other image": "no other sample has another image",
    "other question": "no other sample asks another question",
    "blank image": "their image is blank",
}
"""Why a change cannot be made."""

LIMIT = 0.3
"""A mean correlation above this after all weights were shuffled is a failure."""


@dataclass(frozen=True)
class Check:
    """One method on one answer after one change.

    Attributes:
        sample: id of the sample.
        other: id of the sample that lends its image or its question; empty where the change needs none.
        run: name of the method and preset.
        stage: what was changed: one of `WEIGHT_STAGES`, `INPUT_STAGES` or `CONTROL`.
        correlation: Spearman's, with the map before the change; None where no map is left (nothing to explain).
        content: tells both samples from others of these ids.
    """

    sample: str
    other: str
    run: str
    stage: str
    correlation: float | None
    content: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What it is a check of."""
        return self.sample, self.other, self.content, self.run, self.stage


def check_sanity(
    model: VisionLanguageModel,
    samples: Iterable[Sample],
    runs: Sequence[MethodSpec],
    *,
    count: int,
    only_right: bool = False,
    prompt: str = "auto",
    judge: str = AUTOMATIC,
    seed: int = 0,
    known: Sequence[Check] = (),
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[Check]:
    """Every run on `count` answers that rest on the image, after every change that can be made.

    Another image is one whose pixels differ, another question one whose text does. A change that no sample can be lent
    for is left out, and so is a blank image in the place of a blank one; `warn` says so.

    Args:
        model: who answered. Its weights are shuffled and put back.
        samples: the questions; those whose answer does not rest on the image, or that fail, are left out.
        runs: methods with presets.
        count: how many answers.
        only_right: wrong answers to questions with a known one are left out too.
        prompt: how questions are put, see `wherelook.data.datasets.PROMPT_STYLES`.
        judge: which rule says what is right, see `wherelook.evaluation.judges.judge_for`.
        seed: of the methods and the shuffling.
        known: checks made earlier, which are taken as they are; see `read_checks`.
        progress: called after every change.
        warn: takes a sentence about what a user should know before the end.

    Raises:
        WherelookError: fewer than two answers rest on the image.
        HardlyRightError: hardly any sample has an answer to check on.
    """
    with model.evaluation():
        source = iter(samples)
        cases, passed_over = _find(model, source, count, only_right, prompt, judge, seed, warn)
        if len(cases) < 2:
            why = f"; {passed_over}" if passed_over else ""
            raise WherelookError(f"fewer than two of the answers rest on the image: nothing to check on{why}")
        partners = Partners([sample for sample, _ in cases], source, prompt)
        asked = {id(sample): case for sample, case in cases}
        made = {check.key: check for check in known}
        before: dict[tuple[int, str], Tensor | None] = {}
        for number, stage in enumerate(STAGES):
            # Weights are shuffled once for all answers: copying those of a large model takes longer than a map.
            shuffled = stage in WEIGHT_STAGES
            wanted = [
                (index, change, Check(storable(sample.id), change.name, run.name, stage, None, change.content(sample)))
                for index, (sample, case) in enumerate(cases)
                if (change := _change_of(stage, index, case, partners)) is not None
                for run in runs
            ]
            if left_out := len(cases) - len({index for index, _, _ in wanted}):
                warn(f"{stage!r} is not checked on {left_out} of {len(cases)} answers: {WHY_NOT[stage]}")
            yield from (made[check.key] for _, _, check in wanted if check.key in made)
            missing = [entry for entry in wanted if entry[2].key not in made]
            by_name = {run.name: run for run in runs}
            for index, _, check in missing:  # with the model's own weights
                if (index, check.run) not in before:
                    case = cases[index][1]
                    before[index, check.run] = _map(case, case.selected, by_name[check.run], seed)
            with shuffled_weights(model.model, stage, seed=seed) if shuffled and missing else contextlib.nullcontext():
                for index, of_case in groupby(missing, key=itemgetter(0)):
                    entries = list(of_case)
                    changed, selected = _changed(stage, cases[index][1], entries[0][1].lender, prompt, asked)
                    for _, _, check in entries:
                        after = _map(changed, selected, by_name[check.run], seed + (stage == CONTROL))
                        original = before[index, check.run]
                        correlation = None if after is None or original is None else rank_correlation(original, after)
                        yield replace(check, correlation=correlation)
            if progress is not None:
                progress("changes", number + 1, len(STAGES))


def _find(
    model: VisionLanguageModel,
    samples: Iterator[Sample],
    count: int,
    only_right: bool,
    prompt: str,
    judge: str,
    seed: int,
    warn: Callable[[str], None],
) -> tuple[list[tuple[Sample, AnsweredQuestion]], str]:
    """The first answers to check on, and what was passed over."""
    search, watch = Search(), Watch(warn, prompt)
    cases: list[tuple[Sample, AnsweredQuestion]] = []
    while len(cases) < count and (sample := next(samples, None)) is not None:
        row = sample_row(sample)
        try:
            case = ask(model, sample.image, prompt_text(sample, prompt), ExplainConfig(seed=seed))
        except Exception as error:
            watch([row | {"status": "error", "error": describe(error)}])
            search.pass_failed(describe(error))
            continue
        watch.note(sample.id, model.size_notes(case.prompt))
        verdict = judge_answer(case.judged, sample, judge=judge, style=prompt)
        watch([row | asdict(verdict) | {"status": "ok", "answer": case.relevance.answer}])
        if only_right and verdict.correct is False:
            search.pass_wrong(case.relevance.answer, sample, verdict.judge)
        elif case.relevance.status != "ok":
            search.pass_ungrounded()
        else:
            search.found += 1
            cases.append((sample, case))
    return cases, search.summary


@dataclass(frozen=True)
class _Change:
    """A change that can be made, and the sample that is lent for it, if one is."""

    lender: Sample | None = None

    @property
    def name(self) -> str:
        return "" if self.lender is None else storable(self.lender.id)

    def content(self, sample: Sample) -> str:
        return " ".join(one.fingerprint[:16] for one in (sample, self.lender) if one is not None)


def _change_of(stage: str, index: int, case: AnsweredQuestion, partners: Partners) -> _Change | None:
    """None where the change cannot be made."""
    if stage == "blank image":
        return None if (case.image.pixels == GRAY).all() else _Change()
    if stage in WHY_NOT:
        lender = partners.other_image(index) if stage == "other image" else partners.other_question(index)
        return None if lender is None else _Change(lender)
    return _Change()


def _changed(
    stage: str, case: AnsweredQuestion, lender: Sample | None, prompt: str, asked: dict[int, AnsweredQuestion]
) -> tuple[AnsweredQuestion, list[int]]:
    """The case after one change, and the positions of the tokens to explain.

    Args:
        asked: samples that were asked, by their identity; a lender is added.
    """
    if stage == "other question":
        assert lender is not None
        question = prompt_text(lender, prompt)
        if id(lender) not in asked:
            asked[id(lender)] = ask(case.model, lender.image, question, case.config)
        config = ExplainConfig(tokens="all", baseline=case.baseline)
        changed = ask(case.model, case.image, question, config, repeated=asked[id(lender)].reply)
        return changed, changed.selected
    pixels = case.image.pixels
    if stage == "other image":
        assert lender is not None
        height, width = case.image.size
        pixels = np.asarray(lender.image.picture.resize((width, height)))
    elif stage == "blank image":
        pixels = np.full_like(pixels, GRAY)
    elif stage == CONTROL:
        return case, case.selected
    config = replace(case.config, baseline=case.baseline)
    changed = ask(case.model, load_image(pixels), case.question, config, repeated=case.reply)
    return changed, case.selected


def _map(case: AnsweredQuestion, selected: Sequence[int], run: MethodSpec, seed: int) -> Tensor | None:
    """The map of the tokens at these positions; None where there is nothing to explain."""
    try:
        return METHODS[run.method].run(case.score.select(selected), case.guide, run.settings, seed=seed).saliency
    except InputError:
        return None


def summarize(
    checks: Sequence[Check], run: str
) -> tuple[Literal["passes", "fails", "no map"], dict[str, dict[str, Any]]]:
    """The verdict on a run, and for each stage the mean correlation, its 95 % interval, the answers without a map, and
    all that were checked.

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
            "checked": len(found),
        }
    if stages[CONTROL]["mean"] is None:
        return "no map", stages
    mean = stages["all weights"]["mean"]
    return "passes" if mean is None or mean <= LIMIT else "fails", stages


def to_rows(checks: Sequence[Check], runs: Sequence[MethodSpec], *, asked: int) -> list[dict[str, Any]]:
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
