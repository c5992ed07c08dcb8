"""The files of a run: whole or not there, never mixed, one writer."""

from __future__ import annotations

import errno
import itertools
import json
import os
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from study_stub import ABOUT, VERSIONS, StubWorker, make_samples
from wherelook.errors import InputError, WherelookError
from wherelook.study import folder as folder_module
from wherelook.study.engine import Task
from wherelook.study.execute import execute
from wherelook.study.folder import open_run, read_run
from wherelook.study.records import SCHEMA, TIMES

CONFIGURATION = {"seed": 0, "runs": [{"name": "center:best", "settings": {"cells": 28}}]}


def run(path: Path, count: int, *, configuration=CONFIGURATION, versions=VERSIONS, retry=False, **worker):
    with open_run(path, configuration, versions) as opened:
        if retry:
            opened.forget_errors()
        return execute(make_samples(count), opened, lambda: StubWorker(**worker), limit=count)


def same(path: Path) -> pyarrow.Table:
    """All rows without their times."""
    return read_run(path)[1].drop_columns(list(TIMES))


@pytest.fixture
def blocks_of_four(monkeypatch):
    monkeypatch.setattr(folder_module, "BLOCK", 4)


def test_a_run_is_one_file_in_the_order_of_the_data(tmp_path):
    tally = run(tmp_path, 5)
    assert (tally.done, tally.now, tally.failed, tally.total) == (5, 5, 1, 5)
    assert [file.name for file in sorted((tmp_path / "records").iterdir())] == ["part-00000000.parquet"]
    about, table = read_run(tmp_path)
    assert (about["configuration"], about["model"], about["versions"]) == (CONFIGURATION, ABOUT, VERSIONS)
    assert len(about["fingerprint"]) == 64
    assert table.schema.equals(SCHEMA)
    assert table["position"].to_pylist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert table["run"].to_pylist() == ["center:best", "random:best"] * 5
    assert table["answer"][9].as_py() == "WHAT IS 4?"
    assert table["error"].to_pylist()[4:6] == ["no", "no"]
    assert table["mask"][0].as_py() == [0.25, 1.0]


def test_pandas_reads_the_records_alone(tmp_path):
    pandas = pytest.importorskip("pandas")
    run(tmp_path, 3)
    frame = pandas.read_parquet(tmp_path / "records")
    assert list(frame.columns) == SCHEMA.names
    assert list(frame["sample"]) == ["s0", "s0", "s1", "s1", "s2", "s2"]


def test_a_thousand_neighbours_share_a_file(tmp_path, blocks_of_four):
    run(tmp_path, 10)
    names = [file.name for file in sorted((tmp_path / "records").iterdir())]
    assert names == ["part-00000000.parquet", "part-00000004.parquet", "part-00000008.parquet"]
    run(tmp_path, 11)
    assert [file.name for file in sorted((tmp_path / "records").iterdir())] == names
    assert read_run(tmp_path)[1]["position"].to_pylist() == sorted([*range(11)] * 2)


def test_what_is_done_is_not_done_again_and_no_model_is_made_for_nothing(tmp_path):
    log = tmp_path / "log"
    run(tmp_path / "run", 3, log=log)
    run(tmp_path / "run", 5, log=log)
    assert log.read_text().split() == ["0", "1", "2", "3", "4"]
    with open_run(tmp_path / "run", CONFIGURATION, VERSIONS) as opened:
        tally = execute(make_samples(5), opened, lambda: pytest.fail("a model was made"), limit=5)
    assert (tally.done, tally.now) == (5, 0)


def test_errors_are_done_again_on_request(tmp_path):
    log = tmp_path / "log"
    run(tmp_path / "run", 5)
    straight = same(tmp_path / "run")
    run(tmp_path / "run", 5, retry=True, log=log)
    assert log.read_text().split() == ["2"]
    assert same(tmp_path / "run").equals(straight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"configuration": CONFIGURATION | {"seed": 1}}, "configuration.seed was 0 and is now 1: name a new folder"),
        ({"configuration": {"seed": 0}}, r'configuration.runs was \[\{"name": "center:best".* and is now null'),
        ({"configuration": CONFIGURATION | {"new": True}}, "configuration.new was null and is now true"),
        ({"versions": {"wherelook": "1"}}, 'versions.wherelook was "0" and is now "1"'),
        ({"about": ABOUT | {"weights": "2"}}, 'model.weights was "1" and is now "2"'),
    ],
)
def test_what_has_changed_is_named_and_nothing_is_mixed(tmp_path, changes, message):
    run(tmp_path, 2)
    before = same(tmp_path)
    with pytest.raises(InputError, match=message):
        run(tmp_path, 4, **changes)
    assert same(tmp_path).equals(before)


