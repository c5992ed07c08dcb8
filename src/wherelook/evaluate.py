"""Many methods on many answers: one row per answer and method, every measure, what it cost.

All methods share one answer, one choice of words, one score with and without the image (`wherelook.case`), and one
replay grid. Methods are compared where all of them made a map.
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from wherelook.attribution import METHODS, make_settings
from wherelook.attribution.regions import superpixels
from wherelook.case import Case, open_case
from wherelook.data.images import LoadedImage
from wherelook.data.samples import Sample
from wherelook.explain import explain_case
from wherelook.explanation import Explanation
from wherelook.metrics import compactness, rank_correlation, replay, top_area
from wherelook.models import VisionLanguageModel
from wherelook.tokens import FLIP_FLOOR, holds_words, selected_words
from wherelook.types import InputError, Progress, WherelookError

REPLAY_STEPS = 28
SUPERPIXELS = 64
SUPERPIXEL_READS = 16
FLIP_AREA = 0.125
KEEP_AREA = 0.25
NOISE_LEVEL = 8.0
"""Standard deviation of the image noise for stability, of 255: a person hardly sees it."""

LEND_AHEAD = 8
"""Of how many samples that come next the first with another image lends it."""

NO_RUN = "-"
"""In place of a run's name in the row of an answer that no method was tried on."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
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


def parse_runs(text: str) -> list[Run]:
    """Runs from "igos+:fast,rise"; without a preset it is best.

    Raises:
        InputError: an unknown method or preset, or none.
    """
    runs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        method, _, preset = part.partition(":")
        runs.append(Run(method, preset or "best"))
    if not runs:
        raise InputError(f"no methods in {text!r}; valid: {', '.join(METHODS)}")
    return list(dict.fromkeys(runs))


def sweep_runs(method: str, preset: str, values: Mapping[str, str]) -> list[Run]:
    """The preset as it is, then with one setting changed at a time.

    Args:
        values: values separated by commas, by the name of the setting; "alpha" and "seed" are names too.

    Raises:
        InputError: an unknown name, or a value out of range.
    """
    runs = [Run(method, preset)]
    for name, texts in values.items():
        for text in texts.split(","):
            try:
                if name == "alpha":
                    runs.append(Run(method, preset, alpha=float(text)))
                elif name == "seed":
                    runs.append(Run(method, preset, seed=int(text)))
                else:
                    runs.append(Run(method, preset, ((name, text.strip()),)))
            except ValueError:
                raise InputError(f"{name}={text!r} is not a number") from None
    return list(dict.fromkeys(runs))


def evaluate(
    model: VisionLanguageModel,
    samples: Iterable[Sample],
    runs: Sequence[Run],
    *,
    count: int,
    only_right: bool = True,
    stability: int = 0,
    lend: bool = False,
    seed: int = 0,
    done: frozenset[tuple[str, str]] = frozenset(),
    progress: Progress | None = None,
) -> Iterator[Row]:
    """A row for every sample and run, as soon as it is there.

    Args:
        model: who is asked.
        samples: the questions; reading stops after `count` that are explained.
        runs: methods with presets.
        count: how many answers.
        only_right: a wrong answer to a question with a known one gets a row without a map, and does not count.
        stability: on this many of the answers the map is also made with another seed, with a little image noise and,
            where the sample has one, to a paraphrase of the question.
        lend: whether the next other image, of the `LEND_AHEAD` samples to come, may serve as the baseline where no
            other shows a relevant word.
        seed: of everything random.
        done: (sample id, run name) of rows that exist already; they are not made again.
        progress: called after every sample.

    Yields:
        The row: plain values, the map among them.
    """
    explained = 0
    source = _Samples(samples)
    while explained < count and (sample := source.take()) is not None:
        if (sample.id, NO_RUN) in done:
            continue
        missing = [run for run in runs if (sample.id, run.name) not in done]
        if not missing:
            explained += 1
            continue
        with model.evaluation():
            try:
                lent = source.other_image(sample.image) if lend else None
                case = open_case(model, sample.image, sample.question, baseline_image=lent, seed=seed)
            except WherelookError as error:
                yield _row(sample, None) | {"status": "error", "error": str(error)}
                continue
            right = case.relevance.answer in sample.references if sample.references else None
            shared = _row(sample, case) | {"right": right}
            if only_right and right is False:
                yield shared | {"status": "wrong_answer"}
                continue
            explained += 1
            for run in missing:
                try:
                    explanation, measured = _explain(case, run, sample, lent, seed, explained <= stability)
                except WherelookError as error:
                    yield shared | {"run": run.name, "status": "error", "error": str(error)}
                    continue
                yield shared | _result(run, explanation) | measured
        if progress is not None:
            progress("answers", explained, count)


