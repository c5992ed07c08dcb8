"""Files that hold finished work. Nothing that may be good is ever deleted.

A file is written whole or not at all; a folder has one writer; a file that cannot be read at this moment stops the
command and is left as it is; a file that is damaged for certain is renamed, never removed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from io import FileIO
from pathlib import Path

from filelock import FileLock, Timeout

from wherelook.errors import DISK_FULL, InputError, WherelookError

LOCK_FILE = "lock"
DAMAGED = "damaged"
"""The folder, beside the files of a run, of those that were set aside."""

UNFINISHED = ".unfinished"
LONGEST_NAME = 255
"""Bytes of a file's name that file systems take."""

RESUME = "what is finished is kept: mend the cause, and run the same command again"


def unreadable(path: Path, error: Exception) -> WherelookError:
    """The error for a file that cannot be read now, though it may be good."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return WherelookError(
        f"cannot read {path} at the moment: {first_line(reason)}; nothing was changed: mend the cause, and the same "
        "command resumes"
    )


def read_bytes(path: Path) -> bytes | None:
    """The bytes of a file; None where there is none.

    Raises:
        InputError: it is not a regular file.
        WherelookError: it cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path} is not a regular file; move it away, or name a new folder")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except (OSError, MemoryError) as error:
        raise unreadable(path, error) from error


def read_text(path: Path) -> str | None:
    """The text of a file in UTF-8; None where there is none.

    Raises:
        InputError: it is not a regular file, or not text.
        WherelookError: it cannot be read.
    """
    data = read_bytes(path)
    try:
        return None if data is None else data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8; move it away, or name a new folder") from error


def list_folder(folder: Path) -> list[str]:
    """The names in a folder, sorted.

    Raises:
        WherelookError: it cannot be read. A search by pattern would find nothing instead, as if nothing were finished.
    """
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise unreadable(folder, error) from error


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, where they are missing.

    Raises:
        InputError: the name is taken, or the place cannot be written to.
        WherelookError: the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InputError(
            f"{folder} is a file where a folder is expected; move it away, or name a new folder"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise cannot_make(str(folder), error) from error


def cannot_make(shown: str, error: Exception) -> WherelookError:
    """The error for a folder that cannot be made: the user's, unless the disk is full."""
    reason = getattr(error, "strerror", None) or error
    kind = WherelookError if getattr(error, "errno", None) in DISK_FULL else InputError
    return kind(f"cannot make the folder {shown}: {reason}; choose another one")


def write_whole(path: Path, data: bytes | Iterable[bytes], *, durable: bool = True) -> None:
    """Writes a file under a hidden name first, and gives it its own when it is safely there.

    Args:
        path: of the file.
        data: its bytes, at once or part by part.
        durable: whether to wait until the disk has it, without which it may be cut off after a power failure.

    Raises:
        WherelookError: the disk refuses. An earlier file of this name is as it was.
    """
    unfinished = unfinished_path(path)
    try:
        write_parts(unfinished, path, (data,) if isinstance(data, bytes) else data, durable=durable)
        with refusals(path):
            unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


def unfinished_path(path: Path) -> Path:
    """The hidden name of a file until it is whole. Readers of a folder of Parquet pass over hidden files."""
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    if len(os.fsencode(unfinished.name)) > LONGEST_NAME:
        return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()}{UNFINISHED}")
    return unfinished


def write_parts(unfinished: Path, path: Path, parts: Iterable[bytes], *, durable: bool = True) -> None:
    """Writes all parts under a hidden name, and to the disk itself if `durable`; what is refused is told of `path`."""
    with refusals(path):
        file = unfinished.open("wb", buffering=0)
    with closing(file):
        for part in parts:  # whatever makes them may fail in its own way
            with refusals(path):
                _put_all(file, part)
        if durable:
            with refusals(path):
                os.fsync(file.fileno())


def _put_all(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[put(file, left) :]


def put(file: FileIO, data: memoryview) -> int:
    """Writes some bytes and returns how many: every byte of a result passes here."""
    return file.write(data)


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """What the disk refuses is told in one line."""
    try:
        yield
    except OSError as error:
        raise WherelookError(f"cannot write {path}: {error.strerror or error}; {RESUME}") from error


def remove(path: Path) -> None:
    """Removes a file of ours whose content is safe elsewhere, or that was never finished.

    Raises:
        WherelookError: the disk refuses.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise WherelookError(f"cannot remove {path}: {error.strerror or error}; {RESUME}") from error


def set_aside(path: Path, folder: Path) -> Path:
    """Moves a damaged file into `folder`/damaged, under a name that is free there. Returns its new path.

    Raises:
        WherelookError: the disk refuses.
    """
    aside = folder / DAMAGED
    make_folder(aside)
    number, new = 1, aside / path.name
    while os.path.lexists(new):
        number += 1
        new = aside / f"{path.stem}-{number}{path.suffix}"
    try:
        path.rename(new)
    except OSError as error:
        raise WherelookError(f"cannot move {path} to {new}: {error.strerror or error}; {RESUME}") from error
    return new


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A folder for this process alone. The system takes the lock away from a process that dies, however it does.

    Raises:
        InputError: another process has it, or `lock` in it is something else's.
        WherelookError: the lock cannot be had.
    """
    file = folder / LOCK_FILE
    holder = b""
    if os.path.lexists(file):
        regular = stat.S_ISREG(os.lstat(file).st_mode)
        holder = (read_bytes(file) or b"").strip() if regular else b"none"
    if holder and not holder.isdigit():
        raise InputError(f"{file} is not the lock of a run; move it away, or name a new folder")
    # Not the library's own way out where a system has no locks: that lock outlives a process that is killed.
    lock = FileLock(file, timeout=0, thread_local=False, fallback_to_soft=False, on_acquired=_sign)
    try:
        held = lock.acquire()
    except Timeout as error:
        other = holder.decode() or "unknown"
        raise InputError(
            f"another process ({other}) is writing to {folder}: wait for it, or name a new folder"
        ) from error
    except OSError as error:
        raise WherelookError(
            f"{file} cannot be locked: {error.strerror or error}; choose a folder that can be written to, on a file "
            "system that has locks"
        ) from error
    with held:
        yield


def _sign(descriptor: int) -> None:
    """Writes into the lock whose it is."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def append(path: Path, data: bytes) -> None:
    """Adds bytes to the end of a file: all of them or none.

    Raises:
        WherelookError: the disk refuses; the file is as it was.
    """
    with refusals(path), path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            _put_all(file, data)
        except BaseException:
            file.truncate(size)
            raise


def first_line(text: object) -> str:
    """What an error says, without its details."""
    return (str(text).splitlines() or [type(text).__name__])[0]
