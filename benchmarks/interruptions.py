"""Kills `wherelook run` at random moments and lets it go on; then compares one worker with two.

    python benchmarks/interruptions.py [--kills 20] [--samples 60]

Prints how many samples the kills cost, and whether the records equal, times aside, those of a run that nobody
interrupted. Exits with 1 if they do not.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow

from wherelook.study.folder import read_run
from wherelook.study.records import TIMES

OPTIONS = ("--method", "gradient", "--method", "center", "--measures", "map", "--blind", "--seed", "3")


def start(folder: Path, samples: int, *options: str) -> subprocess.Popen:
    line = [sys.executable, "-m", "wherelook", "run", "scenes-tuning", "--out", str(folder), "--limit", str(samples)]
    return subprocess.Popen([*line, *OPTIONS, *options], stdout=subprocess.DEVNULL)


def finish(folder: Path, samples: int, *options: str) -> float:
    """Runs to the end; seconds."""
    started = time.monotonic()
    if start(folder, samples, *options).wait() != 0:
        sys.exit(f"the run in {folder} failed")
    return time.monotonic() - started


def records(folder: Path) -> pyarrow.Table:
    return read_run(folder)[1].drop_columns(list(TIMES))


def finished(folder: Path) -> int:
    """Samples with rows."""
    if not (folder / "run.json").is_file():
        return 0
    return len(set(read_run(folder, ["sample"])[1]["position"].to_pylist()))


def kill_at_random(folder: Path, samples: int, kills: int, moments: random.Random) -> None:
    """Starts the run again and again, each time until some more samples are there and a moment longer."""
    for number in range(kills):
        goal = min(samples - 1, finished(folder) + moments.randrange(0, max(1, 2 * samples // (kills + 1))))
        process = start(folder, samples, "--workers", "2" if number % 4 == 3 else "1")
        while process.poll() is None and finished(folder) < goal:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"kill {number + 1}: {finished(folder)} of {samples} samples are there", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--samples", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        straight, killed, two = (Path(place) / name for name in ("straight", "killed", "two"))
        seconds = finish(straight, arguments.samples)
        seconds_two = finish(two, arguments.samples, "--workers", "2")
        kill_at_random(killed, arguments.samples, arguments.kills, random.Random(0))
        finish(killed, arguments.samples)
        expected = records(straight)
        same, same_two = records(killed).equals(expected), records(two).equals(expected)
    print(f"{arguments.kills} kills: {len(expected)} rows, {'equal' if same else 'NOT EQUAL'} to an uninterrupted run")
    print(f"two workers: {'equal' if same_two else 'NOT EQUAL'} to one; {seconds:.1f} s and {seconds_two:.1f} s")
    sys.exit(not (same and same_two))


if __name__ == "__main__":
    main()