def test_changed_data_is_named(tmp_path):
    run(tmp_path, 3)
    first, second, *_ = make_samples(3)
    for samples, message in (
        ([second], "sample 0 of the data set was 's0' and is now 's1'; name a new folder"),
        ([type(first)("s0", first.source, "Other?")], "sample 's0' has changed: its fingerprint was [0-9a-f]{12} and"),
    ):
        with open_run(tmp_path, CONFIGURATION, VERSIONS) as opened, pytest.raises(InputError, match=message):
            execute(samples, opened, StubWorker)


def test_two_writers(tmp_path):
    with open_run(tmp_path, CONFIGURATION, VERSIONS):
        message = rf"another process \({os.getpid()}\) is writing to .*: wait for it, or name a new folder"
        with pytest.raises(InputError, match=message), open_run(tmp_path, CONFIGURATION, VERSIONS):
            pass
    run(tmp_path, 1)


def test_the_lock_of_a_dead_process_is_no_lock(tmp_path):
    (tmp_path / "lock").write_text("999999\n")
    run(tmp_path, 1)
    assert set(same(tmp_path)["sample"].to_pylist()) == {"s0"}


def test_leftovers_of_an_interruption(tmp_path, blocks_of_four):
    """Killed while gathering: the part is there, and so are some of its samples. Killed while writing: a hidden file.
    The power failed: a file is empty. All that is missing is done again."""
    run(tmp_path / "straight", 7)
    straight = same(tmp_path / "straight")
    path = tmp_path / "run"
    records = path / "records"
    with open_run(path, CONFIGURATION, VERSIONS) as opened:
        for tally in itertools.islice(_stepwise(opened, 7), 3):
            assert tally == len(list(records.glob("sample-*")))
        singles = {file.name: file.read_bytes() for file in records.glob("sample-*")}
    assert len(singles) == 3
    for name, data in singles.items():
        (records / name).write_bytes(data)
    (records / "sample-00000003.parquet").touch()
    (records / ".sample-00000004.parquet.unfinished").write_bytes(b"PAR1")
    with pytest.raises(WherelookError, match=r"sample-00000003.parquet is not a readable file of records"):
        read_run(path)
    log = tmp_path / "log"
    run(path, 7, log=log)
    assert log.read_text().split() == ["3", "4", "5", "6"]
    assert same(path).equals(straight)
    parts = ["part-00000000.parquet", "part-00000004.parquet"]
    assert sorted(file.name for file in records.iterdir()) == parts


def _stepwise(opened, count):
    worker = StubWorker()
    opened.accept(worker.about)
    for position, sample in enumerate(make_samples(count)):
        opened.add(position, worker(Task(position, sample)).rows)
        yield position + 1


def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        if len(list((tmp_path / "records").glob("sample-*"))) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("wherelook.study.records.os.fsync", full)
    with pytest.raises(WherelookError, match=r"cannot write .*: No space left on device; what is finished is kept"):
        run(tmp_path, 6)
    assert not list((tmp_path / "records").glob(".*"))
    assert read_run(tmp_path)[1]["position"].to_pylist() == [0, 0, 1, 1, 2, 2]
    monkeypatch.undo()
    run(tmp_path, 6)
    assert len(read_run(tmp_path)[1]) == 12


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON: name a new folder"),
        ("[]", "is not the file of a run"),
        ('{"configuration": {}, "model": {}, "versions": {}, "schema_version": 99}', "is of another version"),
    ],
)
def test_a_broken_run_file(tmp_path, text, message):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=message):
        run(tmp_path, 1)


def test_records_without_their_run_file(tmp_path):
    run(tmp_path, 1)
    (tmp_path / "run.json").unlink()
    with pytest.raises(InputError, match=r"holds records but no run.json: name a new folder"):
        run(tmp_path, 1)
    with pytest.raises(InputError, match="holds no run"):
        read_run(tmp_path)


def test_damaged_or_foreign_records_of_many_samples_are_not_thrown_away(tmp_path):
    run(tmp_path, 2)
    part = tmp_path / "records" / "part-00000000.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:-100])
    with pytest.raises(WherelookError, match=r"part-00000000.parquet is not a readable file of records"):
        run(tmp_path, 2)
    parquet.write_table(pyarrow.table({"position": [0]}), part)
    with pytest.raises(WherelookError, match="of another version: it has no column 'fingerprint'"):
        run(tmp_path, 2)


def test_the_fingerprint_is_of_settings_model_and_versions(tmp_path):
    prints = []
    for index, changes in enumerate(({}, {}, {"versions": {"wherelook": "1"}}, {"about": {"id": "other"}})):
        run(tmp_path / str(index), 1, **changes)
        prints.append(json.loads((tmp_path / str(index) / "run.json").read_text())["fingerprint"])
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
