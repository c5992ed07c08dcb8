"""The folder of a run: `run.json` says what was run, `records/` holds the rows. One process writes at a time.

A finished sample is a small file of its own at once, `sample-00000012.parquet`, written under a hidden name and
renamed: it is there whole or not at all. A thousand neighbors become one file, `part-00000000.parquet`, in the order
of the dataset, when all of them are there and when the run ends. Where both have a row of the same sample and method
the sample's own file is the newer one.

No row is removed but by a newer one of the same sample and method. A file that cannot be read now stops the run; one
that is damaged for certain is moved to `damaged/`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import operator
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.compute

from wherelook.data.datasets import Sample
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.records import (
    NAMES,
    SCHEMA,
    DamagedError,
    column_type,
    read_records,
    storable,
    to_table,
    write_records,
)
from wherelook.evaluation.rows import Row
from wherelook.metrics import measures, read_metrics
from wherelook.storage import (
    UNFINISHED,
    list_folder,
    locked,
    make_folder,
    read_text,
    remove,
    set_aside,
    write_whole,
)

RUN_FILE = "run.json"
RECORDS = "records"
SCHEMA_VERSION = 1
BLOCK = 1000
"""Samples in one file when they are all there."""

METHODS, SETTINGS = "runs", "settings"
"""In the configuration: names of the methods, and the settings of each. Methods can be added to a run."""

MAY_CHANGE = (METHODS, SETTINGS, "dataset", "name")
"""Of the configuration, what may differ when a run is resumed. The data are compared sample by sample; where they lie
and what they are called is not what they are. How many answers or maps there are is no part of it at all."""

CHANGES_SHOWN, VALUE_SHOWN = 3, 100
"""Of what has changed: how much, and how many characters of a value, an error tells."""

_SAMPLE, _PART = re.compile(r"sample-(\d{8,})\.parquet"), re.compile(r"part-(\d{8,})\.parquet")
_NOTED = ("position", "sample", "fingerprint", "run", "status", "answer", "baseline", "condition", "partner", "error")


@dataclass(frozen=True)
class Known:
    """What is known of a sample with rows.

    Attributes:
        sample, fingerprint: as they are stored.
        answer: the answer that its rows are about, as it is stored; None where none has one.
        baseline: the baseline that its words were found with.
        error: the newest.
        statuses: of its plain rows, by method.
        changed: (partner, status) of rows under a condition, by method and condition.
    """

    sample: str
    fingerprint: str
    answer: str | None = None
    baseline: str | None = None
    error: str = ""
    statuses: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    @property
    def mapped(self) -> tuple[str, ...]:
        """The methods that made a map."""
        return tuple(method for method, status in self.statuses.items() if status == "ok")

    def is_changed(self, method: str, condition: str, partner: Sample | None) -> bool:
        """Whether there is a row of this method under a condition, with this partner."""
        return self.changed.get((method, condition), (None,))[0] == ("" if partner is None else storable(partner.id))

    def noted(self, row: Mapping[str, Any]) -> Known:
        """With one row more; it takes the place of an earlier one."""
        if row["condition"]:
            made = row["partner"] or "", row["status"]
            return replace(self, changed={**self.changed, (row["run"], row["condition"]): made})
        return replace(
            self,
            answer=self.answer if row["answer"] is None else row["answer"],
            baseline=row["baseline"] or self.baseline,
            error=row["error"] or self.error,
            statuses={**self.statuses, row["run"]: row["status"]},
        )

    def without_errors(self, methods: Iterable[str]) -> Known:
        """As if what these methods failed at had not been done."""
        kept = {name: status for name, status in self.statuses.items() if status != "error" or name not in methods}
        changed = {key: made for key, made in self.changed.items() if made[1] != "error" or key[0] not in methods}
        return replace(self, statuses=kept, changed=changed)


class RunFolder:
    """The files of a run, open for writing. Make one with `open_run`.

    Attributes:
        path: of the folder.
        configuration: what is run, as plain JSON values; nothing in it that only says how fast.
        versions: of the packages that results depend on.
        wanted: names of the methods that every sample is to have rows of.
        notes: what happened to files of the folder, in sentences.
    """

    def __init__(self, path: Path, configuration: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        self.path = path
        self.configuration = json.loads(json.dumps(configuration))
        self.versions = dict(versions)
        self.wanted: tuple[str, ...] = tuple(self.configuration[METHODS])
        self.notes: list[str] = []
        self._known: dict[int, Known] = {}
        self._complete: set[int] = set()
        self._failed: set[int] = set()
        self._loose: defaultdict[int, set[int]] = defaultdict(set)
        self._started = _read_run_file(path)
        if self._started is not None:
            before = self._started["configuration"]
            self._refuse_changes("configuration", _fixed(before), _fixed(self.configuration))
            self._refuse_changes("configuration.settings", *_of_both(before, self.configuration))
            self._refuse_changes("versions", self._started["versions"], self.versions)
        self._recover()

    @property
    def done(self) -> int:
        """How many samples have rows of all methods that are wanted."""
        return len(self._complete)

    @property
    def failed(self) -> int:
        """How many samples have an error in a row of a method that is wanted."""
        return len(self._failed)

    def accept(self, model: Mapping[str, Any]) -> None:
        """Takes the model that is to answer: writes `run.json` if there is none yet, or if methods are new.

        Raises:
            InputError: the folder's rows are another model's.
        """
        configuration = self.configuration
        if self._started is not None:
            before = self._started["configuration"]
            self._refuse_changes("model", self._started["model"], json.loads(json.dumps(dict(model))))
            named = {key: value for key, value in configuration.items() if value is not None}
            configuration = before | named | {
                METHODS: list(dict.fromkeys((*before[METHODS], *configuration[METHODS]))),
                SETTINGS: before.get(SETTINGS, {}) | configuration.get(SETTINGS, {}),
            }  # fmt: skip
            if configuration == before:
                return
        parts = {"configuration": configuration, "model": dict(model), "versions": self.versions}
        text = json.dumps(parts | {"configuration": _fixed(configuration)}, sort_keys=True)
        about = {"schema_version": SCHEMA_VERSION, "fingerprint": hashlib.sha256(text.encode()).hexdigest(), **parts}
        write_whole(self.path / RUN_FILE, (json.dumps(about, indent=2) + "\n").encode())
        self._started = about

    def missing(self, position: int, sample: Sample) -> tuple[str, ...]:
        """The methods that the sample has no rows of yet.

        Raises:
            InputError: what has rows at this position is another sample, or was another then.
        """
        known = self.check(position, sample)
        return self.wanted if known is None else tuple(name for name in self.wanted if name not in known.statuses)

    def check(self, position: int, sample: Sample) -> Known | None:
        """What is known of a sample; None where it has no rows.

        Raises:
            InputError: what has rows at this position is another sample, or was another then.
        """
        known = self._known.get(position)
        if known is None:
            return None
        name = storable(sample.id)
        if known.sample != name:
            what = f"sample {position} of the dataset was {known.sample!r} and is now {name!r}"
        elif known.fingerprint != sample.fingerprint:
            what = f"sample {name!r} has changed: its fingerprint was {known.fingerprint[:12]} and is now "
            what += sample.fingerprint[:12]
        else:
            return known
        raise InputError(f"{self.path} holds rows of other data: {what}; name a new folder")

    def known(self, position: int) -> Known:
        """What is known of a sample that has rows."""
        return self._known[position]

    def all_known(self) -> list[tuple[int, Known]]:
        """What is known of all samples, by position."""
        return sorted(self._known.items(), key=operator.itemgetter(0))

    def add(self, rows: Sequence[Row]) -> None:
        """Writes rows of a sample, or of several, in the place of earlier ones of the same methods.

        Raises:
            WherelookError: the disk refuses.
        """
        for position, of_sample in itertools.groupby(rows, key=operator.itemgetter("position")):
            self._add(position, list(of_sample))

    def _add(self, position: int, rows: Sequence[Row]) -> None:
        file, block = self._sample_file(position), position // BLOCK
        table = to_table(rows)
        if position in self._loose[block]:
            table = _merged([read_records(file), table])
        write_records(file, table)
        self._note(table)
        self._loose[block].add(position)
        plain = not rows[0].get("condition")  # others are few, and would have a part written again for each
        if plain and all(place in self._complete for place in range(block * BLOCK, (block + 1) * BLOCK)):
            self._gather(block)

    def gather(self) -> None:
        """Makes as few files as possible of what is there.

        Raises:
            WherelookError: the disk refuses.
        """
        for block in [block for block, positions in self._loose.items() if positions]:
            self._gather(block)

    def retry_errors(self) -> int:
        """Has the methods done again that failed, of every sample. Their rows stay until newer ones take their place.

        Returns:
            How many samples these are.
        """
        failed = list(self._failed)
        self._known = {place: known.without_errors(self.wanted) for place, known in self._known.items()}
        self._complete.difference_update(failed)
        self._failed.clear()
        return len(failed)

    # ---- files ----

    def _sample_file(self, position: int) -> Path:
        return self.path / RECORDS / f"sample-{position:08d}.parquet"

    def _part_file(self, block: int) -> Path:
        return self.path / RECORDS / f"part-{block * BLOCK:08d}.parquet"

    def _recover(self) -> None:
        """Finds what is done; removes what was never finished, and sets aside what is damaged."""
        records = self.path / RECORDS
        make_folder(records)
        samples: list[tuple[Path, int]] = []
        for name in list_folder(records):  # parts come before samples
            path = records / name
            if name.startswith((".part-", ".sample-")) and name.endswith(UNFINISHED):
                remove(path)
            elif found := _PART.fullmatch(name):
                self._read(path, range(int(found[1]), int(found[1]) + BLOCK))
            elif found := _SAMPLE.fullmatch(name):
                samples.append((path, int(found[1])))
            elif name.endswith(".parquet") and not name.startswith("."):
                raise InputError(f"{path} is not a file of this run: move it away, or name a new folder")
        for path, position in samples:
            if self._read(path, range(position, position + 1)):
                self._loose[position // BLOCK].add(position)
        if self._known and self._started is None:
            raise InputError(f"{self.path} holds records but no {RUN_FILE}: name a new folder")

    def _read(self, path: Path, expected: range) -> bool:
        """Notes the rows of a file; False where it was set aside."""
        try:
            table = read_records(path, _NOTED)
        except DamagedError as error:
            new = set_aside(path, self.path)
            self.notes.append(f"{error}: it was moved to {new}, and its samples are done again")
            return False
        if not all(place in expected for place in table["position"].to_pylist()):
            raise InputError(f"{path} holds rows of other samples: move it away, or name a new folder")
        self._note(table)
        return True

    def _note(self, table: pyarrow.Table) -> None:
        for row in table.select(_NOTED).to_pylist():
            place = row["position"]
            known = (self._known.get(place) or Known(row["sample"], row["fingerprint"])).noted(row)
            self._known[place] = known
            if all(name in known.statuses for name in self.wanted):
                self._complete.add(place)
            failed = any(known.statuses.get(name) == "error" for name in self.wanted)
            (self._failed.add if failed else self._failed.discard)(place)

    def _gather(self, block: int) -> None:
        part = self._part_file(block)
        paths = [self._sample_file(position) for position in sorted(self._loose[block])]
        tables = [read_records(path) for path in ([part] if os.path.lexists(part) else []) + paths]
        write_records(part, _merged(tables))
        for path in paths:
            remove(path)
        self._loose[block].clear()

    def _refuse_changes(self, part: str, before: Any, now: Any) -> None:
        changes = list(differences(before, now, part))
        if changes:
            more = f" and {len(changes) - CHANGES_SHOWN} more" if len(changes) > CHANGES_SHOWN else ""
            raise InputError(
                f"{self.path} holds a run with other settings: {'; '.join(changes[:CHANGES_SHOWN])}{more}: "
                "name a new folder"
            )


@contextmanager
def open_run(path: Path, configuration: Mapping[str, Any], versions: Mapping[str, str]) -> Iterator[RunFolder]:
    """A run's folder, new or to be resumed, for this process alone.

    Args:
        path: the folder; it is made if there is none.
        configuration: what is run; `runs` names the methods, and `settings` has those of each.
        versions: see `wherelook.explain.versions`.

    Raises:
        InputError: another process writes to it, or it holds a run of something else; the message says what differs.
        WherelookError: the disk refuses, or a file cannot be read at the moment.
    """
    make_folder(path)
    with locked(path):
        folder = RunFolder(path, configuration, versions)
        yield folder
        folder.gather()


def read_run(
    path: Path, columns: Sequence[str] | None = None, *, conditions: bool = False, metrics: bool = False
) -> tuple[dict[str, Any], pyarrow.Table]:
    """`run.json` and the rows of a run, in the order of the dataset; the run may be unfinished, or still going on.

    Args:
        path: the folder.
        columns: which to read, None for all; `position` is always there.
        conditions: whether to read the rows under a condition too, see `wherelook.evaluation.conditions`.
        metrics: whether to read the figures of other packages' metrics too, as `metrics_told` of the run names them.

    Raises:
        InputError: there is no run in the folder.
        WherelookError: a file cannot be read.
    """
    about = _read_run_file(path)
    if about is None:
        raise InputError(f"{path} holds no run: expected {RUN_FILE} and {RECORDS}/, as `wherelook run` writes them")
    others = measures(read_metrics(about["configuration"].get("metrics_told"))) if metrics else ()
    names = None if columns is None else list(dict.fromkeys(("position", *columns, *others)))
    read = None if names is None else list(dict.fromkeys((*names, "run", "condition")))
    records = path / RECORDS
    # Single samples first: one that is gathered while we read is in a part afterwards.
    samples = [_read_now(records / name, read) for name in list_folder(records) if _SAMPLE.fullmatch(name)]
    parts = [_read_now(records / name, read) for name in list_folder(records) if _PART.fullmatch(name)]
    tables = [table for table in (*parts, *samples) if table is not None]
    empty = SCHEMA.empty_table()
    rows = _merged([empty if read is None else empty.select([name for name in read if name in NAMES]), *tables])
    if not conditions:
        rows = rows.filter(pyarrow.compute.equal(rows["condition"].fill_null(""), ""))
    if names is None:
        return about, rows
    for name in names:
        if name not in rows.column_names:  # there is no file yet
            rows = rows.append_column(name, pyarrow.nulls(len(rows), column_type(name)))
    return about, rows.select(names)


def _read_now(path: Path, columns: Sequence[str] | None) -> pyarrow.Table | None:
    """None where the file has gone."""
    try:
        return read_records(path, columns)
    except WherelookError:
        if path.exists():
            raise
        return None


def _read_run_file(path: Path) -> dict[str, Any] | None:
    file = path / RUN_FILE
    text = read_text(file)
    if text is None:
        return None
    try:
        about = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read as JSON: name a new folder") from error
    parts = ("configuration", "model", "versions")
    if not isinstance(about, dict) or not all(isinstance(about.get(part), dict) for part in parts):
        raise InputError(f"{file} is not the file of a run: name a new folder")
    if about.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{file} is of another version of wherelook: name a new folder")
    methods, settings = about["configuration"].get(METHODS), about["configuration"].get(SETTINGS, {})
    if not isinstance(methods, list) or not isinstance(settings, dict):
        raise InputError(f"{file} is not the file of a run: name a new folder")
    return about


def _fixed(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in configuration.items() if key not in MAY_CHANGE}


def _of_both(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the methods that both have."""
    first, second = before.get(SETTINGS, {}), now.get(SETTINGS, {})
    common = [name for name in first if name in second]
    return {name: first[name] for name in common}, {name: second[name] for name in common}


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs, as "name was this and is now that"."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif before != now:
        yield f"{name} was {json.dumps(before)[:VALUE_SHOWN]} and is now {json.dumps(now)[:VALUE_SHOWN]}"


def _merged(tables: Sequence[pyarrow.Table]) -> pyarrow.Table:
    """The rows of all tables by position; of one sample, method and condition those of the last. The methods of a
    sample come in the order in which it got them."""
    table = pyarrow.concat_tables(tables, promote_options="default")  # one may have a metric that another has not
    rows: dict[tuple[int, str, str], int] = {}
    of_row = (table["position"].to_pylist(), table["run"].to_pylist(), table["condition"].fill_null("").to_pylist())
    for row, key in enumerate(zip(*of_row, strict=True)):
        rows[key] = row  # a key keeps its first place
    order = [rows[key] for key in sorted(rows, key=lambda key: key[0])]
    return table.take(pyarrow.array(order, pyarrow.int64()))
