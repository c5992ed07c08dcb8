"""Files that belong together: of one set, whole, whatever happens while another takes its place."""

from __future__ import annotations

import errno
import json
import os
import threading
from itertools import count
from pathlib import Path

import pytest

from wherelook import storage
from wherelook.errors import InputError, WherelookError
from wherelook.file_set import FileSet

NAMES = ("a", "b", "c", "d")
SETS = FileSet(
    record="last", is_record=lambda record: "text" in record, is_name=NAMES.__contains__, writer="a test"
)  # fmt: skip
OLD, NEW = ("a", "b", "c"), ("a", "b", "d")  # b is the same in both


def write(folder: Path, text: str, names: tuple[str, ...]) -> None:
    SETS.write(folder, ((name, b"same" if name == "b" else text.encode()) for name in names), {"text": text})


def visible(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


@pytest.fixture(autouse=True)
def _fast(monkeypatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # thousands of them take longer than all the rest


@pytest.fixture
def whole(tmp_path) -> dict[str, dict[str, bytes]]:
    """What the files of each set are."""
    found = {}
    for text, names in {"old": OLD, "new": NEW}.items():
        folder = tmp_path / f"whole-{text}"
        folder.mkdir()
        write(folder, text, names)
        assert json.loads((folder / "last").read_text()).keys() == {"text", "files"}
        found[text] = visible(folder) | {"users": b"own"}
    return found


@pytest.fixture
def make(tmp_path):
    """A folder with the old set, or with none, and a file of the user's."""
    numbers = count()

    def make(with_old: bool) -> Path:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        (folder / "users").write_bytes(b"own")
        if with_old:
            write(folder, "old", OLD)
        return folder

    return make


class Dead(BaseException):
    """The process is gone: nothing that it would do afterwards happens."""


def failing(monkeypatch, first: int, last: int, error: BaseException, *, after: bool = False) -> list[int]:
    """The changes to the disk of these numbers raise, before they are made or after. Returns the number made so far."""
    made = [0]

    def counted(real):
        def call(*arguments, **options):
            made[0] += 1
            fails = first <= made[0] <= last
            if fails and not after:
                raise error
            result = real(*arguments, **options)
            if fails:
                raise error
            return result

        return call

    monkeypatch.setattr("wherelook.storage.put", counted(storage.put))
    for name in ("unlink", "replace"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    return made


@pytest.mark.parametrize("with_old", [True, False])
@pytest.mark.parametrize("error", [OSError(errno.EPERM, "Operation not permitted"), KeyboardInterrupt(), Dead()])
@pytest.mark.parametrize("many", [1, 2, 3, 1000])
@pytest.mark.parametrize("after", [False, True])
def test_whatever_fails_there_is_one_set_and_the_next_write_succeeds(
    make, whole, monkeypatch, with_old, error, many, after
):
    """One change, some in a row, or all from one on: refused, interrupted, or those of a process that is killed."""
    if isinstance(error, KeyboardInterrupt) and many == 1000:
        pytest.skip("nobody interrupts without an end")
    if isinstance(error, Dead):
        many = 1000
    before = whole["old"] if with_old else {"users": b"own"}
    for number in range(1, 100):
        folder = make(with_old)
        with monkeypatch.context() as patched:
            made = failing(patched, number, number + many - 1, error, after=after)
            try:
                write(folder, "new", NEW)
            except (WherelookError, KeyboardInterrupt, Dead) as caught:
                refused: BaseException | None = caught
            else:
                refused = None
        found = visible(folder)
        if refused is None:
            assert found == whole["new"]
        elif many == 1 or isinstance(refused, KeyboardInterrupt):
            assert found in (before, whole["new"])
        else:  # a part of one set, or a whole one; what is missing has a hidden name
            assert any(found.items() <= one.items() for one in (before, whole["new"]))
            assert "last" not in found or found in (before, whole["new"])
        SETS.check(folder)
        with monkeypatch.context() as patched:  # nor does it matter what refuses the next ones
            failing(patched, 1, 1000, OSError(errno.EPERM, "Operation not permitted"))
            with pytest.raises(WherelookError):
                write(folder, "new", NEW)
        write(folder, "new", NEW)
        assert visible(folder) == whole["new"]
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
        if made[0] < number:
            break
    else:
        raise AssertionError("it never came to its end")


def test_the_old_set_of_a_killed_process_comes_back_before_the_next_is_written(make, whole, monkeypatch):
    seen = []
    for number in range(1, 100):
        folder = make(True)
        with monkeypatch.context() as patched:
            failing(patched, number, 1000, Dead())
            try:
                write(folder, "new", NEW)
                break
            except Dead:
                seen.append(visible(folder))

        def stops():
            yield "a", b"newer"
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            SETS.write(folder, stops(), {"text": "newer"})
        assert visible(folder) in (whole["old"], whole["new"])
    assert any("last" not in found for found in seen)


def test_a_file_that_cannot_be_moved_leaves_the_earlier_set(make, whole, monkeypatch):
    """As one that is immutable."""
    folder, replace = make(True), Path.replace

    def refused(self, target):
        if self.name == "b":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refused)
    for _ in range(2):
        with pytest.raises(WherelookError, match=r"cannot write .*: Operation not permitted; what is finished is kept"):
            write(folder, "new", NEW)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole["old"]


@pytest.mark.parametrize("name", ["last", "d"])
def test_a_folder_under_the_name_of_a_file_is_found_before_anything_goes(tmp_path, name):
    (tmp_path / name).mkdir()
    for call in (SETS.check, lambda folder: write(folder, "new", NEW)):
        with pytest.raises(InputError, match=f"{name} is a folder where a file is to be written"):
            call(tmp_path)
        assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(("name", "data"), [("c", b"changed"), ("d", b"mine"), ("last", b"{}"), ("last", b"\xff")])
def test_what_is_not_of_the_earlier_set_is_named_and_stays(make, name, data):
    folder = make(True)
    (folder / name).write_bytes(data)
    before = visible(folder)
    for call in (SETS.check, lambda folder: write(folder, "new", NEW)):
        with pytest.raises(InputError, match=f"{name} was not written by a test.*: move it away, or name another"):
            call(folder)
        assert visible(folder) == before


def test_what_the_user_puts_there_while_a_set_is_made_stays(make):
    folder = make(True)

    def files():
        yield "a", b"new"
        (folder / "d").write_bytes(b"mine")
        yield "d", b"new"

    with pytest.raises(InputError, match="d was not written by a test"):
        SETS.write(folder, files(), {"text": "new"})
    assert (folder / "d").read_bytes() == b"mine"
    assert (folder / "a").read_bytes() == b"old"


def test_sets_that_are_written_at_once_do_not_mix(tmp_path):
    def often(text: str) -> None:
        for _ in range(20):
            SETS.write(tmp_path, ((name, text.encode()) for name in ("a", "b")), {"text": text})

    threads = [threading.Thread(target=often, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = visible(tmp_path)
    assert sorted(found) == ["a", "b", "last"]
    assert found["a"] == found["b"] == json.loads(found["last"])["text"].encode()
