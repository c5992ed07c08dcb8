"""Files that hold finished work: whole or not there, never deleted."""

from __future__ import annotations

import errno
import os
import resource

import pytest

from wherelook.errors import WherelookError
from wherelook.storage import append, locked, set_aside, write_whole


def test_a_line_that_the_disk_does_not_take_whole_is_taken_back(tmp_path):
    path, limits = tmp_path / "rows.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    append(path, b'{"a": 1}\n')
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))  # a real limit: half of the line fits
    try:
        with pytest.raises(WherelookError, match=r"cannot write .*rows.jsonl: File too large; what is finished"):
            append(path, b'{"a": 2}\n')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    append(path, b'{"a": 2}\n')
    assert path.read_bytes() == b'{"a": 1}\n{"a": 2}\n'


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

    monkeypatch.setattr("fcntl.flock", none)
    with pytest.raises(WherelookError, match="cannot be locked: No locks available"), locked(tmp_path):
        pass


def test_bytes_are_added_to_what_is_there(tmp_path):
    for data in (b"a", b"", b"bc"):
        append(tmp_path / "file", data)
    assert (tmp_path / "file").read_bytes() == b"abc"
