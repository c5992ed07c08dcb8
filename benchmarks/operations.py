"""Where the seconds of a gradient go: shares of torch's operations in case (b) of `speed.py`, on the CPU.

    python benchmarks/operations.py

As torch's profiler counts them, in four passes; beside the rate of one large matrix product.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

import speed
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

PASSES = 4
SIDE = 4096
KINDS: Mapping[str, tuple[str, ...]] = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention": ("attention",),
}
OTHER = "everything else"


def main() -> None:
    score, _ = speed.medium()
    masks = torch.full((PASSES, 8, 8), 0.5)
    score.gradient(masks)  # sizes its batches
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        score.gradient(masks)
    taken: Counter[str] = Counter()
    for event in profiler.key_averages():
        taken[_kind(event.key)] += event.self_cpu_time_total / 1e6
    print(f"{PASSES} passes with a gradient, {torch.get_num_threads()} threads")
    for kind, seconds in taken.most_common():
        print(f"    {kind:<16} {seconds:6.2f} s  {seconds / sum(taken.values()):6.1%}")

    with FlopCounterMode(display=False) as counter:  # does not count attention on a CPU
        score.gradient(masks)
    rate = counter.get_total_flops() / taken["matrix products"] / _rate_of_a_large_product()
    print(f"matrix products at {rate:.0%} of the rate of a large one")


def _kind(operation: str) -> str:
    return next((kind for kind, names in KINDS.items() if any(name in operation for name in names)), OTHER)


def _rate_of_a_large_product() -> float:
    """Floating-point operations per second."""
    matrix = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    matrix @ matrix
    started = time.perf_counter()
    for _ in range(5):
        matrix @ matrix
    return 5 * 2 * SIDE**3 / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
