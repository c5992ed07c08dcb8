"""A data set's files, in a folder or in a zip archive, seen the same way. Nothing is unpacked."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import Protocol, cast, runtime_checkable

from wherelook.data.images import MAXIMUM_BYTES, LoadedImage, decode_image
from wherelook.data.sources import ImageFile, ImageSource
from wherelook.errors import InputError, WherelookError

MOST_COMPRESSION = 200
"""A member that grows by more than this is no image or table, but a bomb."""

READ_ERRORS = (OSError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a file, or a damaged member of an archive, can raise."""

SMALL_MEMBER = 10_000_000
"""Bytes up to which compression does not matter: a black image compresses without end."""


@runtime_checkable
class Files(Protocol):
    """Names are relative, with "/" between the parts."""

    def find(self, pattern: str) -> list[str]:
        """Sorted names of the files that match the pattern, part by part: "*" does not match "/"."""
        ...

    def holds(self, name: str) -> bool:
        """Whether there is a file of this name."""
        ...

    def open(self, name: str) -> BufferedIOBase:
        """The file, to be read.

        Raises:
            WherelookError: there is none, or it is not safe to read.
        """
        ...

    def image(self, name: str) -> ImageSource:
        """The image of this name; whether there is one is seen when it is loaded.

        Raises:
            WherelookError: the name leads out of the folder.
        """
        ...

    def inside(self, name: str) -> Files:
        """A folder of these files."""
        ...

    def describe(self, name: str) -> str:
        """What errors call the file."""
        ...


@dataclass(frozen=True)
class Folder:
    """The files of a folder."""

    root: Path

    def find(self, pattern: str) -> list[str]:
        found = (path for path in self.root.glob(pattern) if path.is_file())
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def holds(self, name: str) -> bool:
        check_name(name, str(self.root))
        return (self.root / name).is_file()

    def open(self, name: str) -> BufferedIOBase:
        check_name(name, str(self.root))
        try:
            return (self.root / name).open("rb")
        except OSError as error:
            raise WherelookError(f"cannot read {self.describe(name)}: {error.strerror}") from error

    def image(self, name: str) -> ImageSource:
        check_name(name, str(self.root))
        return ImageFile(self.root, name)

    def inside(self, name: str) -> Folder:
        return Folder(self.root / name)

    def describe(self, name: str) -> str:
        return str(self.root / name)


@dataclass(frozen=True)
class Archive:
    """The files of a zip archive, below a folder in it. Only its directory is kept in memory."""

    path: Path
    prefix: str = ""

    def find(self, pattern: str) -> list[str]:
        names = (name.removeprefix(self.prefix) for name in self._zip.namelist() if name.startswith(self.prefix))
        return sorted(name for name in names if not name.endswith("/") and _matches(name, pattern))

    def holds(self, name: str) -> bool:
        return self.prefix + name in self._zip.NameToInfo

    def open(self, name: str) -> BufferedIOBase:
        try:
            return cast(BufferedIOBase, self._zip.open(self._checked(name)))
        except READ_ERRORS as error:
            raise WherelookError(f"{self.describe(name)} cannot be unpacked: {error}") from error

    def image(self, name: str) -> ImageSource:
        check_name(name, str(self.path))
        return ArchiveImage(self, name)

    def inside(self, name: str) -> Archive:
        return Archive(self.path, f"{self.prefix}{name}/")

    def describe(self, name: str) -> str:
        return f"{self.path}:{self.prefix}{name}"

    def read(self, name: str) -> bytes:
        """All bytes of a member; see `open` for the errors."""
        member = self._checked(name)
        if member.file_size > MAXIMUM_BYTES:
            raise WherelookError(f"{self.describe(name)} has more than {MAXIMUM_BYTES // 10**6} MB")
        try:
            return self._zip.read(member)
        except READ_ERRORS as error:
            raise WherelookError(f"{self.describe(name)} cannot be unpacked: {error}") from error

    def fingerprint(self, name: str) -> str:
        """The check sum and size that the archive's directory has of a member."""
        member = self._zip.NameToInfo.get(self.prefix + name)
        return f"{name} missing" if member is None else f"{name} {member.file_size} {member.CRC:08x}"

    @property
    def _zip(self) -> zipfile.ZipFile:
        try:
            state = self.path.stat()
        except OSError as error:
            raise WherelookError(f"cannot read {self.path}: {error.strerror}") from error
        return _open_zip(self.path, state.st_size, state.st_mtime_ns)

    def _checked(self, name: str) -> zipfile.ZipInfo:
        member = self._zip.NameToInfo.get(self.prefix + name)
        if member is None or member.is_dir():
            raise WherelookError(f"{self.path} has no member {self.prefix + name!r}")
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise WherelookError(f"{self.describe(name)} is encrypted, or not stored or deflated; expected a plain zip")
        if member.file_size > SMALL_MEMBER and member.file_size > MOST_COMPRESSION * member.compress_size:
            raise WherelookError(
                f"{self.describe(name)} grows from {member.compress_size} to {member.file_size} bytes: refused as a "
                "zip bomb; unpack it yourself if you trust it"
            )
        return member


