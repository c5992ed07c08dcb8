"""Files that belong together, such as those of an explanation: all of one set, or all of the earlier one.

A set has a record, a JSON file that lists the others with the SHA-256 of their content. It is by this list that the
files of an earlier set are known: nothing else is ever replaced or removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherelook.errors import InputError, WherelookError
from wherelook.storage import UNFINISHED, list_folder, read_bytes, refusals, unfinished_path, write_parts

FILES = "files"
"""In the record: the other files that were written with it, each with the SHA-256 of its content."""

EARLIER = ".earlier"

LONGEST_RECORD, LONGEST_FILE = 64_000_000, 1_000_000_000
"""Bytes that are read of a record, and of another file."""

Moves = list[tuple[Path, Path]]


@dataclass(frozen=True)
class FileSet:
    """What the files of a kind of set are called.

    Attributes:
        record: name of the record.
        is_record: whether this is the content of a record of this kind.
        is_name: whether another file of a set may have this name.
        writer: who writes such sets, with its article, as messages name it.
    """

    record: str
    is_record: Callable[[Mapping[str, Any]], bool]
    is_name: Callable[[str], bool]
    writer: str

    def check(self, folder: Path) -> None:
        """Finds what would keep a set out of a folder that is there, before the work.

        Raises:
            InputError: a file under a name of such a set is none of an earlier set, or was changed since.
            WherelookError: a file cannot be read.
        """
        with _waiting(folder):
            self._known(folder)

    def write(self, folder: Path, files: Iterable[tuple[str, bytes]], record: Mapping[str, Any]) -> list[Path]:
        """Writes a set in place of the earlier one in the folder.

        All files are written under hidden names. When they are there, those of the earlier set are renamed to that of
        `earlier_path`, the record first, and the new ones get their names, the record last: where a record is, all of
        its set are. What is refused then, and an interruption, puts the earlier set back. After a process that was
        killed in this moment the next one does.

        Args:
            folder: that is there.
            files: names and contents, without the record; one at a time in memory.
            record: to which the list of the files is added.

        Returns:
            The files, the record last.

        Raises:
            InputError: see `check`.
            WherelookError: the disk refuses; the earlier set is as it was, or will be as soon as the disk allows it.
        """
        with _waiting(folder):
            self._known(folder)
            with refusals(folder):
                self._recover(folder)
            hidden: dict[str, Path] = {}
            hashes: dict[str, str] = {}
            try:
                for name, data in files:
                    hidden[name] = unfinished_path(folder / name)
                    hashes[name] = hashlib.sha256(data).hexdigest()
                    write_parts(hidden[name], folder / name, (data,))
                text = json.dumps({**record, FILES: hashes}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
                hidden[self.record] = unfinished_path(folder / self.record)
                # A file name that is not UTF-8 holds lone surrogates: escaped as JSON does.
                write_parts(hidden[self.record], folder / self.record, (text.encode("utf-8", "backslashreplace"),))
                there = self._known(folder)  # once more: what was put there meanwhile is not ours
            except BaseException:
                _discard(hidden.values())
                raise
            moves = [(folder / name, earlier_path(folder / name)) for name in there]
            moves += [(path, folder / name) for name, path in hidden.items()]
            _move(moves, folder, hidden.values())
            _discard(self._hidden(folder))
        return [folder / name for name in hidden]

    def read_record(self, folder: Path) -> Mapping[str, Any]:
        """The record of the set in a folder, which may come from a stranger.

        Raises:
            InputError: there is none, or it is too large, damaged, or something else's.
        """
        path = folder / self.record
        try:
            content = json.loads(
                _bounded(path, LONGEST_RECORD), parse_constant=_number, parse_int=_number, parse_float=_number
            )
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict) or not self.is_record(content):
            raise InputError(f"{path} is damaged, or was not written by {self.writer}")
        return content

    def read_files(self, folder: Path, record: Mapping[str, Any], *, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """The contents of those `wanted` among the files that a record lists; all of them are checked.

        Raises:
            InputError: one is missing, too large, or not what was written with the record.
        """
        found = {}
        for name, value in _listed(record).items():
            if not self.is_name(name):
                raise InputError(f"{folder / self.record} lists {name!r}, which is no file of {self.writer}")
            data = _bounded(folder / name, LONGEST_FILE)
            if hashlib.sha256(data).hexdigest() != value:
                raise InputError(
                    f"{folder / name} is damaged, or was changed since it was written: its SHA-256 is not the one in "
                    f"{self.record}"
                )
            if wanted(name):
                found[name] = data
        return found

    def _known(self, folder: Path) -> list[str]:
        """The files of earlier sets in a folder, the record first."""
        there = list_folder(folder)
        record = folder / self.record
        hashes: dict[str, set[str]] = {}
        for path in (record, unfinished_path(record), earlier_path(record)):  # the others of a process that was killed
            content = self._content(path)
            if path == record and content is None and self.record in there:
                raise InputError(f"{record} was not written by {self.writer}: move it away, or name another folder")
            for name, value in _listed(content or {}).items():
                hashes.setdefault(name, set()).add(value)
        found = [name for name in there if self.is_name(name)]
        for name in found:
            if (folder / name).is_dir():
                raise InputError(f"{folder / name} is a folder where a file is to be written; name another folder")
            data = read_bytes(folder / name)
            if data is None or hashlib.sha256(data).hexdigest() not in hashes.get(name, ()):
                raise InputError(
                    f"{folder / name} was not written by {self.writer}, or by one of an earlier version, or was "
                    "changed since: move it away, or name another folder"
                )
        return [self.record, *found] if self.record in there else found

    def _content(self, path: Path) -> Mapping[str, Any] | None:
        if path.is_dir():
            raise InputError(f"{path} is a folder where a file is to be written; name another folder")
        try:
            content = json.loads(read_bytes(path) or b"")
        except (ValueError, RecursionError):  # something else's, or cut off
            return None
        return content if isinstance(content, dict) and self.is_record(content) else None

    def _recover(self, folder: Path) -> None:
        """Puts back what a process that was killed between two sets had moved."""
        record = folder / self.record
        if os.path.lexists(record):  # it came to the end of one set, and had only to remove the other
            for path in self._hidden(folder):
                if path.name.endswith(EARLIER):
                    path.unlink()
            return
        for name in _listed(self._content(unfinished_path(record)) or {}):
            if self.is_name(name) and os.path.lexists(folder / name) and not unfinished_path(folder / name).exists():
                (folder / name).replace(unfinished_path(folder / name))
        for path in sorted(self._hidden(folder), key=lambda path: path == earlier_path(record)):  # the record last
            if path.name.endswith(EARLIER):
                path.replace(folder / path.name[1 : -len(EARLIER)])

    def _hidden(self, folder: Path) -> list[Path]:
        """The files of sets that have hidden names."""
        found = []
        for hidden in list_folder(folder):
            for end in (UNFINISHED, EARLIER):
                name = hidden.removeprefix(".").removesuffix(end)
                if hidden == f".{name}{end}" and (name == self.record or self.is_name(name)):
                    found.append(folder / hidden)
        return found


def earlier_path(path: Path) -> Path:
    """The hidden name of a file of the earlier set, while another takes its place."""
    return path.with_name(f".{path.name}{EARLIER}")


def _listed(record: Mapping[str, Any]) -> dict[str, str]:
    files = record.get(FILES)
    return {str(name): str(value) for name, value in files.items()} if isinstance(files, dict) else {}


def _bounded(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most so many."""
    try:
        if not path.is_file():
            raise InputError(f"there is no file {path}")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > most:
        raise InputError(f"{path} has more than {most / 1e6:.0f} MB, which no such file has")
    return data


