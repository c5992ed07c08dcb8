"""The files of an explanation: of one explanation, whole, and in place of nothing but an earlier one."""

from __future__ import annotations

import errno
import hashlib
import json

import pytest
from PIL import Image

from wherelook import storage
from wherelook.errors import InputError, WherelookError
from wherelook.explanation import Explanation, check_folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_an_earlier_explanation_stays_until_the_next_one_is_whole(make_explanation, tmp_path, monkeypatch, error):
    make_explanation(question="before").save(tmp_path)
    before, put, pieces = contents(tmp_path), storage.put, []

    def refused(file, data):
        pieces.append(data)
        if len(pieces) == 5:
            raise error
        return put(file, data[: len(data) // 2 + 1])  # the disk takes a part at a time

    monkeypatch.setattr(storage, "put", refused)
    with pytest.raises((WherelookError, KeyboardInterrupt), match=r"cannot write .*: No space left on device; |^$"):
        make_explanation(question="after").save(tmp_path)
    assert contents(tmp_path) == before
    monkeypatch.setattr(storage, "put", put)
    make_explanation(question="after").save(tmp_path)
    assert json.loads((tmp_path / "explanation.json").read_text())["question"] == "after"


def test_a_picture_that_cannot_be_drawn_leaves_the_earlier_explanation(make_explanation, tmp_path, monkeypatch):
    make_explanation(question="before").save(tmp_path)
    before = contents(tmp_path)

    def fails(self):
        raise MemoryError

    monkeypatch.setattr(Explanation, "to_html", fails)
    with pytest.raises(MemoryError):
        make_explanation(question="after").save(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "content"), [("mask-7.npy", b"mine"), ("overlay-2.png", b"mine"), ("report.html", b"edited by me")]
)
def test_a_file_of_the_user_beside_an_explanation_stays(make_explanation, tmp_path, name, content):
    make_explanation().save(tmp_path)
    (tmp_path / name).write_bytes(content)
    before = contents(tmp_path)
    for call in (make_explanation().save, check_folder):
        with pytest.raises(InputError, match=f"{name} was not written by an explanation, .* changed since: move it"):
            call(tmp_path)
        assert contents(tmp_path) == before


def test_the_record_lists_the_other_files(make_explanation, tmp_path):
    explanation = make_explanation()
    explanation.save(tmp_path)
    found = contents(tmp_path)
    record = json.loads(found.pop("explanation.json"))
    assert record.pop("files") == {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}
    assert record == explanation.to_dict()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("report.html", "mine", "report.html was not written by an explanation, .*: move it away, or name another"),
        ("mask-12.npy", "mine", "mask-12.npy was not written by an explanation"),
        ("explanation.json", "{}", "explanation.json was not written by an explanation: move it away"),
        ("explanation.json", "\xff", "explanation.json was not written by an explanation"),
        ("explanation.json", "[" * 100_000, "explanation.json was not written by an explanation"),
    ],
)
def test_a_file_of_the_user_is_not_written_over(make_explanation, tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=message):
        make_explanation().save(tmp_path)
    assert contents(tmp_path) == {name: content.encode("latin-1")}


def test_other_files_in_the_folder_stay(make_explanation, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    Image.new("RGB", (2, 2)).save(tmp_path / "photo.png")
    before = contents(tmp_path)
    make_explanation().save(tmp_path)
    make_explanation().save(tmp_path)
    assert before.items() <= contents(tmp_path).items()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file", "file is a file where a folder is expected; move it away"),
        ("file/below/it", "cannot make the folder .*below/it: Not a directory; choose another one"),
        ("n" * 300, "cannot make the folder .*: File name too long; choose another one"),
        ("null\0byte", "cannot make the folder .*: embedded null byte; choose another one"),
    ],
)
def test_a_place_that_cannot_be_is_named(make_explanation, tmp_path, place, message):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=message):
        make_explanation().save(tmp_path / place)
    assert contents(tmp_path) == {"file": b"mine"}


def test_a_full_disk_has_no_room_for_a_folder(make_explanation, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.mkdir", full)
    with pytest.raises(WherelookError, match=r"cannot make the folder .*: No space left on device") as caught:
        make_explanation().save(tmp_path / "new")
    assert caught.value.exit_code == 1
