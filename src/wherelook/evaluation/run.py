"""A run over a dataset: what is missing is done, whatever has been done stays.

First every sample is asked, judged and explained; then the same words are explained again under conditions
(`wherelook.evaluation.conditions`), on some of the samples that have a map.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from wherelook.data.datasets import Sample
from wherelook.errors import WherelookError
from wherelook.evaluation.conditions import (
    BLANK_IMAGE,
    GRAY,
    NOISE,
    OTHER_IMAGE,
    OTHER_QUESTION,
    OTHER_SEED,
    PARAPHRASE,
    TOGETHER,
    WEIGHT_STAGES,
)
from wherelook.evaluation.failures import Watch
from wherelook.evaluation.local import ChangedTasks, Engine, Finished, Task, Worker, execute_local
from wherelook.evaluation.partners import LookAhead, Partners
from wherelook.evaluation.ray import execute_ray
from wherelook.evaluation.rows import WRONG
from wherelook.evaluation.run_folder import RunFolder
from wherelook.evaluation.search import Search, checkable
from wherelook.evaluation.worker import LENT, other_words

ENGINES: Mapping[str, Engine] = {"local": execute_local, "ray": execute_ray}

WHY_NOT = {
    OTHER_IMAGE: "no other sample has another image",
    OTHER_QUESTION: "no other sample asks another question",
    BLANK_IMAGE: "their image is blank",
}
"""Why a change cannot be made."""


@dataclass(frozen=True)
class Extent:
    """How much of a dataset is run. It can be raised later: what is done is not done again.

    Attributes:
        limit: how many samples from the beginning; None for all.
        answers: how many of their answers; reading stops when so many are found, but see `sanity`. None for all.
        stability: on so many of the answers maps are also made with another seed, with a little image noise, and to a
            paraphrase of the question.
        sanity: on so many of the visually grounded answers sanity checks are made too; with `answers`, reading
            goes on until there are as many.
        baseline_from_dataset: see `wherelook.evaluation.worker.Procedure`.
        prompt: how questions are put.
    """

    limit: int | None = None
    answers: int | None = None
    stability: int = 0
    sanity: int = 0
    baseline_from_dataset: bool = False
    prompt: str = "auto"


@dataclass(frozen=True)
class Tally:
    """How far a run is.

    Attributes:
        done: samples with rows.
        now: how many of them this time.
        failed: how many with an error.
        total: out of how many; None where the dataset does not tell its length.
        stage: what is counted now: "samples", "answers" or "changes".
        at, of: how many of these.
        failure: what kept the run from the answers or the checks that were asked for.
    """

    done: int
    now: int
    failed: int
    total: int | None
    stage: str = "samples"
    at: int = 0
    of: int | None = None
    failure: WherelookError | None = None


def execute(
    read: Callable[[], Iterable[Sample]],
    folder: RunFolder,
    make_worker: Callable[[], Worker],
    *,
    extent: Extent = Extent(),
    engine: Engine = execute_local,
    workers: int = 1,
    progress: Callable[[Tally], None] | None = None,
    watch: Watch | None = None,
) -> Tally:
    """Gives every sample its rows. One that has them is not done again, and no model is made if all have.

    Args:
        read: gives the dataset, from its beginning; it is read as far as needed, and never beyond the limit.
        folder: from `open_run`.
        make_worker: () -> Worker; for several workers it can be pickled.
        extent: how much is run.
        engine: one of `ENGINES`.
        workers: how many at once.
        progress: called at the start and after every sample, and after every change.
        watch: is given the rows of every sample that is finished, and what is to know about its prompt.

    Raises:
        InputError: a sample or the model is not the one that the folder's rows are of.
        WherelookError: the dataset is broken at some place, the disk is full, or a worker died.
    """
    if workers == 1 and engine is execute_local:
        make_worker = functools.cache(make_worker)  # both phases have one model
    return _Execution(
        read=read,
        folder=folder,
        make_worker=make_worker,
        extent=extent,
        engine=engine,
        workers=workers,
        progress=progress,
        watch=watch,
    ).execute()


@dataclass
class _Execution:
    """See `execute`."""

    read: Callable[[], Iterable[Sample]]
    folder: RunFolder
    make_worker: Callable[[], Worker]
    extent: Extent
    engine: Engine
    workers: int
    progress: Callable[[Tally], None] | None
    watch: Watch | None
    search: Search = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.folder.done
        self.search = Search(self.extent.answers, self.extent.sanity)

    def execute(self) -> Tally:
        self._report()
        for finished in self._finished(self._plain_tasks()):
            known = self.folder.known(finished.rows[0]["position"])
            self.search.note(known, finished.rows)
            if self.watch is not None:
                self.watch.note(finished.rows[0]["sample"], finished.notes)
                self.watch(finished.rows)
            self._report()
        failure: WherelookError | None = self.search.failure
        stable, checked = self._chosen()
        if len(checked) < 2 <= self.extent.sanity:
            why = f"; {self.search.summary}" if self.search.summary else ""
            message = f"fewer than two of the answers are visually grounded: nothing to check on{why}"
            failure, checked = failure or WherelookError(message), []
        work = self._changes(stable, checked) if stable or checked else []
        made, maps = 0, sum(len(task.methods) for one in work for task in one.tasks)
        for finished in self._finished(_unread(one) for one in work):
            made += len(finished.rows)
            self._report(stage="changes", at=made, of=maps)
        return self._tally(failure=failure)

    def _tally(
        self, *, stage: str = "", at: int = 0, of: int | None = None, failure: WherelookError | None = None
    ) -> Tally:
        done, limit = self.folder.done, self.extent.limit
        total = None if limit is None else max(limit, done)
        if not stage:
            stage, at, of = "samples", done, total
            if self.extent.answers is not None:
                stage, at, of = "answers", self.search.found, self.extent.answers
        return Tally(
            done=done,
            now=done - self.before,
            failed=self.folder.failed,
            total=total,
            stage=stage,
            at=at,
            of=of,
            failure=failure,
        )

    def _report(self, *, stage: str = "", at: int = 0, of: int | None = None) -> None:
        if self.progress is not None:
            self.progress(self._tally(stage=stage, at=at, of=of))

    def _finished(self, tasks: Iterator[Task] | Iterator[ChangedTasks]) -> Iterator[Finished]:
        """What the engine makes of tasks, written down. Without any no worker is made."""
        first = next(tasks, None)
        if first is None:
            return
        for finished in self.engine(
            itertools.chain((first,), tasks), self.make_worker, workers=self.workers, accept=self.folder.accept
        ):
            self.folder.add(finished.rows)
            yield finished

    def _samples(self) -> Iterator[Sample]:
        return itertools.islice(self.read(), self.extent.limit)

    def _plain_tasks(self) -> Iterator[Task]:
        samples = LookAhead(self._samples())
        of_all = enumerate(samples)
        while not self.search.over and (following := next(of_all, None)) is not None:
            position, sample = following
            known = self.folder.check(position, sample)
            if methods := self.folder.missing(position, sample):
                lender = samples.other_image(sample) if self.extent.baseline_from_dataset else None
                yield Task(
                    position=position,
                    sample=sample,
                    methods=methods,
                    answer=None if known is None else known.answer,
                    lender=lender,
                )
            elif known is not None:
                self.search.note(known)

    # ---- under conditions ----

    def _chosen(self) -> tuple[list[int], list[int]]:
        """Positions of the answers on which stability is measured, and of those on which sanity checks are made."""
        if not self.extent.stability and not self.extent.sanity:
            return [], []
        found = [
            (place, known)
            for place, known in self.folder.all_known()
            if known.answer is not None
            and WRONG not in known.statuses.values()
            and (self.extent.limit is None or place < self.extent.limit)
        ]
        checked = [place for place, known in found if checkable(known)]
        return [place for place, _ in found[: self.extent.stability]], checked[: self.extent.sanity]

    def _changes(self, stable: list[int], checked: list[int]) -> list[ChangedTasks]:
        """What is missing, all conditions of a few samples after one another."""
        samples, lenders = self._read_again({*stable, *checked})
        planned = self._planned(stable, checked, samples)
        work = []
        for some in _batches(sorted(samples)):
            for condition, partners in planned.items():
                tasks = []
                for place in (place for place in some if place in partners):
                    known, partner = self.folder.known(place), partners[place]
                    methods = tuple(
                        method
                        for method in self.folder.wanted
                        if method in known.mapped and not known.is_changed(method, condition, partner)
                    )
                    if methods:
                        task = Task(
                            position=place,
                            sample=samples[place],
                            methods=methods,
                            answer=known.answer,
                            lender=lenders.get(place),
                            partner=partner,
                        )
                        tasks.append(task)
                if tasks:
                    work.append(ChangedTasks(condition, tuple(tasks)))
        return work

    def _read_again(self, wanted: set[int]) -> tuple[dict[int, Sample], dict[int, Sample | None]]:
        """The samples at these positions, and who lends each of them a baseline."""
        samples, lenders = dict[int, Sample](), dict[int, Sample | None]()
        ahead = LookAhead(self._samples())
        for place, sample in enumerate(ahead):
            if place in wanted:
                self.folder.check(place, sample)
                samples[place] = sample
                if self.extent.baseline_from_dataset and self.folder.known(place).baseline == LENT:
                    lenders[place] = ahead.other_image(sample)
                if len(samples) == len(wanted):
                    break
        return samples, lenders

    def _planned(
        self, stable: list[int], checked: list[int], samples: Mapping[int, Sample]
    ) -> dict[str, dict[int, Sample | None]]:
        """By condition the positions that it is to be made of, and their partners."""
        rephrased = [place for place in stable if other_words(samples[place], self.extent.prompt) is not None]
        planned: dict[str, dict[int, Sample | None]] = {
            OTHER_SEED: dict.fromkeys((*stable, *checked)),
            NOISE: dict.fromkeys(stable),
            PARAPHRASE: dict.fromkeys(rephrased),
            **{stage: dict.fromkeys(checked) for stage in WEIGHT_STAGES},
        }
        if not checked:
            return planned
        more = itertools.islice(self._samples(), checked[-1] + 1, None)
        partners = Partners([samples[place] for place in checked], more, self.extent.prompt)
        images = ((place, partners.other_image(index)) for index, place in enumerate(checked))
        planned[OTHER_IMAGE] = {place: partner for place, partner in images if partner is not None}
        planned[BLANK_IMAGE] = dict.fromkeys(place for place in checked if not _blank(samples[place]))
        questions = ((place, partners.other_question(index)) for index, place in enumerate(checked))
        planned[OTHER_QUESTION] = {place: partner for place, partner in questions if partner is not None}
        for condition, why in WHY_NOT.items():
            if self.watch is not None and (left_out := len(checked) - len(planned[condition])):
                self.watch.warn(f"{condition!r} is not checked on {left_out} of {len(checked)} answers: {why}")
        return planned


def _unread(work: ChangedTasks) -> ChangedTasks:
    """The same work, on samples whose images are not read yet: nobody else keeps them when they are."""
    return replace(work, tasks=tuple(replace(task, sample=replace(task.sample)) for task in work.tasks))


def _blank(sample: Sample) -> bool:
    return bool((sample.source.load().pixels == GRAY).all())


def _batches(places: list[int]) -> Iterator[list[int]]:
    return (places[start : start + TOGETHER] for start in range(0, len(places), TOGETHER))