def _number(text: str) -> int | float:
    """A number of JSON: no NaN or Infinity, and none that no float holds."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number")
    return int(text) if text.lstrip("-").isdigit() else value


def _move(moves: Moves, folder: Path, hidden: Iterable[Path]) -> None:
    """Renames all files, or none."""
    try:
        with refusals(folder):
            for source, target in moves:
                source.replace(target)
    except BaseException:
        try:
            _move_back(moves)
        except OSError as error:
            raise WherelookError(
                f"cannot write {folder}: {error.strerror or error}; its earlier files are there under hidden names: "
                "mend the cause, and the same command goes on from them"
            ) from error
        _discard(hidden)
        raise


def _move_back(moves: Moves) -> None:
    while True:
        try:
            for source, target in reversed(moves):
                if os.path.lexists(target) and not os.path.lexists(source):
                    target.replace(source)
            return
        except KeyboardInterrupt:  # once more: what is left takes no time
            continue


def _discard(paths: Iterable[Path]) -> None:
    """Removes hidden files that are no longer needed. What the disk keeps is removed with the next set."""
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def _waiting(folder: Path) -> Iterator[None]:
    """Waits until no other process writes a set into the folder; where a file system has no locks, without."""
    descriptor = None
    try:
        with suppress(OSError):  # NFS, for example
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
