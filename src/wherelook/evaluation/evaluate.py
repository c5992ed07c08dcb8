"""Many methods on many answers: one row per answer and method, every measure, what it cost.

All methods share one answer, one choice of words, one score with and without the image (`wherelook.answer`), and one
replay grid. Methods are compared where all of them made a map.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np

from wherelook.answer import AnsweredQuestion, ask
from wherelook.config import ExplainConfig
from wherelook.data.datasets import Sample, prompt_text, same_text
from wherelook.data.images import LoadedImage
from wherelook.errors import InputError, UnfinishedThoughtError, WherelookError
from wherelook.evaluation.failures import Watch, describe, row_or_error
from wherelook.evaluation.judges import AUTOMATIC, judge_answer
from wherelook.evaluation.measures import stability_measures
from wherelook.evaluation.method_spec import MethodSpec
from wherelook.evaluation.records import storable
from wherelook.evaluation.rows import (
    Row,
    case_of,
    case_row,
    evidence_row,
    explain_sample,
    image_row,
    model_row,
    sample_row,
)
from wherelook.evaluation.search import HardlyRightError, Search
from wherelook.metrics.deletion_insertion import STEPS
from wherelook.models import AnyModel
from wherelook.models.turns import in_turn
from wherelook.score import Progress
from wherelook.storage import LineFile

NOTHING_DONE: Mapping[tuple[str, str], str] = MappingProxyType({})

LEND_AHEAD = 32
"""Of how many samples that come next the first with another image lends it."""

NO_RUN = "-"
"""In place of a run's name in the row of an answer that no method was tried on."""


