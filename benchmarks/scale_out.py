"""What the engines of `wherelook run` cost and gain.

    python benchmarks/scale_out.py [--tasks 2000] [--samples 60] [--engines local,ray]

Prints for every engine the time per task of a worker that does nothing (the engine's own part, no file
written), and the samples per second that one and two workers of one thread each do with the embedded model, their start
left out; then whether all gave the same rows; and what one worker does that has the whole machine's threads, which is
what `wherelook run` does where nothing is said.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from wherelook.data.datasets import read_samples
from wherelook.evaluation.local import Finished, Task, Worker
from wherelook.evaluation.method_spec import parse_methods
from wherelook.evaluation.records import TIMES
from wherelook.evaluation.run import ENGINES
from wherelook.evaluation.worker import Procedure, load_worker
from wherelook.load_options import LoadOptions

DATASET = "scenes-tuning"
PROCEDURE = Procedure(DATASET, tuple(parse_methods("guided-igos:fast,center")), metrics=("replay",))
FEW = 20
"""Scenes that the worker that does nothing gets again and again."""


class Idle:
    """A worker that does nothing."""

    about: dict[str, str] = {}  # noqa: RUF012 - the protocol's attribute

    def __call__(self, task: Task) -> Finished:
        return Finished([{"position": task.position}])

    def give_up(self, task: Task, error: str) -> Finished:
        return self(task)


def tasks(count: int, different: int) -> list[Task]:
    samples = list(itertools.islice(read_samples(DATASET), different))
    return [Task(position, samples[position % different]) for position in range(count)]


def measure(
    engine: str, work: list[Task], make_worker: Callable[[], Worker], workers: int
) -> tuple[float, list[Finished]]:
    """Seconds between the first result and the last, and all results in the order of the tasks."""
    results: Iterator[Finished] = ENGINES[engine](work, make_worker, workers=workers, accept=lambda about: None)
    found = [next(results)]
    started = time.perf_counter()
    found.extend(results)
    ended = time.perf_counter() - started
    return ended, sorted(found, key=lambda finished: finished.rows[0]["position"])


def rows(found: list[Finished]) -> list[dict]:
    return [
        {name: value for name, value in row.items() if name not in TIMES} for finished in found for row in finished.rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--engines", default=",".join(ENGINES))
    arguments = parser.parse_args()
    idle = tasks(arguments.tasks, FEW)
    work = tasks(arguments.samples, arguments.samples)
    make_worker = partial(load_worker, PROCEDURE, "embedded", LoadOptions())
    everything = torch.get_num_threads()
    os.environ["OMP_NUM_THREADS"] = "1"  # of workers in processes of their own
    torch.set_num_threads(1)
    kept = []
    for engine in arguments.engines.split(","):
        seconds, _ = measure(engine, idle, Idle, 2)
        print(f"{engine}: {seconds / (arguments.tasks - 1) * 1000:.2f} ms per task of two workers that do nothing")
        rates = []
        for workers in (1, 2):
            seconds, found = measure(engine, work, make_worker, workers)
            kept.append(rows(found))
            rates.append((arguments.samples - 1) / seconds)
            print(f"{engine}: {rates[-1]:.2f} samples per second, workers of one thread: {workers}", flush=True)
        print(f"{engine}: two workers do {rates[1] / rates[0]:.2f} times as much as one")
    torch.set_num_threads(everything)
    seconds, _ = measure("local", work, make_worker, 1)
    print(f"local: {(arguments.samples - 1) / seconds:.2f} samples per second, one worker of {everything} threads")
    same = all(other == kept[0] for other in kept)
    print(f"rows: {'equal' if same else 'NOT EQUAL'}")
    sys.exit(not same)


if __name__ == "__main__":
    main()
