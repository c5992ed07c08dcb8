"""The Ray engine: the rows of the local one, whatever dies. One Ray for the module; skipped where there is none."""

from __future__ import annotations

import os
import socket
import sys
import time
from functools import partial
from pathlib import Path

import pyarrow
import pyarrow.compute
import pytest

import study_stub
from processes import without_test_only
from study_stub import ABOUT, CONFIGURATION, VERSIONS, StubWorker, make_samples
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.local import Task, execute_local
from wherelook.evaluation.ray import ENVIRONMENT, _connected, execute_ray
from wherelook.evaluation.records import TIMES
from wherelook.evaluation.run import ENGINES, execute
from wherelook.evaluation.run_folder import open_run, read_run

SAMPLES = 12

needs_ray = pytest.mark.usefixtures("ray_here")


@pytest.fixture(scope="module")
def ray_here():
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'wherelook[ray]'")
    with without_test_only(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join((str(Path(study_stub.__file__).parent), *sys.path)))
        with _connected(None, 2):
            yield


def run(path: Path, *, engine=execute_ray, workers: int = 2, count: int = SAMPLES, retry: bool = False, **worker):
    with open_run(path, CONFIGURATION, VERSIONS) as opened:
        if retry:
            opened.retry_errors()
        return execute(
            partial(make_samples, count), opened, partial(StubWorker, **worker), engine=engine, workers=workers
        )


def same(path: Path):
    return read_run(path)[1].drop_columns(list(TIMES))


@needs_ray
def test_whatever_dies_or_hangs_the_rows_are_those_of_the_local_engine(tmp_path):
    """A worker dies at 2 and one hangs at 9, once each; every one dies at 5, which is given up until it is retried."""
    run(tmp_path / "local", engine=execute_local, workers=1)
    expected = same(tmp_path / "local")
    path, log = tmp_path / "ray", tmp_path / "log"
    started = time.monotonic()
    tally = run(path, dies_at=5, dies_once_at=2, hangs_once_at=9, once=tmp_path / "once", log=log)
    assert time.monotonic() - started < 300  # one hangs for ten minutes: it was overtaken
    assert {file.name for file in tmp_path.glob("once-*")} == {"once-2", "once-9"}
    assert (tally.done, tally.failed) == (SAMPLES, 2)  # the stub's own error is the other
    rows = same(path)
    positions = pyarrow.compute.not_equal(rows["position"], 5)
    assert rows.filter(positions).equals(expected.filter(pyarrow.compute.not_equal(expected["position"], 5)))
    given_up = rows.filter(pyarrow.compute.equal(rows["position"], 5)).to_pylist()
    assert [(row["status"], row["error"]) for row in given_up] == [("error", "2 workers died at it")] * 2
    done = [int(line) for line in log.read_text().split()]
    assert set(done) == set(range(SAMPLES)) - {5}
    assert len(done) <= SAMPLES + 4  # what dead workers and the one that hangs held beside

    assert run(path, workers=1, retry=True, log=log).now == 2
    assert same(path).equals(expected)


@needs_ray
def test_a_data_set_is_read_no_further_than_workers_hold(tmp_path):
    read = 0

    def tasks():
        nonlocal read
        for position, sample in enumerate(make_samples(1000)):
            read += 1
            yield Task(position, sample)

    about = []
    results = execute_ray(tasks(), StubWorker, workers=1, accept=about.append)
    for finished in range(1, 6):
        next(results)
        assert read <= finished + 2
    results.close()
    assert about == [ABOUT]


def unable():
    raise InputError("no such model")


def dies():
    os._exit(9)


@needs_ray
@pytest.mark.parametrize(
    ("make_worker", "kind", "message"),
    [
        (unable, InputError, "no such model"),
        (dies, WherelookError, r"^1 workers died and nothing was finished in between"),
    ],
)
def test_workers_that_cannot_be_made_end_the_run(make_worker, kind, message, tmp_path, monkeypatch):
    monkeypatch.setattr("wherelook.evaluation.ray.DEATHS_PER_WORKER", 1)
    with open_run(tmp_path, CONFIGURATION, VERSIONS) as opened, pytest.raises(kind, match=message):
        execute(partial(make_samples, 3), opened, make_worker, engine=execute_ray)


@needs_ray
@pytest.mark.parametrize(
    ("gpus", "message"),
    [
        (1.5, "--gpus-per-worker 1.5: expected a share from 0 to 1, or a whole number"),
        (-1.0, "--gpus-per-worker -1: expected a share"),
        (512.0, "--gpus-per-worker 512: no machine of the cluster has more than"),
    ],
)
def test_gpus_that_cannot_be(gpus, message):
    with pytest.raises(InputError, match=message):
        next(execute_ray(iter(()), StubWorker, accept=print, gpus_per_worker=gpus))


@pytest.mark.parametrize("address", ["nonsense", "ray://head:10001", "head:", ":1", "head:99999"])
def test_what_is_no_address(address):
    pytest.importorskip("ray")
    with pytest.raises(InputError, match="expected HOST:PORT, or auto"):
        next(execute_ray(iter(()), StubWorker, accept=print, address=address))


def test_a_cluster_that_does_not_answer_is_one_line_at_once():
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(InputError, match=f"no Ray cluster answers at '{address}': Connection refused"):
            next(execute_ray(iter(()), StubWorker, accept=print, address=address))


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs Ray: pip install 'ray>=2.50', or in a checkout of wherelook: "):
        next(execute_ray(iter(()), StubWorker, accept=print))


@needs_ray
def test_the_environment_is_left_as_it_was():
    assert not set(ENVIRONMENT) & set(os.environ)
    assert tuple(ENGINES) == ("local", "ray")
