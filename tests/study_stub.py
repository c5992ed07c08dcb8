"""A worker without a model, and samples without images, for what is not about either."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wherelook.data.images import LoadedImage
from wherelook.data.samples import Sample
from wherelook.data.sources import ImageInMemory
from wherelook.study.engine import Finished, Task
from wherelook.study.rows import run_row, sample_row
from wherelook.study.runs import parse_runs

PIXELS = np.zeros((4, 4, 3), np.uint8)
RUNS = parse_runs("center,random")
ABOUT = {"id": "stub", "weights": "1"}
VERSIONS = {"wherelook": "0"}


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
        log: a file that gets a line for every task.
    """

    pause: float = 0.0
    dies_at: int | None = None
    log: Path | None = None
    about: Mapping[str, Any] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.about = ABOUT if self.about is None else self.about

    def __call__(self, task: Task) -> Finished:
        if task.position == self.dies_at:
            os._exit(3)
        if self.log is not None:
            with self.log.open("a") as log:
                log.write(f"{task.position}\n")
        time.sleep(self.pause)
        shared = sample_row(task.sample) | {"position": task.position, "answer": task.sample.question.upper()}
        failed = task.position == 2
        return Finished(
            task.position,
            [
                shared
                | run_row(run, 0)
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
            ],
        )
