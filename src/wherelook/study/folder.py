"""The folder of a run: `run.json` says what was run, `records/` holds the rows. One process writes at a time.

A finished sample is a small file of its own at once, `sample-00000012.parquet`, written under a hidden name and
renamed: it is there whole or not at all. A thousand neighbours become one file, `part-00000000.parquet`, in the order
of the data set, when all of them are there and when the run ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow

from wherelook.data.samples import Sample
from wherelook.errors import InputError, WherelookError
from wherelook.study.records import SCHEMA, read_records, write_records, write_whole
from wherelook.study.rows import Row

RUN_FILE = "run.json"
RECORDS = "records"
LOCK_FILE = "lock"
SCHEMA_VERSION = 1
BLOCK = 1000
"""Samples in one file when they are all there."""

CHANGES_SHOWN, VALUE_SHOWN = 3, 100
"""Of what has changed: how much, and how many characters of a value, an error tells."""


class RunFolder:
    """The files of a run, open for writing. Make one with `open_run`.

    Attributes:
        path: of the folder.
        configuration: what is run, as plain JSON values; nothing in it that only says where or how fast.
        versions: of the packages that results depend on.
        done: sample id and fingerprint by position, of the samples that have their rows.
        failed: positions with an error in a row.
    """

    def __init__(self, path: Path, configuration: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        self.path = path
        self.configuration = json.loads(json.dumps(configuration))
        self.versions = dict(versions)
        self.done: dict[int, tuple[str, str]] = {}
        self.failed: set[int] = set()
        self._loose: defaultdict[int, set[int]] = defaultdict(set)
        self._started = _read_run_file(path)
        if self._started is not None:
            self._refuse_changes("configuration", self.configuration)
            self._refuse_changes("versions", self.versions)
        self._recover()

    def accept(self, model: Mapping[str, Any]) -> None:
        """Takes the model that is to answer: writes `run.json` if there is none yet.

        Raises:
            InputError: the folder's rows are another model's.
        """
        if self._started is None:
            about = {"configuration": self.configuration, "model": dict(model), "versions": self.versions}
            text = json.dumps(about, sort_keys=True)
            about = {
                "schema_version": SCHEMA_VERSION,
                "fingerprint": hashlib.sha256(text.encode()).hexdigest(),
                **about,
            }
            write_whole(self.path / RUN_FILE, (json.dumps(about, indent=2) + "\n").encode())
            self._started = about
        self._refuse_changes("model", model)

    def holds(self, position: int, sample: Sample) -> bool:
        """Whether the sample has its rows.

        Raises:
            InputError: what has rows at this position is another sample, or was another then.
        """
        if position not in self.done:
            return False
        name, fingerprint = self.done[position]
        if name != sample.id:
            what = f"sample {position} of the data set was {name!r} and is now {sample.id!r}"
        elif fingerprint != sample.fingerprint:
            what = f"sample {sample.id!r} has changed: its fingerprint was {fingerprint[:12]} and is now "
            what += sample.fingerprint[:12]
        else:
            return True
        raise InputError(f"{self.path} holds rows of other data: {what}; name a new folder")

    def add(self, position: int, rows: Sequence[Row]) -> None:
        """Writes the rows of a finished sample.

        Raises:
            WherelookError: the disk refuses.
        """
        write_records(self._sample_file(position), rows)
        self._note(position, rows[0]["sample"], rows[0]["fingerprint"], any(row["status"] == "error" for row in rows))
        block = position // BLOCK
        self._loose[block].add(position)
        if all(place in self.done for place in range(block * BLOCK, (block + 1) * BLOCK)):
            self._gather(block)

    def gather(self) -> None:
        """Makes as few files as possible of what is there.

        Raises:
            WherelookError: the disk refuses.
        """
        for block in [block for block, positions in self._loose.items() if positions]:
            self._gather(block)

    def forget_errors(self) -> None:
        """Removes the rows of all samples with an error, so that these are done again.

        Raises:
            WherelookError: the disk refuses.
        """
        self.gather()
        for block in {position // BLOCK for position in self.failed}:
            table = read_records(self._part_file(block))
            write_records(self._part_file(block), _without(table, self.failed))
        for position in self.failed:
            del self.done[position]
        self.failed.clear()

    # ---- files ----

    def _sample_file(self, position: int) -> Path:
        return self.path / RECORDS / f"sample-{position:08d}.parquet"

    def _part_file(self, block: int) -> Path:
        return self.path / RECORDS / f"part-{block * BLOCK:08d}.parquet"

    def _recover(self) -> None:
        """Finds what is done; removes what an interruption left over, and what is broken."""
        records = self.path / RECORDS
        _make(records)
        for path in records.glob(".*.unfinished"):
            path.unlink()
        for path in sorted(records.glob("part-*.parquet")):
            self._read(path)
        for path in sorted(records.glob("sample-*.parquet")):
            position = int(path.stem.removeprefix("sample-"))
            if position in self.done:  # it is in a part already: the interruption came before this one was removed
                path.unlink()
                continue
            try:
                self._read(path)
            except WherelookError:  # a power failure can leave a file empty
                path.unlink()
            else:
                self._loose[position // BLOCK].add(position)
        if self.done and self._started is None:
            raise InputError(f"{self.path} holds records but no {RUN_FILE}: name a new folder")

    def _read(self, path: Path) -> None:
        for row in read_records(path, ("position", "sample", "fingerprint", "status")).to_pylist():
            self._note(row["position"], row["sample"], row["fingerprint"], row["status"] == "error")

    def _note(self, position: int, sample: str, fingerprint: str, failed: bool) -> None:
        self.done[position] = (sample, fingerprint)
        if failed:
            self.failed.add(position)

    def _gather(self, block: int) -> None:
        part = self._part_file(block)
        paths = [self._sample_file(position) for position in sorted(self._loose[block])]
        tables = [read_records(path) for path in ([part] if part.is_file() else []) + paths]
        # Stable: the rows of one sample keep their order.
        write_records(part, _sorted(pyarrow.concat_tables(tables)))
        for path in paths:
            path.unlink()
        self._loose[block].clear()

    def _refuse_changes(self, part: str, now: Mapping[str, Any]) -> None:
        assert self._started is not None
        changes = list(differences(self._started[part], json.loads(json.dumps(now)), part))
        if changes:
            more = f" and {len(changes) - CHANGES_SHOWN} more" if len(changes) > CHANGES_SHOWN else ""
            raise InputError(
                f"{self.path} holds a run with other settings: {'; '.join(changes[:CHANGES_SHOWN])}{more}: "
                "name a new folder"
            )


@contextmanager
def open_run(path: Path, configuration: Mapping[str, Any], versions: Mapping[str, str]) -> Iterator[RunFolder]:
    """A run's folder, new or to be gone on with, for this process alone.

    Args:
        path: the folder; it is made if there is none.
        configuration: what is run.
        versions: see `wherelook.explain.versions`.

    Raises:
        InputError: another process writes to it, or it holds a run of something else; the message says what differs.
        WherelookError: the disk refuses, or a file of many samples is damaged.
    """
    _make(path)
    with _locked(path):
        folder = RunFolder(path, configuration, versions)
        yield folder
        folder.gather()


def read_run(path: Path, columns: Sequence[str] | None = None) -> tuple[dict[str, Any], pyarrow.Table]:
    """`run.json` and all rows of a run, in the order of the data set; the run may be unfinished, or still going on.

    Args:
        path: the folder.
        columns: which to read, None for all; `position` is always there.

    Raises:
        InputError: there is no run in the folder.
        WherelookError: a file cannot be read.
    """
    about = _read_run_file(path)
    if about is None:
        raise InputError(f"{path} holds no run: expected {RUN_FILE} and {RECORDS}/, as `wherelook run` writes them")
    names = SCHEMA.names if columns is None else list(dict.fromkeys(("position", *columns)))
    tables = [SCHEMA.empty_table().select(names)]
    found: set[int] = set()
    # Single samples first: one that is gathered while we read is in a part afterwards.
    for pattern in ("sample-*.parquet", "part-*.parquet"):
        for file in sorted((path / RECORDS).glob(pattern)):
            try:
                table = _without(read_records(file, names), found)
            except WherelookError:
                if file.is_file():
                    raise
                continue
            found.update(table["position"].to_pylist())
            tables.append(table)
    return about, _sorted(pyarrow.concat_tables(tables))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The system takes the lock away from a process that dies, however it does."""
    file = path / LOCK_FILE
    try:
        lock = file.open("a+", encoding="utf-8")
    except OSError as error:
        raise WherelookError(f"cannot write {file}: {error.strerror or error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            raise InputError(
                f"another process ({lock.read(20).strip() or 'unknown'}) is writing to {path}: "
                "wait for it, or name a new folder"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {path}: {error.strerror or error}; choose another one") from error


def _read_run_file(path: Path) -> dict[str, Any] | None:
    file = path / RUN_FILE
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON: name a new folder") from error
    parts = ("configuration", "model", "versions")
    if not isinstance(about, dict) or not all(isinstance(about.get(part), dict) for part in parts):
        raise InputError(f"{file} is not the file of a run: name a new folder")
    if about.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{file} is of another version of wherelook: name a new folder")
    return about


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs, as "name was this and is now that"."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif before != now:
        yield f"{name} was {json.dumps(before)[:VALUE_SHOWN]} and is now {json.dumps(now)[:VALUE_SHOWN]}"


def _without(table: pyarrow.Table, positions: set[int]) -> pyarrow.Table:
    return table.filter(pyarrow.array([place not in positions for place in table["position"].to_pylist()]))


def _sorted(table: pyarrow.Table) -> pyarrow.Table:
    places = table["position"].to_pylist()
    return table.take(pyarrow.array(sorted(range(len(places)), key=places.__getitem__), pyarrow.int64()))
