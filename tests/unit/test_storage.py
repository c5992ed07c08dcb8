"""Files that hold finished work: whole or not there, never deleted."""

from __future__ import annotations

import errno
import json
import os
import resource
import threading
from pathlib import Path

import pytest

from wherelook import storage
from wherelook.errors import InputError, WherelookError
from wherelook.storage import LineFile, append, locked, set_aside, write_together, write_whole


def test_a_line_that_was_cut_off_is_moved_and_a_whole_one_without_its_end_stays(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')
    lines = LineFile(path)
    assert lines.records == [{"a": 1}]
    assert path.read_text() == '{"a": 1}\n'
    assert (tmp_path / "rows.jsonl.cut").read_text() == '{"a": 2\n'
    lines.add({"a": "\u2028\n"})
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    lines = LineFile(path)
    lines.add({"a": 3})
    assert [json.loads(line) for line in path.read_text().splitlines()] == LineFile(path).records
    assert LineFile(path).records == [{"a": 1}, {"a": "\u2028\n"}, {"a": 3}]


@pytest.mark.parametrize("text", ["x\n", "[]\n", '{"a": 1\n{"a": 2}\n', "[" * 100_000 + "\n", "3\n"])
def test_other_content_is_named_and_left_alone(tmp_path, text):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=r"rows.jsonl, line 1: expected a JSON object, .*name a new folder"):
        LineFile(path)
    assert path.read_text() == text


def test_a_line_that_the_disk_does_not_take_whole_is_taken_back(tmp_path):
    path, limits = tmp_path / "rows.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    lines = LineFile(path)
    lines.add({"a": 1})
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))  # a real limit: half of the line fits
    try:
        with pytest.raises(WherelookError, match=r"cannot write .*rows.jsonl: File too large; what is finished"):
            lines.add({"a": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    lines.add({"a": 2})
    assert LineFile(path).records == [{"a": 1}, {"a": 2}]


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / ("n" * 250)  # the hidden name is no longer than file systems take
    write_whole(path, b"first")
    for error in (OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()):

        def fails(_descriptor: int, error=error) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr("wherelook.storage.os.fsync", fails)
            with pytest.raises((WherelookError, KeyboardInterrupt)):
                write_whole(path, b"second")
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        assert path.read_bytes() == b"first"


def test_what_is_set_aside_never_replaces_what_was(tmp_path):
    for number in range(3):
        (tmp_path / "a.parquet").write_text(str(number))
        set_aside(tmp_path / "a.parquet", tmp_path)
    assert {file.name: file.read_text() for file in (tmp_path / "damaged").iterdir()} == {
        "a.parquet": "0", "a-2.parquet": "1", "a-3.parquet": "2",
    }  # fmt: skip


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("wherelook.storage.fcntl.flock", none)
    with pytest.raises(WherelookError, match="cannot be locked: No locks available"), locked(tmp_path):
        pass


def test_bytes_are_added_to_what_is_there(tmp_path):
    for data in (b"a", b"", b"bc"):
        append(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == b"abc"


class Dead(BaseException):
    """The process is gone: nothing that it would do afterwards happens."""


def dying(monkeypatch, after: int) -> None:
    """Every change to the disk fails from the one of this number on, also those that would clean up."""
    left = [after]

    def counted(real):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise Dead
            return real(*arguments, **options)

        return call

    monkeypatch.setattr("wherelook.storage.put", counted(storage.put))
    for name in ("unlink", "replace"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(".")}


OLD = {"last": "old", "a": "old", "b": "old", "c": "old"}
NEW = {"a": "new", "last": "new", "d": "new"}


def write_new(folder: Path) -> None:
    files = ((name, text.encode()) for name, text in NEW.items())
    write_together(folder, files, last="last", ours=lambda name: name in ("a", "b", "c", "d"))


@pytest.mark.parametrize("old", [OLD, {}])
def test_a_process_that_dies_leaves_files_of_one_set(tmp_path, monkeypatch, old):
    seen, ended = [], False
    for after in range(100):
        folder = tmp_path / str(after)
        folder.mkdir()
        for name, text in (old | {"users": "own"}).items():
            (folder / name).write_text(text)
        with monkeypatch.context() as patched:
            dying(patched, after)
            try:
                write_new(folder)
                ended = True
            except Dead:
                pass
        found = files_of(folder)
        assert found.pop("users") == "own"
        assert len(set(found.values())) <= 1
        assert "last" not in found or found in (old, NEW)
        seen.append(found)
        write_new(folder)
        assert files_of(folder) == NEW | {"users": "own"}
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
        if ended:
            break
    assert ended
    assert seen[0] == old
    assert seen[-1] == NEW


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_set_that_is_not_finished_leaves_the_earlier_one(tmp_path, monkeypatch, error):
    for name, text in OLD.items():
        (tmp_path / name).write_text(text)
    calls = []

    def fails(file, data):
        calls.append(data)
        if len(calls) == 3:
            raise error
        return storage_put(file, data)

    storage_put = storage.put
    monkeypatch.setattr("wherelook.storage.put", fails)
    with pytest.raises((WherelookError, KeyboardInterrupt), match=r"d: No space left on device; what is finished|^$"):
        write_new(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == OLD


def test_an_interruption_while_names_are_given_waits_for_them(tmp_path, monkeypatch):
    for name, text in OLD.items():
        (tmp_path / name).write_text(text)
    replace, interrupted = Path.replace, []

    def pressed(self, target):
        replace(self, target)
        if not interrupted:
            interrupted.append(target)
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", pressed)
    with pytest.raises(KeyboardInterrupt):
        write_new(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == NEW


def test_a_folder_under_the_name_of_a_file_is_found_before_anything_goes(tmp_path):
    (tmp_path / "last").write_text("old")
    (tmp_path / "d").mkdir()
    with pytest.raises(InputError, match="d is a folder where a file is to be written"):
        write_new(tmp_path)
    assert (tmp_path / "last").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "last"]


def test_sets_that_are_written_at_once_do_not_mix(tmp_path):
    def write(text: str) -> None:
        for _ in range(20):
            files = ((name, text.encode()) for name in ("a", "b", "last"))
            write_together(tmp_path, files, last="last")

    threads = [threading.Thread(target=write, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert sorted(found) == ["a", "b", "last"]
    assert len(set(found.values())) == 1
