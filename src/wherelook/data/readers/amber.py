"""AMBER (Wang et al. 2023, arXiv 2311.07397): is it there, is it so? And descriptions, whose objects are looked up.

query_all.json or query_discriminative.json (also in query/ or data/query/): [{id, image, query}].
annotations.json (also in data/): [{id, type, truth}]; truth is yes or no, or of descriptions a list of objects.
image/AMBER_1.jpg and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from wherelook.data.files import Files
from wherelook.data.readers.layout import Benchmark, Layout
from wherelook.data.row import Row
from wherelook.data.sample import Sample
from wherelook.data.tables import json_rows
from wherelook.errors import WherelookError

PLACES = ("", "query/", "data/query/")
TABLES = tuple(
    f"{place}{name}" for name in ("query_all.json", "query_discriminative*.json", "query_*.json") for place in PLACES
)
ANNOTATIONS = ("annotations.json", "data/annotations.json", "*/annotations.json")
FOLDERS = ("image", "images", "data/image", "data/images", "AMBER", "")


def _adjust(row: Row, sample: Sample, known: Mapping[str, tuple[str, str | None]]) -> Sample:
    number = row.required_name("id")
    kind, truth = known.get(number, ("", None))
    open_ended = truth is None and (kind == "generative" or not kind)
    return replace(
        sample,
        id=number,
        references=() if truth is None else (truth,),
        kind=kind,
        prompt="open" if open_ended else "yes-no",
        judge="none" if open_ended else "yes-no",
    )


def _annotations(files: Files) -> dict[str, tuple[str, str | None]]:
    """Type and answer by id; the answer is None where it is no yes or no."""
    found: dict[str, tuple[str, str | None]] = {}
    for name in next((names for pattern in ANNOTATIONS if (names := files.find(pattern))), [])[:1]:
        for record in json_rows(files, name):
            with suppress(WherelookError):  # of one entry: its question has no answer then
                truth = record.value("truth")
                answer = truth.strip().lower() if isinstance(truth, str) else ""
                known = answer if answer in ("yes", "no") else None
                found[record.required_name("id")] = (record.name("type") or "", known)
    return found


BENCHMARK = Benchmark(
    name="AMBER",
    tables=TABLES,
    expected="query_all.json, annotations.json and the folder image",
    layout=Layout(id=("id",), image=("image",), folders=FOLDERS, question=("query",)),
    adjust=_adjust,
    prepare=_annotations,
)

read = BENCHMARK.read
"""Its samples; `kind` is the type. Descriptions have no reference and no rule that judges them."""