class _Samples:
    """Samples one after another, and a look ahead; none is read before it is asked for."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.unread = iter(samples)
        self.ahead: deque[Sample] = deque()

    def take(self) -> Sample | None:
        """The next sample; None after the last."""
        return self.ahead.popleft() if self.ahead else next(self.unread, None)

    def other_image(self, image: LoadedImage) -> LoadedImage | None:
        """The first image to come that is not `image` (a picture may have several questions); None if none is near.

        One that cannot be read is passed over: it is the error of its own sample.
        """
        for index in range(LEND_AHEAD):
            if index == len(self.ahead):
                sample = next(self.unread, None)
                if sample is None:
                    return None
                self.ahead.append(sample)
            with contextlib.suppress(WherelookError):
                if not np.array_equal(self.ahead[index].image.pixels, image.pixels):
                    return self.ahead[index].image
        return None


def _explain(
    case: Case, run: Run, sample: Sample, lent: LoadedImage | None, seed: int, stability: bool
) -> tuple[Explanation, Row]:
    if run.alpha is not None:
        case = open_case(
            case.model,
            case.image,
            case.question,
            answer=case.relevance.answer,
            baseline_image=lent,
            alpha=run.alpha,
            seed=seed,
        )
    explanation = explain_case(
        case,
        method=run.method,
        preset=run.preset,
        overrides=dict(run.overrides),
        truth=sample.truth,
        replay_steps=REPLAY_STEPS,
        seed=seed + run.seed,
    )
    if explanation.status != "ok":
        return explanation, {}
    saliency = torch.from_numpy(explanation.heatmap)
    measured: Row = dict(explanation.metrics) | independent_measures(case, saliency)
    if stability:
        measured |= stability_measures(case, run, saliency, seed + run.seed, paraphrase=sample.paraphrase)
    return explanation, measured


def independent_measures(case: Case, saliency: Float[Tensor, "height width"]) -> dict[str, float | None]:
    """Measures that ours does not optimise: another grid, the model's answer when it is asked again, compactness.

    The answer is given again with the unseen baseline in place of what is removed; it has flipped when a word that was
    explained is missing from it.
    """
    score = case.against(case.selected_score(), case.unseen_baseline)
    regions = superpixel_grid(case)
    other = replay(score, saliency, steps=SUPERPIXEL_READS, regions=regions)
    words = selected_words(case.relevance.tokens)
    removed = case.answer_to(score, 1 - top_area(saliency, case.image.size, FLIP_AREA))
    kept = case.answer_to(score, top_area(saliency, case.image.size, KEEP_AREA))
    return {
        "deletion_superpixels": other.deletion,
        "insertion_superpixels": other.insertion,
        "flip": float(not holds_words(removed, words)),
        "keep": float(holds_words(kept, words)),
        "compactness": compactness(saliency),
    }


def stability_measures(
    case: Case, run: Run, saliency: Float[Tensor, "height width"], seed: int, *, paraphrase: str | None = None
) -> dict[str, float | None]:
    """Rank correlation of the map with others that should be like it; None where there is no other map.

    They are the map of another seed, that of a slightly noisy image, and that of the same words of the same answer to
    the question in other words.
    """
    method = METHODS[run.method].run
    again = method(case.selected_score(), case.guide, run.settings, seed=seed + 1).saliency
    draw = np.random.default_rng(seed).normal(0, NOISE_LEVEL, case.image.pixels.shape)
    noisy = np.clip(case.image.pixels + draw, 0, 255).astype(np.uint8)
    other = open_case(
        case.model,
        noisy,
        case.question,
        answer=case.relevance.answer,
        baseline=case.baseline,
        baseline_image=case.baseline_image,
        seed=seed,
    )
    shaken = None
    if other.relevance.status == "ok":
        shaken = rank_correlation(
            saliency, method(other.selected_score(), other.guide, run.settings, seed=seed).saliency
        )
    return {
        "stability_seed": rank_correlation(saliency, again),
        "stability_noise": shaken,
        "stability_paraphrase": None if paraphrase is None else _rephrased(case, run, saliency, seed, paraphrase),
    }


def _rephrased(case: Case, run: Run, saliency: Tensor, seed: int, paraphrase: str) -> float | None:
    """Rank correlation with the map to a paraphrase; None where it cannot be asked, or leaves nothing to explain."""
    try:
        score = case.asked(paraphrase)
    except WherelookError:  # the paraphrase is at fault, not the map
        return None
    if float((score.original - score.baseline).sum()) < FLIP_FLOOR:
        return None
    return rank_correlation(saliency, METHODS[run.method].run(score, case.guide, run.settings, seed=seed).saliency)


def superpixel_grid(case: Case) -> Int[np.ndarray, "rows columns"]:
    """Superpixels of the image, on the coarser of their own grid and 56 cells."""
    return superpixels(case.guide, SUPERPIXELS).numpy()


def read_rows(path: Path) -> list[Row]:
    """The rows of an earlier run; none where there is no file. A last line that an interruption cut off is removed.

    Raises:
        WherelookError: another line is broken.
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    rows = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise WherelookError(f"{path}, line {number}: not a line of JSON; name a new folder") from error
    return rows


def _row(sample: Sample, case: Case | None) -> Row:
    height, width = (None, None) if case is None else case.image.size
    row: Row = {
        "sample": sample.id,
        "kind": sample.kind,
        "question": sample.question,
        "reference": sample.reference,
        "width": width,
        "height": height,
        "run": NO_RUN,
        "error": None,
    }
    if case is not None:
        reliance = case.relevance.reliance
        row |= {
            "answer": case.relevance.answer,
            "reliance": reliance.score,
            "gap": reliance.gap,
            "baseline": reliance.baseline,
        }
    return row


def _result(run: Run, explanation: Explanation) -> Row:
    cost = explanation.method["cost"]
    return {
        "run": run.name,
        "status": explanation.status,
        "reason": explanation.reason,
        "forward": cost["forward"],
        "backward": cost["backward"],
        "seconds": cost["seconds"],
        "peak_bytes": explanation.cost["peak_bytes"],
        "mask": np.round(explanation.heatmap, 4).tolist(),
    }
