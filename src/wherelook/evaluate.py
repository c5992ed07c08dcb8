"""Many methods on many answers: one row per answer and method, every measure, what it cost.

All methods share one answer, one choice of words, one score with and without the image (`wherelook.case`), and one
replay grid. Methods are compared where all of them made a map.
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from wherelook.case import Case, open_case
from wherelook.data.images import LoadedImage
from wherelook.data.samples import Sample
from wherelook.errors import UnavailableError, WherelookError
from wherelook.lines import whole_lines
from wherelook.metrics.replay import STEPS
from wherelook.models import AnyModel
from wherelook.models.turns import in_turn
from wherelook.study.judges import HardlyRightError, check_search, exact, hardly_right
from wherelook.study.measures import stability_measures
from wherelook.study.rows import (
    Row,
    case_of,
    case_row,
    evidence_row,
    explain_run,
    image_row,
    model_row,
    run_row,
    sample_row,
)
from wherelook.study.runs import Run
from wherelook.types import Progress

LEND_AHEAD = 8
"""Of how many samples that come next the first with another image lends it."""

NO_RUN = "-"
"""In place of a run's name in the row of an answer that no method was tried on."""


def evaluate(
    model: AnyModel,
    samples: Iterable[Sample],
    runs: Sequence[Run],
    *,
    count: int,
    only_right: bool = True,
    stability: int = 0,
    replay_steps: int = STEPS,
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
        replay_steps: points of the deletion and insertion curves.
        lend: whether the next other image, of the `LEND_AHEAD` samples to come, may serve as the baseline where no
            other shows a relevant word.
        seed: of everything random.
        done: (sample id, run name) of rows that exist already; they are not made again.
        progress: called after every sample.

    Yields:
        The row: plain values, the map among them.

    Raises:
        UnavailableError: nobody answers any more.
        HardlyRightError: `only_right`, and hardly any answer is.
    """
    explained, wrong = 0, 0
    source = _Samples(samples)
    while explained < count and (sample := source.take()) is not None:
        missing = [run for run in runs if (sample.id, run.name) not in done]
        if (sample.id, NO_RUN) in done or not missing:
            wrong, explained = wrong + bool(missing), explained + (not missing)
            continue
        shared = sample_row(sample) | {"run": NO_RUN}
        try:
            shared |= model_row(model.description) | image_row(sample)
            shared |= evidence_row(sample)
            lent = source.other_image(sample.image) if lend else None
            case = open_case(model, sample.image, sample.question, baseline_image=lent, seed=seed)
        except UnavailableError:
            raise
        except WherelookError as error:
            yield shared | {"status": "error", "error": str(error)}
            continue
        correct = exact(case.judged, sample)
        shared |= case_row(case) | {"correct": correct}
        if only_right and correct is False:
            yield shared | {"status": "wrong_answer"}
            wrong += 1
            check_search(wrong, explained, case.relevance.answer, sample)
            continue
        explained += 1
        for run in missing:
            try:
                yield shared | _explained(case, run, sample, lent, replay_steps, seed, explained <= stability)
            except UnavailableError:
                raise
            except WherelookError as error:
                yield shared | run_row(run, seed) | {"status": "error", "error": str(error)}
        if progress is not None:
            progress("answers", explained, count)
    if wrong and not explained:
        raise HardlyRightError(hardly_right(wrong, wrong))


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
                if not np.array_equal(self.ahead[index].image.pixels, image.pixels):
                    return self.ahead[index].image
        return None


@in_turn
def _explained(
    case: Case, run: Run, sample: Sample, lent: LoadedImage | None, replay_steps: int, seed: int, stability: bool
) -> Row:
    case = case_of(run, case, lent=lent, seed=seed)
    row, saliency = explain_run(case, run, sample, replay_steps=replay_steps, independent=True, seed=seed)
    if stability and saliency is not None:
        row |= stability_measures(case, run, saliency, seed + run.seed, paraphrase=sample.paraphrase)
    return row


def read_rows(path: Path) -> list[Row]:
    """The rows of an earlier run; none where there is no file.

    A last line that an interruption cut off is removed, and so are rows of errors, which are tried again.

    Raises:
        WherelookError: another line is broken.
    """
    rows = []
    for number, line in enumerate(whole_lines(path), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise WherelookError(f"{path}, line {number}: not a line of JSON; name a new folder") from error
    kept = [row for row in rows if row.get("status") != "error"]
    if len(kept) < len(rows):
        new = path.with_suffix(".new")
        new.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        new.replace(path)
    return kept
