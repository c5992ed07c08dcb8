"""The files of a run: whole or not there, never mixed, one writer."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import operator
import os
import resource
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pyarrow
import pytest
from hypothesis import given, settings
from pyarrow import parquet

from study_stub import ABOUT, CONFIGURATION, VERSIONS, StubWorker, make_samples
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation import run_folder as folder_module
from wherelook.evaluation.local import Task
from wherelook.evaluation.records import SCHEMA, TIMES, DamagedError, read_records, storable, to_table, write_records
from wherelook.evaluation.run import Extent, execute
from wherelook.evaluation.run_folder import open_run, read_run


def run(path: Path, count: int, *, configuration=CONFIGURATION, versions=VERSIONS, retry=False, **worker):
    with open_run(path, configuration, versions) as opened:
        if retry:
            opened.retry_errors()
        return execute(lambda: make_samples(count), opened, lambda: StubWorker(**worker), extent=Extent(limit=count))


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


def test_a_thousand_neighbors_share_a_file(tmp_path, blocks_of_four):
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
        tally = execute(
            lambda: make_samples(5), opened, lambda: pytest.fail("a model was made"), extent=Extent(limit=5)
        )
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
        (
            {"configuration": CONFIGURATION | {"settings": {"center:best": {"cells": 7}}}},
            "configuration.settings.center:best.cells was 28 and is now 7",
        ),
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


def methods(*names: str, **changes) -> dict:
    """A configuration with these methods alone."""
    return CONFIGURATION | {"runs": list(names), "settings": {name: {"cells": 28} for name in names}} | changes


def test_methods_are_added_to_a_run_and_nothing_is_done_again(tmp_path):
    log = tmp_path / "log"
    run(tmp_path / "straight", 5)
    run(tmp_path / "run", 3, configuration=methods("center:best"))
    first = json.loads((tmp_path / "run" / "run.json").read_text())
    assert read_run(tmp_path / "run")[1]["run"].to_pylist() == ["center:best"] * 3
    tally = run(tmp_path / "run", 5, configuration=methods("random:best"), log=log)
    assert (tally.done, tally.now, tally.failed) == (5, 5, 1)
    tally = run(tmp_path / "run", 5, log=log)  # both: two samples lack the first one
    assert (tally.done, tally.now) == (5, 2)
    assert log.read_text().split() == ["0", "1", "2", "3", "4", "3", "4"]
    about, table = read_run(tmp_path / "run")
    assert about["configuration"]["runs"] == ["center:best", "random:best"]
    assert list(about["configuration"]["settings"]) == ["center:best", "random:best"]
    assert about["fingerprint"] == first["fingerprint"]
    assert table["run"].to_pylist() == ["center:best", "random:best"] * 3 + ["random:best", "center:best"] * 2
    keys = ["position", "run"]
    straight = same(tmp_path / "straight").sort_by([(key, "ascending") for key in keys])
    assert same(tmp_path / "run").sort_by([(key, "ascending") for key in keys]).equals(straight)
    assert [file.name for file in (tmp_path / "run" / "records").iterdir()] == ["part-00000000.parquet"]


def test_a_dataset_that_was_moved_or_named_is_the_same(tmp_path):
    run(tmp_path, 2)
    run(tmp_path, 3, configuration=CONFIGURATION | {"dataset": "elsewhere/stub", "name": "mine"})
    run(tmp_path, 4, configuration=CONFIGURATION | {"dataset": "elsewhere/stub", "name": None})
    configuration = read_run(tmp_path)[0]["configuration"]
    assert (configuration["dataset"], configuration["name"]) == ("elsewhere/stub", "mine")


def test_changed_data_is_named(tmp_path):
    run(tmp_path, 3)
    first, second, *_ = make_samples(3)
    for samples, message in (
        ([second], "sample 0 of the dataset was 's0' and is now 's1'; name a new folder"),
        ([type(first)("s0", first.source, "Other?")], "sample 's0' has changed: its fingerprint was [0-9a-f]{12} and"),
    ):
        with open_run(tmp_path, CONFIGURATION, VERSIONS) as opened, pytest.raises(InputError, match=message):
            execute(lambda samples=samples: samples, opened, StubWorker)


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
    with pytest.raises(DamagedError, match=r"sample-00000003.parquet is damaged, not a readable file of records"):
        read_run(path)
    log = tmp_path / "log"
    run(path, 7, log=log)
    assert log.read_text().split() == ["3", "4", "5", "6"]
    assert same(path).equals(straight)
    parts = ["part-00000000.parquet", "part-00000004.parquet"]
    assert sorted(file.name for file in records.iterdir()) == parts
    assert [file.name for file in (path / "damaged").iterdir()] == ["sample-00000003.parquet"]


def _stepwise(opened, count):
    worker = StubWorker()
    opened.accept(worker.about)
    for position, sample in enumerate(make_samples(count)):
        opened.add(worker(Task(position, sample)).rows)
        yield position + 1


def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        if len(list((tmp_path / "records").glob("sample-*"))) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("wherelook.storage.os.fsync", full)
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


@pytest.fixture(params=["samples", "part"])
def half(request, tmp_path):
    """A run of four of six samples, which a kill left as files of single samples, or which ended as a part."""
    with open_run(tmp_path / "run", CONFIGURATION, VERSIONS) as opened:
        list(_stepwise(opened, 4))
        if request.param == "samples":
            opened.gather = lambda: None
    return tmp_path / "run"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "records").iterdir()}


def outcome(path: Path, count: int) -> str:
    """What a run says that fails; nothing where it does not."""
    try:
        run(path, count)
    except WherelookError as error:
        return str(error)
    return ""


def fails(error: BaseException):
    def planted(*_arguments, **_options):
        raise error

    return planted


PLANTS = {
    "no permission": ("evaluation.records.parquet.ParquetFile", PermissionError(errno.EACCES, "Permission denied")),
    "a failing disk": ("evaluation.records.parquet.ParquetFile", OSError(errno.EIO, "Input/output error")),
    "a stale mount": ("evaluation.records.parquet.ParquetFile", OSError(errno.ESTALE, "Stale file handle")),
    "too many open files": ("evaluation.records.parquet.ParquetFile", OSError(errno.EMFILE, "Too many open files")),
    "arrow has no memory": (
        "evaluation.records.parquet.ParquetFile",
        pyarrow.ArrowMemoryError("malloc of size 8 failed"),
    ),
    "no memory": ("evaluation.records.parquet.ParquetFile", MemoryError()),
    "a codec that is missing": ("evaluation.records.parquet.ParquetFile", pyarrow.ArrowNotImplementedError("zstd")),
    "a folder that cannot be listed": ("storage.os.listdir", PermissionError(errno.EACCES, "Permission denied")),
    "bytes that do not come": ("storage.Path.read_bytes", OSError(errno.EIO, "Input/output error")),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_rows_that_cannot_be_read_for_a_moment_are_all_there_afterwards(half, tmp_path, monkeypatch, plant):
    before, (target, error) = contents(half), PLANTS[plant]
    with monkeypatch.context() as patched:
        patched.setattr(f"wherelook.{target}", fails(error))
        with pytest.raises(WherelookError, match=r"at the moment: .*nothing was changed") as raised:
            run(half, 6)
    assert (raised.value.exit_code, contents(half)) == (1, before)
    log = tmp_path / "log"
    run(half, 6, log=log)
    assert log.read_text().split() == ["4", "5"]
    assert not (half / "damaged").exists()


def test_a_full_table_of_open_files_loses_no_row(half, tmp_path):
    before, limits = contents(half), resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in (0, 1, 2, 3):  # for the lock, for run.json, for a folder, for a file of records
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        held = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            for _ in range(spare):
                os.close(held.pop())
            refused = outcome(half, 4)
        finally:
            for descriptor in held:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert ("Too many open files" in refused) == (spare < 2)
        assert {name: data for name, data in contents(half).items() if name in before} in (before, {})
        assert read_run(half)[1]["position"].to_pylist() == [0, 0, 1, 1, 2, 2, 3, 3]
    log = tmp_path / "log"
    run(half, 5, log=log)
    assert log.read_text().split() == ["4"]


def test_what_is_damaged_for_certain_is_set_aside_and_said_so(half, tmp_path):
    name, data = next(iter(sorted(contents(half).items())))
    lost = 1 if name.startswith("sample") else 4
    for number, damaged in enumerate((data[: len(data) // 2], b"", b"PAR1" + data[4:-4] + b"none"), start=1):
        (half / "records" / name).write_bytes(damaged)
        with open_run(half, CONFIGURATION, VERSIONS) as opened:
            (note,) = opened.notes
            assert f"{name} is damaged" in note
            assert note.endswith("and its samples are done again")
            assert opened.done == 4 - lost
            execute(lambda: make_samples(4), opened, StubWorker, extent=Extent(limit=4))
            opened.gather = lambda: None  # so that the same file is there again
        assert damaged in [file.read_bytes() for file in (half / "damaged").iterdir()]
        assert len(list((half / "damaged").iterdir())) == number
        assert read_run(half)[1]["position"].to_pylist() == [0, 0, 1, 1, 2, 2, 3, 3]
        if name.startswith("part"):
            return


def test_every_flipped_byte_of_a_file_of_records_is_noticed_or_harmless(tmp_path):
    file = tmp_path / "sample-00000000.parquet"
    write_records(file, StubWorker()(Task(0, next(make_samples(1)))).rows)
    whole, data = read_records(file), file.read_bytes()
    noticed = 0
    places = range(0, len(data), len(data) // 40)
    for place in places:
        file.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            # Names of the writer and the like are no rows.
            assert read_records(file).equals(whole)
        except WherelookError:
            noticed += 1
    assert noticed > len(places) // 4


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (lambda path: (path / "records").write_text(""), "records is a file where a folder is expected; move it away"),
        (lambda path: (path / "records" / "foreign.parquet").write_text(""), "foreign.parquet is not a file of this"),
        (lambda path: (path / "records" / "sample-x.parquet").write_text(""), "sample-x.parquet is not a file of this"),
        (lambda path: os.mkfifo(path / "records" / "sample-00000009.parquet"), "09.parquet is not a regular file"),
        (lambda path: (path / "run.json").mkdir(), "run.json is not a regular file; move it away"),
        (lambda path: (path / "run.json").write_bytes(b"\xff"), "run.json is not text in UTF-8"),
        (lambda path: (path / "run.json").write_text("[" * 100_000), "run.json cannot be read as JSON"),
        (lambda path: (path / "lock").symlink_to(path / "target"), "lock is not the lock of a run; move it away"),
        (lambda path: (path / "lock").mkdir(), "lock is not the lock of a run"),
        (lambda path: os.mkfifo(path / "lock"), "lock is not the lock of a run"),
        (lambda path: (path / "lock").write_text("my diary"), "lock is not the lock of a run"),
    ],
)
def test_what_is_something_else_in_the_folder_is_named_and_left_alone(tmp_path, plant, message):
    (tmp_path / "target").write_text("mine")
    if "records" not in str(plant.__code__.co_consts) or "foreign" in message or "sample" in message or "09" in message:
        (tmp_path / "records").mkdir()
    plant(tmp_path)
    with pytest.raises(InputError, match=message):
        run(tmp_path, 1)
    assert (tmp_path / "target").read_text() == "mine"
    if (tmp_path / "lock").is_file() and not (tmp_path / "lock").is_symlink():
        assert (tmp_path / "lock").read_text() in ("my diary", f"{os.getpid()}\n")


def test_records_of_other_samples_or_another_version(tmp_path):
    run(tmp_path, 2)
    part = tmp_path / "records" / "part-00000000.parquet"
    part.rename(tmp_path / "records" / "part-00005000.parquet")
    with pytest.raises(InputError, match=r"part-00005000.parquet holds rows of other samples: move it away"):
        run(tmp_path, 2)
    (tmp_path / "records" / "part-00005000.parquet").unlink()
    parquet.write_table(pyarrow.table({"position": [0]}), part)
    with pytest.raises(WherelookError, match="of another version: it has no column 'sample'"):
        run(tmp_path, 2)
    assert part.exists()


@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir"])
def test_wherever_the_disk_is_full_the_run_can_be_resumed(tmp_path, monkeypatch, call):
    """The error comes at the first call, then at the second, and so on, until the run comes to its end."""
    target = {"fsync": "wherelook.storage.os.fsync", "rename": "os.replace", "mkdir": "os.mkdir"}[call]
    real = operator.attrgetter(call if call != "rename" else "replace")(os)
    run(tmp_path / "straight", 2)
    straight, failures, told = same(tmp_path / "straight"), 0, 0
    while True:
        calls = itertools.count()

        def full(*arguments, calls=calls, failing=failures, **options):
            if next(calls) == failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **options)

        path = tmp_path / f"run{failures}"
        with monkeypatch.context() as patched:
            patched.setattr(target, full)
            refused = outcome(path, 2)
        if next(calls) <= failures:
            break
        failures += 1
        # filelock makes sure of a folder that is there: its failure means nothing.
        assert "No space left on device" in refused or call == "mkdir"
        told += bool(refused)
        assert not list(path.glob("records/.*"))
        run(path, 2)
        assert same(path).equals(straight)
    assert told >= {"fsync": 4, "rename": 4, "mkdir": 2}[call]


def test_a_failed_retry_that_is_interrupted_keeps_the_rows(tmp_path):
    run(tmp_path, 5)
    before = same(tmp_path)
    with open_run(tmp_path, CONFIGURATION, VERSIONS) as opened:
        assert opened.retry_errors() == 1
        assert opened.missing(2, list(make_samples(3))[2]) == ("center:best", "random:best")
    assert same(tmp_path).equals(before)


ODD = st.text(st.characters(codec=None, exclude_categories=()) | st.sampled_from("\ud800\udfff\\ucd85\0\n\u0301é"))


@settings(max_examples=10)
@given(st.lists(ODD, min_size=1, max_size=4, unique=True))
def test_whatever_a_sample_is_called_its_run_is_resumed(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("run")
    samples = [replace(sample, id=name, question=name) for name, sample in zip(names, make_samples(9), strict=False)]
    for expected in (len(names), 0):
        with open_run(path, CONFIGURATION, VERSIONS) as opened:
            assert execute(lambda: samples, opened, StubWorker).now == expected
    rows = [row for place, sample in enumerate(samples) for row in StubWorker()(Task(place, sample)).rows]
    written = to_table(rows).drop_columns(list(TIMES))
    assert same(path).equals(written)
    assert len(set(written["sample"].to_pylist())) == len(names)
    for name in names:
        with suppress(UnicodeEncodeError):
            name.encode()
            assert "\\ud" in name or name in written["sample"].to_pylist()


def test_a_lone_surrogate_is_escaped_and_what_looks_like_it_too():
    texts = ["\ud800", r"\ud800", r"\u005cud800", r"\u005c" + "\ud800", "\\" + "\ud800", r"C:\udon", r"\uD800", "é\0\n"]
    assert [storable(text) for text in texts] == [
        r"\ud800", r"\u005cud800", r"\u005cu005cud800", r"\u005c\ud800", r"\\ud800", r"C:\udon", r"\uD800", "é\0\n",
    ]  # fmt: skip


def test_the_fingerprint_is_of_settings_model_and_versions(tmp_path):
    prints = []
    for index, changes in enumerate(({}, {}, {"versions": {"wherelook": "1"}}, {"about": {"id": "other"}})):
        run(tmp_path / str(index), 1, **changes)
        prints.append(json.loads((tmp_path / str(index) / "run.json").read_text())["fingerprint"])
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
