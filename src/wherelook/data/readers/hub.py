"""A data set of the Hugging Face hub, by name or as a folder, through the package `datasets`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wherelook.data.files import Folder, Location
from wherelook.data.readers.table import FIELDS, SETTINGS, check_fields, read_all
from wherelook.data.row import Row
from wherelook.data.sample import Sample
from wherelook.errors import InputError, WherelookError, how_to_install, unknown_name

OPTIONS = ("split", "config", "revision")


def read(where: Location | str, columns: Mapping[str, str]) -> Iterator[Sample]:
    """The samples of a data set, streamed; no code that comes with it is run.

    Args:
        where: a name on the hub, or a folder that `datasets` can read.
        columns: names of columns by `wherelook.data.readers.table.FIELDS`; also split, config and revision.

    Raises:
        InputError: `datasets` is not installed, there is no such data set or split, or no such field.
        WherelookError: a row is broken, or the connection is lost.
    """
    name = where if isinstance(where, str) else where.path
    files = (Location(name) if isinstance(where, str) else where).files_of(Folder(Path(name)))
    check_fields(columns, OPTIONS)
    try:
        import datasets
    except ImportError as error:
        raise InputError(f"data sets of the hub need the package datasets: {how_to_install('hub')}") from error
    fields = {field: column for field, column in columns.items() if field in FIELDS + SETTINGS}
    yield from read_all(_rows(datasets, name, columns), files, fields, name)


def _rows(datasets: Any, name: str, columns: Mapping[str, str]) -> Iterator[Row]:
    number = 0
    try:
        for number, stored in enumerate(_load(datasets, name, columns), start=1):
            values = {column: _in_folder(value, name) for column, value in stored.items()}
            yield Row(f"{name}, row {number}", values, number)
    except WherelookError:
        raise
    except Exception as error:  # of the network and of many formats
        raise WherelookError(f"{name}, after row {number}: {_first_line(error)}") from error


def _load(datasets: Any, name: str, options: Mapping[str, str]) -> Any:
    """Rows with images as they are stored, not decoded."""
    split = options.get("split")
    try:
        if (Path(name) / "state.json").is_file() or (Path(name) / "dataset_dict.json").is_file():
            rows = datasets.load_from_disk(name)
        else:
            rows = datasets.load_dataset(
                name, options.get("config"), revision=options.get("revision"), split=split, streaming=True
            )
    except Exception as error:  # as many types as there are places where data can be
        raise InputError(f"cannot open data set {name!r}: {_first_line(error)}") from error
    if isinstance(rows, dict):
        splits = ", ".join(map(str, rows))
        if split is None and len(rows) > 1:
            raise InputError(
                f"data set {name!r} has several splits: name one, hub:{name},split=NAME; there are {splits}"
            )
        if split is not None and split not in rows:
            raise unknown_name("split", split, list(map(str, rows)))
        rows = rows[split or next(iter(rows))]
    for column, feature in (rows.features or {}).items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(column, datasets.Image(decode=False))
    return rows


def _in_folder(value: Any, folder: str) -> Any:
    """An image file of a folder by its path in it; `datasets` gives the whole path. Anything else as it is."""
    path = value.get("path") if isinstance(value, dict) and value.get("bytes") is None else None
    if not isinstance(path, str) or not Path(path).is_relative_to(Path(folder).absolute()):
        return value
    return Path(path).relative_to(Path(folder).absolute()).as_posix()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
