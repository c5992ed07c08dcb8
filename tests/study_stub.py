"""A worker without a model, and samples without images, for what is not about either."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wherelook.data.datasets import Sample
from wherelook.data.images import LoadedImage
from wherelook.data.sources import ImageInMemory
from wherelook.evaluation.local import Finished, Task
from wherelook.evaluation.method_spec import parse_methods
from wherelook.evaluation.rows import method_row, sample_row

PIXELS = np.zeros((4, 4, 3), np.uint8)
RUNS = parse_methods("center,random")
ABOUT = {"id": "stub", "weights": "1"}
VERSIONS = {"wherelook": "0"}
CONFIGURATION = {
    "seed": 0,
    "dataset": "stub",
    "runs": [run.name for run in RUNS],
    "settings": {run.name: {"cells": 28} for run in RUNS},
}


def make_samples(count: int) -> Iterator[Sample]:
    for number in range(count):
        image = LoadedImage(PIXELS, None, f"{number}")
        yield Sample(f"s{number}", ImageInMemory(image), f"What is {number}?", references=(str(number),))


@dataclass
class StubWorker:
    """Two rows of every sample that follow from its question; the third sample has an error.

    Attributes:
        pause: seconds for each.
        dies_at: position at which the process ends.
        dies_once_at, hangs_once_at: positions at which the first process to come there ends, or is busy for
            ten minutes.
        once: how the names of files begin that tell that this has happened.
        log: a file that gets a line for every task.
    """

    pause: float = 0.0
    dies_at: int | None = None
    dies_once_at: int | None = None
    hangs_once_at: int | None = None
    once: Path | None = None
    log: Path | None = None
    about: Mapping[str, Any] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.about = ABOUT if self.about is None else self.about

    def __call__(self, task: Task) -> Finished:
        if task.position == self.dies_at or (task.position == self.dies_once_at and self._first(task)):
            os._exit(3)
        if task.position == self.hangs_once_at and self._first(task):
            time.sleep(600)
        if self.log is not None:
            with self.log.open("a") as log:
                log.write(f"{task.position}\n")
        time.sleep(self.pause)
        shared = sample_row(task.sample) | {"position": task.position, "answer": task.sample.question.upper()}
        failed = task.position == 2
        return Finished(
            [
                shared
                | method_row(run, 0)
                | {
                    "status": "error" if failed else "ok",
                    "error": "no" if failed else None,
                    "mask": [0.25, 1.0],
                    "mask_height": 1,
                    "mask_width": 2,
                    "reliance": task.position / 7,
                    "seconds": time.perf_counter(),
                }
                for run in RUNS
                if not task.methods or run.name in task.methods
            ],
        )

    def _first(self, task: Task) -> bool:
        assert self.once is not None
        mark = self.once.with_name(f"{self.once.name}-{task.position}")
        if mark.exists():
            return False
        mark.touch()
        return True

    def give_up(self, task: Task, error: str) -> Finished:
        shared = sample_row(task.sample) | {"position": task.position, "status": "error", "error": error}
        return Finished([shared | method_row(run, 0) for run in RUNS])
