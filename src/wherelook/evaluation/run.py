"""A run over a dataset: what is missing is done, whatever has been done stays."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from wherelook.data.datasets import Sample
from wherelook.evaluation.failures import Watch
from wherelook.evaluation.local import Engine, Task, Worker, execute_local
from wherelook.evaluation.ray import execute_ray
from wherelook.evaluation.run_folder import RunFolder

ENGINES: Mapping[str, Engine] = {"local": execute_local, "ray": execute_ray}


@dataclass(frozen=True)
class Tally:
    """How far a run is: samples with rows, how many of them this time, how many with an error, out of how many.

    `total` is None where the dataset does not tell its length.
    """

    done: int
    now: int
    failed: int
    total: int | None


def execute(
    samples: Iterable[Sample],
    folder: RunFolder,
    make_worker: Callable[[], Worker],
    *,
    limit: int | None = None,
    engine: Engine = execute_local,
    workers: int = 1,
    progress: Callable[[Tally], None] | None = None,
    watch: Watch | None = None,
) -> Tally:
    """Gives every sample its rows. One that has them is not done again, and no model is made if all have.

    Args:
        samples: the dataset; read as far as workers need it, and never beyond `limit`.
        folder: from `open_run`.
        make_worker: () -> Worker; for several workers it can be pickled.
        limit: how many samples from the beginning; None for all.
        engine: one of `ENGINES`.
        workers: how many at once.
        progress: called at the start and after every sample.
        watch: is given the rows of every sample that is finished, and what is to know about its prompt.

    Raises:
        InputError: a sample or the model is not the one that the folder's rows are of.
        WherelookError: the dataset is broken at some place, the disk is full, or a worker died.
    """
    before = folder.done

    def tally() -> Tally:
        done = folder.done
        return Tally(done, done - before, folder.failed, None if limit is None else max(limit, done))

    def report() -> None:
        if progress is not None:
            progress(tally())

    report()
    missing = _missing(itertools.islice(samples, limit), folder)
    first = next(missing, None)
    if first is not None:
        tasks = itertools.chain((first,), missing)
        for finished in engine(tasks, make_worker, workers=workers, accept=folder.accept):
            folder.add(finished.position, finished.rows)
            if watch is not None:
                watch.note(finished.rows[0]["sample"], finished.notes)
                watch(finished.rows)
            report()
    return tally()


def _missing(samples: Iterable[Sample], folder: RunFolder) -> Iterator[Task]:
    for position, sample in enumerate(samples):
        if runs := folder.missing(position, sample):
            yield Task(position, sample, runs, folder.answer(position))
