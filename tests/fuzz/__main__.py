"""The long fuzz, `make fuzz`: figures on standard output, exit code 1 after a failure, failing inputs in a folder.

`PYTHONPATH=tests python -m fuzz --target images --first 123 --count 1` tries one input again.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import Random

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

from torchvision_stub import enable_torchvision

enable_torchvision()  # before transformers is imported

from fuzz.engine import Tally, limit_memory, peak_memory, run  # noqa: E402
from fuzz.targets import TARGETS  # noqa: E402

EXTRA = 6 * 10**9
"""Bytes of address space that inputs may take together beyond what Python and its libraries have."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=TARGETS, action="append", help="this reader alone; may be repeated")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each")
    parser.add_argument("--count", type=int, default=20_000, help="inputs of all readers together")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="where failing inputs go")
    options = parser.parse_args()
    chosen = [TARGETS[name] for name in options.target or TARGETS]
    unit = options.count / sum(target.share for target in chosen)
    warnings.simplefilter("ignore")
    total, started = Tally(), time.monotonic()
    for target in chosen:
        target.make(Random(0))  # builds what inputs are made of
    limit_memory(EXTRA)
    print(f"{'reader':<14}{'inputs':>8}{'read':>8}{'refused':>9}{'failures':>10}{'slowest':>10}")
    for target in chosen:
        with tempfile.TemporaryDirectory() as folder:
            tally = run(target, options.first, -int(-unit * target.share // 1), Path(folder))
        total.read += tally.read
        total.refused += tally.refused
        total.slowest = max(total.slowest, tally.slowest)
        total.failures += tally.failures
        _print(target.name, tally)
    _print("all", total)
    print(f"{time.monotonic() - started:.0f} s, at most {peak_memory() / 1e9:.2f} GB of memory")
    for failure in total.failures[:50]:
        print(f"\n{failure.target} {failure.number}: {failure.what}")
    if total.failures:
        options.failures.mkdir(exist_ok=True)
        for failure in total.failures:
            (options.failures / f"{failure.target}-{failure.number}.pickle").write_bytes(pickle.dumps(failure.made))
    return bool(total.failures)


def _print(name: str, tally: Tally) -> None:
    count = tally.read + tally.refused
    print(
        f"{name:<14}{count:>8}{tally.read:>8}{tally.refused:>9}{len(tally.failures):>10}{tally.slowest:>8.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
