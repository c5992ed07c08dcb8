"""Runs over data sets: interruptions, processes, streams."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
import tracemalloc
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from processes import spawned_at_once, without_test_only
from study_stub import ABOUT, CONFIGURATION, VERSIONS, StubWorker, make_samples
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.local import execute_local, most_threads, threads_of_worker
from wherelook.evaluation.records import TIMES
from wherelook.evaluation.run import Extent, execute
from wherelook.evaluation.run_folder import open_run, read_run

SAMPLES = 60


def run(path: Path, *, count: int = SAMPLES, **worker) -> None:
    with open_run(path, CONFIGURATION, VERSIONS) as opened:
        execute(partial(make_samples, count), opened, partial(StubWorker, **worker), extent=Extent(limit=count))


def same(path: Path):
    return read_run(path)[1].drop_columns(list(TIMES))


def test_killed_at_any_moment_a_run_goes_on_as_if_nothing_had_happened(tmp_path, monkeypatch):
    """`benchmarks/interruptions.py` does the same to the command with a model, twenty times."""
    monkeypatch.setattr("wherelook.evaluation.run_folder.BLOCK", 7)  # kills find it gathering too
    run(tmp_path / "straight")
    moments = random.Random(0)
    context = multiprocessing.get_context("fork")
    path, log = tmp_path / "run", tmp_path / "log"
    for _ in range(3):
        child = context.Process(target=run, args=(path,), kwargs={"pause": 0.02, "log": log})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on forking where there are threads
            child.start()
        before = len(log.read_text().split()) if log.exists() else 0
        reached = before + moments.randrange(3, 12)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (len(log.read_text().split()) if log.exists() else 0) < reached:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.03))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
    run(path, log=log)
    assert same(path).equals(same(tmp_path / "straight"))
    done = [int(line) for line in log.read_text().split()]
    assert set(done) == set(range(SAMPLES))
    assert len(done) <= SAMPLES + 3  # each kill cost the sample in flight, no other
    assert sorted(file.name for file in (path / "records").iterdir()) == sorted(
        file.name for file in (tmp_path / "straight" / "records").iterdir()
    )


def test_two_processes_give_the_rows_of_one(tmp_path):
    run(tmp_path / "one", count=20)
    with without_test_only(), open_run(tmp_path / "two", CONFIGURATION, VERSIONS) as opened:
        tallies = []
        execute(
            partial(make_samples, 20),
            opened,
            partial(StubWorker, pause=0.01),
            extent=Extent(limit=20),
            workers=2,
            progress=tallies.append,
        )
    assert same(tmp_path / "two").equals(same(tmp_path / "one"))
    assert [tally.done for tally in tallies] == list(range(21))
    assert (tallies[0].failed, tallies[-1].failed, tallies[-1].total) == (0, 1, 20)
    assert multiprocessing.active_children() == []


def test_a_process_that_dies_is_one_clear_line_and_loses_its_sample_only(tmp_path):
    with (
        pytest.raises(WherelookError, match=r"a worker process ended with exit code 3 .*the same command goes on"),
        spawned_at_once(),
        open_run(tmp_path, CONFIGURATION, VERSIONS) as opened,
    ):
        execute(partial(make_samples, 9), opened, partial(StubWorker, dies_at=5), workers=2)
    assert multiprocessing.active_children() == []
    positions = set(read_run(tmp_path)[1]["position"].to_pylist())
    assert positions >= set(range(4))
    assert 5 not in positions


def test_an_engine_reads_no_more_than_it_needs_and_asks_for_the_model_first():
    read, events = [], []

    def tasks():
        for number in range(100):
            read.append(number)
            yield number

    class Echo:
        about = ABOUT

        def __call__(self, task):
            return events.append(task) or task

    # Tasks and results are nothing to an engine.
    engine = getattr(execute_local, "__wrapped__", execute_local)
    results = engine(tasks(), Echo, workers=1, accept=events.append)
    assert next(results) == 0
    assert (read, events) == ([0], [ABOUT, 0])


def test_another_model_is_refused_before_its_first_row(tmp_path):
    run(tmp_path, count=1)
    with (
        open_run(tmp_path, CONFIGURATION, VERSIONS) as opened,
        pytest.raises(InputError, match=r'model.weights was "1" and is now "2"'),
    ):
        execute(partial(make_samples, 3), opened, partial(StubWorker, about=ABOUT | {"weights": "2"}, dies_at=1))


def test_a_large_data_set_starts_at_once_in_little_memory(tmp_path):
    (first,) = make_samples(1)
    read = 0

    def samples():
        nonlocal read
        for number in range(100_000):
            read += 1
            yield replace(first, id=str(number))

    tracemalloc.start()
    try:
        with open_run(tmp_path, CONFIGURATION, VERSIONS) as opened:
            tally = execute(samples, opened, StubWorker, extent=Extent(limit=3))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tally.done, read) == (3, 3)
    assert peak < 5_000_000


@pytest.mark.parametrize(("variable", "sharing", "threads"), [("1", 1, 1), ("3", 2, 3), ("99", 2, 4), ("", 3, 2)])
def test_a_worker_has_its_share_of_the_processors_and_no_more_threads_than_the_environment_allows(
    monkeypatch, variable, sharing, threads
):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert threads_of_worker(sharing, most_threads()) == threads
