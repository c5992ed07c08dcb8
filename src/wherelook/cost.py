"""What an explanation spends: passes, seconds, peak memory; and telling of it while it is spent."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import torch

from wherelook.score import Cost, Progress


class Spender(Protocol):
    """What a model offers whose work is measured."""

    cost: Cost

    @property
    def device(self) -> torch.device: ...


class Meter:
    """What this thread spends from here on: passes of the model and seconds; and the peak memory of the process."""

    def __init__(self, model: Spender) -> None:
        self.model = model
        self.before = model.cost.of_this_thread()
        self.started = time.perf_counter()
        self.memory = PeakMemory(model.device)

    def read(self) -> dict[str, float]:
        spent = asdict(self.model.cost.of_this_thread())
        passes = {name: count - getattr(self.before, name) for name, count in spent.items()}
        return passes | {"seconds": time.perf_counter() - self.started, "peak_bytes": self.memory.bytes()}


def add_costs(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Both together: sums, and the higher of the peaks."""
    return {
        name: max(value, second[name]) if name == "peak_bytes" else value + second[name]
        for name, value in first.items()
    }


@contextlib.contextmanager
def telling(cost: Cost, progress: Progress | None, stage: str, passes: int) -> Iterator[None]:
    """Inside, `progress` is told of every pass of this thread, of `passes` at most."""
    if progress is None or passes == 0:
        yield
        return
    before = cost.of_this_thread().forward
    progress(stage, 0, passes)
    with cost.watched(lambda: progress(stage, min(cost.of_this_thread().forward - before, passes), passes)):
        yield
    progress(stage, passes, passes)


class PeakMemory:
    """Peak memory since it was made: of the CUDA device, else of this process (resident).

    Linux can reset a process's high-water mark; elsewhere the figure is the peak since the process began.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def bytes(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        status = Path("/proc/self/status")
        if status.exists():
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
