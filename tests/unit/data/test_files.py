"""Folders and zip archives, the wicked ones too."""

from __future__ import annotations

import struct
import zipfile

import pytest

from wherelook.data.files import Archive, Folder, check_name, find_image, locate
from wherelook.errors import InputError, WherelookError


def archive(path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return path


def test_both_find_the_same(build):
    for name in ("a.json", "b.json", "images/1.jpg", "images/deep/2.jpg", "c.txt"):
        build.bytes(name, b"x")
    for files in (Folder(build.root), Archive(build.zip())):
        assert files.find("*.json") == ["a.json", "b.json"]
        assert files.find("images/*.jpg") == ["images/1.jpg"]
        assert files.holds("images/deep/2.jpg")
        assert not files.holds("images/deep")
        assert files.inside("images").find("*.jpg") == ["1.jpg"]
        with files.inside("images").open("1.jpg") as stream:
            assert stream.read() == b"x"


def test_an_image_is_taken_from_the_first_folder_that_has_it(build):
    build.image("images/a.png", (1, 2, 3))
    for files in (Folder(build.root), Archive(build.zip())):
        assert find_image(files, ["train", "images", ""], "a.png").load().pixels[0, 0].tolist() == [1, 2, 3]
        with pytest.raises(WherelookError, match=r"train/b\.png"):
            find_image(files, ["train", "images"], "b.png").load()


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "..", "", "C:/x", "a\\..\\x", "\0"])
def test_names_that_lead_out(build, name):
    with pytest.raises(WherelookError, match="is not a file inside the folder"):
        check_name(name, "here")
    for files in (Folder(build.root), Archive(archive(build.root / "x.zip", {"a": b"x"}))):
        with pytest.raises(WherelookError, match="is not a file inside the folder"):
            files.image(name)


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png"])
def test_an_archive_with_a_member_that_leads_out_is_refused(tmp_path, name):
    path = archive(tmp_path / "x.zip", {"Questions.csv": b"", name: b""})
    with pytest.raises(WherelookError, match=r"x\.zip: .*is not a file inside the folder"):
        locate(str(path), "MMVP", ["Questions.csv"], "Questions.csv")


def test_a_zip_bomb_is_refused(tmp_path):
    files = Archive(archive(tmp_path / "x.zip", {"q.json": b"0" * 20_000_000, "small.json": b"0" * 1_000_000}))
    for read in (files.read, files.open):
        with pytest.raises(WherelookError, match=r"q\.json grows from \d+ to 20000000 bytes: refused as a zip bomb"):
            read("q.json")
    assert len(files.read("small.json")) == 1_000_000


def test_an_encrypted_or_unusual_member_is_refused(tmp_path):
    path = archive(tmp_path / "x.zip", {"a": b"x" * 100}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    struct.pack_into("<H", data, entry + 8, 1)  # the flag of encryption, in the archive's directory
    path.write_bytes(data)
    bzip = Archive(archive(tmp_path / "y.zip", {"a": b"x" * 100}, zipfile.ZIP_BZIP2))
    for files in (Archive(path), bzip):
        with pytest.raises(WherelookError, match="is encrypted, or not stored or deflated"):
            files.open("a")


def test_damaged_archives(tmp_path):
    path = archive(tmp_path / "x.zip", {"a": bytes(range(256)) * 50})
    data = bytearray(path.read_bytes())
    data[60:80] = b"\xff" * 20
    path.write_bytes(data)
    with pytest.raises(WherelookError, match=r"cannot read .*x\.zip:a"):
        Archive(path).read("a")
    (tmp_path / "y.zip").write_bytes(b"no archive")
    with pytest.raises(WherelookError, match=r"y\.zip is not a zip archive"):
        Archive(tmp_path / "y.zip").find("*")
    with pytest.raises(WherelookError, match=r"x\.zip has no member 'b'"):
        Archive(path).read("b")


def test_an_archive_that_changed_is_opened_anew(tmp_path):
    path = archive(tmp_path / "x.zip", {"a": b"x"})
    assert Archive(path).find("*") == ["a"]
    archive(path, {"a": b"x", "b": b"y"})
    assert Archive(path).find("*") == ["a", "b"]


def test_where_the_questions_are(build):
    build.text("inner/q.csv", "x")
    files, names = locate(str(build.root), "this", ["q.csv"], "q.csv")
    assert (files, names) == (Folder(build.root / "inner"), ["q.csv"])
    files, names = locate(str(build.root / "inner" / "q.csv"), "this", ["other.csv"], "q.csv")
    assert (files, names) == (Folder(build.root / "inner"), ["q.csv"])
    with pytest.raises(InputError, match=r"does not hold this; expected q\.csv"):
        locate(str(build.root), "this", ["z.csv"], "q.csv")
    with pytest.raises(InputError, match=r"there is no '.*nothing'; this needs q\.csv"):
        locate(str(build.root / "nothing"), "this", ["z.csv"], "q.csv")
