"""Kills `wherelook run` at random moments and lets it go on; then compares one worker with two.

    python benchmarks/interruptions.py [--engine local] [--kills 20] [--samples 60]
    python benchmarks/interruptions.py --engine ray [--kills 4] [--samples 24]

The process that is killed is the one that was started; with Ray that is the driver, and Ray's own processes and the
workers are left to end by themselves. The run that nobody interrupts is by the local engine. Every worker has one
thread: sums over other numbers of threads differ in the last digits. Prints how many samples are there after each
kill, and whether the records equal, times aside, those of the run that nobody interrupted. Exits with 1 if they do not.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow

from wherelook.evaluation.records import TIMES
from wherelook.evaluation.run_folder import read_run

KILLS = {"local": 20, "ray": 4}
SAMPLES = {"local": 60, "ray": 24}
"""By engine, where the command line does not tell. Ray takes many seconds to start."""

OPTIONS = ("--method", "gradient", "--method", "center", "--metric", "map", "--blind", "--seed", "3")


def start(folder: Path, samples: int, *options: str) -> subprocess.Popen:
    line = [sys.executable, "-m", "wherelook", "run", "scenes-tuning", "--out", str(folder), "--limit", str(samples)]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*line, *OPTIONS, *options], stdout=subprocess.DEVNULL, env=one_thread)


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


def kill_at_random(folder: Path, samples: int, kills: int, engine: str, moments: random.Random) -> None:
    """Starts the run again and again, each time until some more samples are there and a moment longer."""
    for number in range(kills):
        goal = min(samples - 1, finished(folder) + moments.randrange(0, max(1, 2 * samples // (kills + 1))))
        process = start(folder, samples, "--engine", engine, "--workers", "2" if number % 4 == 3 else "1")
        while process.poll() is None and finished(folder) < goal:
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"kill {number + 1}: {finished(folder)} of {samples} samples are there", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=KILLS, default="local")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--samples", type=int)
    arguments = parser.parse_args()
    engine = arguments.engine
    kills, samples = arguments.kills or KILLS[engine], arguments.samples or SAMPLES[engine]
    with tempfile.TemporaryDirectory() as place:
        straight, killed, two = (Path(place) / name for name in ("straight", "killed", "two"))
        seconds = finish(straight, samples)
        seconds_two = finish(two, samples, "--engine", engine, "--workers", "2")
        kill_at_random(killed, samples, kills, engine, random.Random(0))
        finish(killed, samples, "--engine", engine)
        expected = records(straight)
        same, same_two = records(killed).equals(expected), records(two).equals(expected)
    print(f"{engine}, {kills} kills: {len(expected)} rows, {'equal' if same else 'NOT EQUAL'} to an uninterrupted run")
    print(
        f"{engine}, two workers: {'equal' if same_two else 'NOT EQUAL'} to one of the local engine; "
        f"{seconds_two:.1f} s and {seconds:.1f} s"
    )
    sys.exit(not (same and same_two))


if __name__ == "__main__":
    main()
