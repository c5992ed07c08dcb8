"""A data set's files, in a folder or in a zip archive, seen the same way. Nothing is unpacked."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import Protocol, cast, runtime_checkable

from wherelook.data.images import MAXIMUM_BYTES, LoadedImage, decode_image
from wherelook.data.sources import ImageFile, ImageSource, check_name
from wherelook.errors import InputError, WherelookError

MOST_COMPRESSION = 200
"""A member that grows by more than this is no image or table, but a bomb."""

READ_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What opening or reading a file, or a member of an archive, can raise: zipfile raises the middle ones on flags,
versions and sizes that it does not know."""


@contextmanager
def reading(place: str) -> Iterator[None]:
    """What reading a file or a member of an archive can raise becomes one line.

    Raises:
        WherelookError: it cannot be read.
    """
    try:
        yield
    except READ_ERRORS as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise WherelookError(f"cannot read {place}: {reason}") from error


def is_file(path: Path) -> bool:
    """Whether there is a regular file; of a name that no file can have: no."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, a null byte, half of a surrogate pair
        return False


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
        with reading(str(self.root)):
            found = [path for path in self.root.glob(pattern) if is_file(path)]
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def holds(self, name: str) -> bool:
        check_name(name, str(self.root))
        return is_file(self.root / name)

    def open(self, name: str) -> BufferedIOBase:
        check_name(name, str(self.root))
        path = self.root / name
        with reading(self.describe(name)):
            if path.exists() and not path.is_file():
                raise WherelookError(f"{self.describe(name)} is not a regular file; expected a table")
            return path.open("rb")

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
        with reading(self.describe(name)):
            return cast(BufferedIOBase, self._zip.open(self._checked(name)))

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
        with reading(self.describe(name)):
            return self._zip.read(member)

    def fingerprint(self, name: str) -> str:
        """A member's own name, and the size and check sum that the archive's directory has of it."""
        member = self._zip.NameToInfo.get(self.prefix + name)
        own = PurePosixPath(name).name
        return f"{own} missing" if member is None else f"{own} {member.file_size} {member.CRC:08x}"

    @property
    def _zip(self) -> zipfile.ZipFile:
        with reading(str(self.path)):
            state = self.path.stat()
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
class WithImages:
    """A dataset's files whose images lie elsewhere: in a folder or an archive that the user names (images=DIR)."""

    own: Files
    images: Files

    def find(self, pattern: str) -> list[str]:
        return self.own.find(pattern)

    def holds(self, name: str) -> bool:
        return self.own.holds(name)

    def open(self, name: str) -> BufferedIOBase:
        return self.own.open(name)

    def image(self, name: str) -> ImageSource:
        """The image of this name, or of the end of it that is there: of val2014/1.jpg it may be 1.jpg."""
        return self.images.image(self.name_of(name))

    def name_of(self, name: str) -> str:
        """What the image of this name is called where the images lie.

        Raises:
            WherelookError: the name leads out of the folder.
        """
        ends = ends_of(self.relative(name))
        return next((end for end in ends if self.images.holds(end)), ends[-1])

    def relative(self, name: str) -> str:
        """A name below the place of the images, without that place. Raises as `name_of`."""
        top = self.images.describe("")
        name = name.removeprefix(top).lstrip("/") if name.startswith(top) else name.lstrip("/")
        check_name(name, top)
        return name

    def inside(self, name: str) -> WithImages:
        return type(self)(self.own.inside(name), self.images)

    def describe(self, name: str) -> str:
        return self.own.describe(name)


@dataclass(frozen=True)
class FullNames(WithImages):
    """The same for masks and maps of where people looked: they are often called as their photograph is, in a folder of
    their own, so their whole name counts; the dataset's own files come first."""

    def name_of(self, name: str) -> str:
        return self.relative(name)

    def image(self, name: str) -> ImageSource:
        full = self.name_of(name)
        return self.own.image(full) if self.own.holds(full) else self.images.image(full)


