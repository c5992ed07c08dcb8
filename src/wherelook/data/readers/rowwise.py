"""From rows to samples, so that one row that is wrong is one sample with an error and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from wherelook.data.row import Row
from wherelook.data.sample import BROKEN_ROW, NO_IMAGE, Sample
from wherelook.data.sources import NoImage
from wherelook.errors import WherelookError

ID_COLUMNS = ("id", "index", "idx", "question_id")


def samples_of(rows: Iterable[Row], make: Callable[[Row], Sample], prefix: str = "") -> Iterator[Sample]:
    """The sample of every row; of a row that `make` cannot read one that says why when its image is loaded.

    Args:
        rows: of a table.
        make: raises WherelookError where a row is wrong.
        prefix: of the ids of rows that have none.
    """
    for row in rows:
        try:
            yield flagged(make(row))
        except WherelookError as error:
            yield broken(row, error, prefix)


def flagged(sample: Sample) -> Sample:
    """The same sample, which says so where it has no image."""
    if not isinstance(sample.source, NoImage) or NO_IMAGE in sample.flags:
        return sample
    return replace(sample, flags=(*sample.flags, NO_IMAGE))


def broken(row: Row, error: WherelookError, prefix: str = "") -> Sample:
    """In the place of a sample that cannot be read."""
    name = None
    for column in ID_COLUMNS:
        with suppress(WherelookError):
            name = name or row.name(column)
    reason, place = str(error), f"{row.place}: "
    source = NoImage(reason, reason.removeprefix(place) if reason.startswith(place) else BROKEN_ROW)
    return Sample(id=name or f"{prefix}{row.number}", source=source, question="", flags=(BROKEN_ROW,))