@dataclass(frozen=True)
class ArchiveImage:
    """An image in a zip archive. Its fingerprint is its name, size and check sum."""

    archive: Archive
    name: str

    @property
    def fingerprint(self) -> str:
        return self.archive.fingerprint(self.name)

    def load(self) -> LoadedImage:
        return decode_image(self.archive.read(self.name), self.archive.describe(self.name))


@lru_cache(maxsize=4)
def _open_zip(path: Path, size: int, changed: int) -> zipfile.ZipFile:
    """Opened once: reading the directory of a large archive takes longer than reading an image.

    Args:
        path: of the archive.
        size, changed: of the file, so that another archive of the same name is opened anew.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise WherelookError(f"{path} is not a zip archive: {error}") from error
    for name in archive.namelist():
        check_name(name, str(path))
    return archive


def check_name(name: str, place: str) -> None:
    """Refuses a name that leads out of its folder; it need not exist.

    Raises:
        WherelookError: it is absolute, or climbs.
    """
    parts = PurePosixPath(name).parts
    drive = len(name) > 1 and name[1] == ":"
    if not name or "\0" in name or "\\" in name or drive or name.startswith("/") or ".." in parts:
        raise WherelookError(f"{place}: {name!r} is not a file inside the folder")


def locate(path: str, benchmark: str, patterns: Sequence[str], expected: str) -> tuple[Files, list[str]]:
    """The files of a benchmark, and the names of those that hold its questions.

    They are looked for in the folder or archive, then in the folders right inside it.

    Args:
        path: of a folder, of a zip archive, or of a file of questions itself.
        benchmark: what errors call it.
        patterns: of the names; the first that matches anything counts.
        expected: what errors say should be there.

    Raises:
        InputError: there is no such path, or nothing matches.
    """
    target = Path(path)
    try:
        exists, is_folder = target.exists(), target.is_dir()
    except (OSError, ValueError):  # ValueError: a null byte in the name
        exists = is_folder = False
    if not exists:
        raise InputError(f"there is no {path!r}; {benchmark} needs {expected}")
    if not is_folder and target.suffix != ".zip":
        return Folder(target.parent), [target.name]
    files: Files = Folder(target) if is_folder else Archive(target)
    for pattern in patterns:
        if names := files.find(pattern):
            return files, names
    for pattern in patterns:
        if names := files.find(f"*/{pattern}"):
            top = names[0].split("/")[0]
            return files.inside(top), [name.removeprefix(f"{top}/") for name in names if name.startswith(f"{top}/")]
    raise InputError(f"{path!r} does not hold {benchmark}; expected {expected}")


def find_image(files: Files, folders: Sequence[str], name: str) -> ImageSource:
    """The image of this name in the first of the folders that has it; "" is the top one.

    In the first of all when none has: that is an error of the sample, when its image is loaded.
    """
    names = [f"{folder}/{name}" if folder else name for folder in folders]
    return files.image(next((candidate for candidate in names if files.holds(candidate)), names[0]))


def _matches(name: str, pattern: str) -> bool:
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))