def with_full_names(files: Files) -> Files:
    """The files as masks and human maps are found in them; see `FullNames`."""
    return FullNames(files.own, files.images) if isinstance(files, WithImages) else files


@dataclass(frozen=True)
class ArchiveImage:
    """An image in a zip archive. Its fingerprint is its own name, its size and check sum."""

    archive: Archive
    name: str

    @property
    def fingerprint(self) -> str:
        return self.archive.fingerprint(self.name)

    def load(self) -> LoadedImage:
        return decode_image(*self.encoded())

    def encoded(self) -> tuple[bytes, str]:
        return self.archive.read(self.name), self.archive.describe(self.name)


@lru_cache(maxsize=4)
def _open_zip(path: Path, size: int, changed: int) -> zipfile.ZipFile:
    """Opened once: reading the directory of a large archive takes longer than reading an image.

    Args:
        path: of the archive.
        size, changed: of the file, so that another archive of the same name is opened anew.
    """
    if not is_file(path):
        raise WherelookError(f"{path} is not a regular file; expected a zip archive")
    try:
        archive = zipfile.ZipFile(path)
    except READ_ERRORS as error:
        raise WherelookError(f"{path} is not a zip archive that can be read: {error}") from error
    for name in archive.namelist():
        check_name(name, str(path))
    return archive


@dataclass(frozen=True)
class Location:
    """Where a user says that a dataset is.

    Attributes:
        path: a folder, a zip archive, or a file of questions.
        images: a folder or zip archive of its images, where they are not there too.
    """

    path: str
    images: str | None = None

    def files_of(self, files: Files) -> Files:
        """These files, with the images from where the user says.

        Raises:
            InputError: there is neither a folder nor a file.
        """
        if self.images is None:
            return files
        place = Path(self.images)
        try:
            known = place.is_dir() or place.is_file()
        except (OSError, ValueError):
            known = False
        if not known:
            raise InputError(f"images={self.images}: there is no such folder or zip archive")
        return WithImages(files, Folder(place) if place.is_dir() else Archive(place))


def locate(where: Location | str, benchmark: str, patterns: Sequence[str], expected: str) -> tuple[Files, list[str]]:
    """The files of a benchmark, and the names of those that hold its questions.

    They are looked for in the folder or archive, then in the folders right inside it.

    Args:
        where: a folder, a zip archive, or a file of questions itself.
        benchmark: what errors call it.
        patterns: of the names; the first that matches anything counts.
        expected: what errors say should be there.

    Raises:
        InputError: there is no such path, it is no file, or nothing matches.
    """
    where = Location(where) if isinstance(where, str) else where
    path = where.path
    target = Path(path)
    try:
        exists, is_folder = target.exists(), target.is_dir()
    except (OSError, ValueError):  # ValueError: a null byte in the name
        exists = is_folder = False
    if not exists:
        raise InputError(f"there is no {path!r}; {benchmark} needs {expected}")
    if not is_folder and not is_file(target):
        raise InputError(f"{path!r} is neither a folder nor a regular file; {benchmark} needs {expected}")
    if not is_folder and target.suffix.lower() != ".zip":
        return where.files_of(Folder(target.parent)), [target.name]
    files = where.files_of(Folder(target) if is_folder else Archive(target))
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
    if isinstance(files, WithImages):
        return files.image(name)
    names = [f"{folder}/{name}" if folder else name for folder in folders]
    return files.image(next((candidate for candidate in names if files.holds(candidate)), names[0]))


def holds_image(files: Files, name: str) -> bool:
    """Whether the image of this name is there, or the end of it where the images lie elsewhere."""
    if isinstance(files, WithImages):
        return any(files.images.holds(end) for end in ends_of(name))
    return files.holds(name)


def ends_of(name: str) -> list[str]:
    """A name, and what is left of it when folders are taken from its beginning."""
    parts = PurePosixPath(name).parts
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _matches(name: str, pattern: str) -> bool:
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))
