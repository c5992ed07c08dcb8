"""The files of an explanation: of one explanation, whole, and in place of nothing but an earlier one."""

from __future__ import annotations

import errno
import json

import pytest
from PIL import Image

from wherelook import storage
from wherelook.errors import InputError, WherelookError
from wherelook.explanation import Explanation


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


def test_what_a_killed_process_left_is_replaced(make_explanation, tmp_path):
    """Nothing but the record has its name yet: its hidden one says whose the other files are."""
    make_explanation().save(tmp_path)
    (tmp_path / "explanation.json").rename(storage.unfinished_path(tmp_path / "explanation.json"))
    (tmp_path / "mask.npy").unlink()
    (tmp_path / "token_masks.npy").write_bytes(b"of an earlier one")
    storage.unfinished_path(tmp_path / "mask-2.npy").write_bytes(b"cut")
    make_explanation().save(tmp_path)
    assert sorted(contents(tmp_path)) == ["explanation.json", "heatmap.png", "mask.npy", "overlay.png", "report.html"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("report.html", "mine", "report.html is there and belongs to no explanation: name another folder, or move it"),
        ("mask-12.npy", "mine", "mask-12.npy is there and belongs to no explanation"),
        ("explanation.json", "{}", "explanation.json is no explanation of wherelook: name another folder"),
        ("explanation.json", "\xff", "explanation.json is no explanation of wherelook"),
        ("explanation.json", "[" * 100_000, "explanation.json is no explanation of wherelook"),
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