def evaluate(
    model: AnyModel,
    samples: Iterable[Sample],
    runs: Sequence[MethodSpec],
    *,
    count: int,
    only_right: bool = True,
    prompt: str = "auto",
    judge: str = AUTOMATIC,
    stability: int = 0,
    replay_steps: int = STEPS,
    lend: bool = False,
    seed: int = 0,
    done: Mapping[tuple[str, str], str] = NOTHING_DONE,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Iterator[Row]:
    """A row for every sample and run, as soon as it is there; of a sample or a method that fails, one with the error.

    Args:
        model: who is asked.
        samples: the questions; reading stops after `count` that are explained.
        runs: methods with presets.
        count: how many answers.
        only_right: a wrong answer to a question with a known one gets a row without a map, and does not count.
        prompt: how questions are put, see `wherelook.data.datasets.PROMPT_STYLES`.
        judge: which rule says what is right, see `wherelook.evaluation.judges.judge_for`.
        stability: on this many of the answers the map is also made with another seed, with a little image noise and,
            where the sample has one, to a paraphrase of the question.
        replay_steps: points of the deletion and insertion curves.
        lend: whether the next other image, of the `LEND_AHEAD` samples to come, may serve as the baseline where no
            other shows a relevant word.
        seed: of everything random.
        done: fingerprint of the sample by (sample id, run name), as they are stored, of rows that exist already; they
            are not made again.
        progress: called after every sample.
        warn: takes a sentence about what a user should know before the end.

    Yields:
        The row: plain values, the map among them; texts as `wherelook.evaluation.records.storable` makes them.

    Raises:
        InputError: a sample of `done` is another one now.
        UnavailableError: nobody answers any more.
        HardlyRightError: hardly any sample has an answer to explain.
    """
    search, source, watch = Search(), _Samples(samples), Watch(warn, prompt)
    while search.found < count and (sample := source.take()) is not None:
        name = storable(sample.id)
        for run_name in (NO_RUN, *(run.name for run in runs)):
            check_same(sample, done.get((name, run_name)))
        missing = [run for run in runs if (name, run.name) not in done]
        if (name, NO_RUN) in done or not missing:
            search.wrong, search.found = search.wrong + bool(missing), search.found + (not missing)
            continue
        rows = []
        for row in _rows_of(model, sample, missing, source if lend else None, search, watch, _Choices(
            only_right, prompt, judge, search.found < stability, replay_steps, seed,
        )):  # fmt: skip
            rows.append(row)
            yield storable(row)
        watch(rows)
        if rows[0]["status"] == "wrong_answer":
            search.pass_wrong(rows[0]["answer"], sample, rows[0]["judge"])
        elif rows[0]["run"] == NO_RUN:
            search.pass_failed(rows[0]["error"])
        if progress is not None:
            progress("answers", search.found, count)
    if not search.found and search.summary:
        raise HardlyRightError(search.summary)


@dataclass(frozen=True)
class _Choices:
    """Of `evaluate`, what every sample is done with; `stability`: whether this one has it."""

    only_right: bool
    prompt: str
    judge: str
    stability: bool
    replay_steps: int
    seed: int


def _rows_of(
    model: AnyModel,
    sample: Sample,
    runs: Sequence[MethodSpec],
    lenders: _Samples | None,
    search: Search,
    watch: Watch,
    choices: _Choices,
) -> Iterator[Row]:
    """The rows of one sample; one with `NO_RUN` where no method is tried on it."""
    shared, seed = sample_row(sample) | {"run": NO_RUN}, choices.seed
    try:
        shared |= model_row(model.description) | image_row(sample)
        shared |= evidence_row(sample)
        lent = None if lenders is None else lenders.other_image(sample.image)
        question = prompt_text(sample, choices.prompt)
        case = ask(model, sample.image, question, ExplainConfig(baseline_image=lent, seed=seed))
        watch.note(sample.id, model.size_notes(case.prompt))
        if lenders is not None and lent is None and not case.relevance.reliance.relevant_words:
            watch.warn(f"sample {sample.id!r}: none of the next {LEND_AHEAD} samples has another image to lend")
        shared |= case_row(case)
        shared |= asdict(judge_answer(case.judged, sample, judge=choices.judge, style=choices.prompt))
    except Exception as error:
        if isinstance(error, UnfinishedThoughtError):
            shared |= {"reasoning": error.reasoning}
        yield shared | {"status": "error", "error": describe(error)}
        return
    if choices.only_right and shared["correct"] is False:
        yield shared | {"status": "wrong_answer"}
        return
    search.found += 1
    for run in runs:
        yield shared | row_or_error(run, seed, partial(_explained, case, run, sample, lent, choices))


def check_same(sample: Sample, fingerprint: str | None) -> None:
    """Raises InputError where rows are about another sample of this id."""
    if fingerprint is not None and fingerprint != sample.fingerprint:
        raise InputError(
            f"there are rows of another sample {sample.id!r}: its fingerprint was {fingerprint[:12]} and is now "
            f"{sample.fingerprint[:12]}; name a new folder"
        )


class _Samples:
    """Samples one after another, and a look ahead; none is read before it is asked for."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.unread = iter(samples)
        self.ahead: deque[Sample] = deque()

    def take(self) -> Sample | None:
        """The next sample; None after the last."""
        return self.ahead.popleft() if self.ahead else next(self.unread, None)

    def other_image(self, image: LoadedImage) -> LoadedImage | None:
        """The first image to come that is not `image` (a picture may have several questions); None if none is near."""
        for index in range(LEND_AHEAD):
            if index == len(self.ahead):
                sample = next(self.unread, None)
                if sample is None:
                    return None
                self.ahead.append(sample)
            with contextlib.suppress(WherelookError):  # one that cannot be read is an error of its own sample
                other = self.ahead[index].source.load()  # not kept: it may be one of many of the same picture
                if not np.array_equal(other.pixels, image.pixels):
                    return other
        return None


@in_turn
def _explained(
    case: AnsweredQuestion, run: MethodSpec, sample: Sample, lent: LoadedImage | None, choices: _Choices
) -> Row:
    seed = choices.seed
    case = case_of(run, case, lent=lent, seed=seed)
    row, saliency = explain_sample(case, run, sample, replay_steps=choices.replay_steps, independent=True, seed=seed)
    if choices.stability and saliency is not None:
        row |= stability_measures(case, run, saliency, seed + run.seed, paraphrase=other_words(sample, choices.prompt))
    return row


def other_words(sample: Sample, prompt: str) -> str | None:
    """The paraphrase of a sample's question, put in the same way; None where there is none in other words."""
    if sample.paraphrase is None or same_text(sample.paraphrase, sample.question):
        return None
    return prompt_text(replace(sample, question=sample.paraphrase), prompt)


def read_rows(lines: LineFile) -> list[Row]:
    """The rows of an earlier evaluation, of one answer and method the newest. Those of errors, which are tried again,
    are left out here and stay in the file.

    Raises:
        InputError: a line is no row.
    """
    rows: dict[tuple[str, str], Row] = {}
    for row in lines.records:
        if not row.keys() >= {"sample", "run", "status", "fingerprint"}:
            raise InputError(f"{lines.path} holds something else than rows of an evaluation: name a new folder")
        rows[row["sample"], row["run"]] = row
    return [row for row in rows.values() if row["status"] != "error"]
