"""Which samples of a comparison a page shows: some of every kind, model and outcome, with their rows and images."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow.compute
from jaxtyping import Bool
from numpy.typing import NDArray

from wherelook.analysis.benchmarks import name_benchmarks
from wherelook.analysis.results import Comparison
from wherelook.data.datasets import read_samples
from wherelook.errors import WherelookError
from wherelook.evaluation.records import storable
from wherelook.evaluation.rows import Row
from wherelook.evaluation.run_folder import read_run
from wherelook.evaluation.verdicts import JUDGED_BY, apply_verdicts, read_verdicts

Answer = Literal["right", "wrong", "not judged"]
Place = Literal["evidence", "elsewhere", "unknown", "no map"]
"""What the most salient place lies on; unknown: the evidence is."""

ANSWERS, PLACES = get_args(Answer), get_args(Place)

CHOSEN_BY = ("dataset", "kind", "fingerprint", "run", "status", "pointing", *JUDGED_BY)
"""Columns that samples are chosen by."""

SHOWN = (
    *CHOSEN_BY,
    *("question", "choices", "references", "flags", "reason", "error", "reliance"),
    *("tokens", "mask", "mask_height", "mask_width", "image_width", "image_height"),
)
"""Columns that are shown of them."""

Key = tuple[str, str, str]
"""(benchmark, sample id, fingerprint)."""

Kind = tuple[str, str, str, Answer, Place]
"""(benchmark, task, model, answer, place)."""


@dataclass(frozen=True)
class Exhibit:
    """A sample to show.

    Attributes:
        benchmark, sample: which.
        rows: by model, in the order of the comparison.
        pixels: (height, width, 3) RGB; None where the image cannot be read.
        evidence: True where the answer should come from; None where it is not known.
    """

    benchmark: str
    sample: str
    rows: Mapping[str, Row]
    pixels: NDArray[np.uint8] | None
    evidence: Bool[np.ndarray, "height width"] | None


@dataclass(frozen=True)
class Exhibition:
    """The samples to show, out of how many; and why some have no image, in sentences."""

    exhibits: tuple[Exhibit, ...]
    samples: int
    notes: tuple[str, ...]


def answer_of(row: Row) -> Answer:
    """What is known of the answer of a row."""
    return "not judged" if row["correct"] is None else "right" if row["correct"] else "wrong"


def place_of(row: Row) -> Place:
    """Where the map of a row has its most salient place."""
    if row["status"] != "ok":
        return "no map"
    return "unknown" if row["pointing"] is None else "evidence" if row["pointing"] > 0 else "elsewhere"


def choose_exhibits(comparison: Comparison, count: int) -> Exhibition:
    """At most `count` samples with their rows and images, in the order of the datasets.

    Each combination of task, model, answer and place is shown once before any is twice, as far as they go. Images are
    read from the datasets that the runs name; where one has moved or changed, there is a note instead.

    Raises:
        InputError, WherelookError: a run cannot be read any more.
    """
    rows = _rows(comparison, CHOSEN_BY)
    chosen = _choose(rows, count)
    wanted = {key for key in rows if key in chosen}
    full = _rows(comparison, SHOWN, wanted) if wanted else {}
    images, notes = _read_images(full)
    exhibits = tuple(
        Exhibit(key[0], key[1], full[key], *images.get(key, (None, None))) for key in rows if key in wanted
    )
    return Exhibition(exhibits, len(rows), notes)


def _rows(
    comparison: Comparison, columns: Sequence[str], wanted: Iterable[Key] | None = None
) -> dict[Key, dict[str, Row]]:
    """Rows of the comparison's method by sample and model, of the samples that all models of a benchmark have."""
    verdicts = {line.run: read_verdicts(Path(line.file)) for line in comparison.judges}
    names = None if wanted is None else pyarrow.array(sorted({key[1] for key in wanted}), pyarrow.string())
    found: dict[Key, dict[str, Row]] = {}
    models: dict[str, set[str]] = {}
    benchmarks = name_benchmarks([folder for model in comparison.models for folder in model.runs])
    for model in comparison.models:
        for folder in model.runs:
            _, table = read_run(Path(folder), columns)
            benchmark = benchmarks[folder]
            models.setdefault(benchmark, set()).add(model.name)
            table = table.filter(pyarrow.compute.equal(table["run"], comparison.method))
            if names is not None:
                table = table.filter(pyarrow.compute.is_in(table["sample"], names))
            own_rows = table.to_pylist()
            for row in apply_verdicts(own_rows, verdicts[folder]) if folder in verdicts else own_rows:
                found.setdefault((benchmark, row["sample"], row["fingerprint"]), {})[model.name] = row
    return {key: own for key, own in found.items() if own.keys() == models[key[0]]}


def _choose(rows: Mapping[Key, Mapping[str, Row]], count: int) -> set[Key]:
    """First one sample of every kind, then two, and so on; rare kinds first, for their samples are of others too."""
    kinds: dict[Kind, list[Key]] = {}
    for key, own in rows.items():
        for kind in _kinds(key, own):
            kinds.setdefault(kind, []).append(key)
    chosen: set[Key] = set()
    shown = Counter[Kind]()
    left = {kind: iter(keys) for kind, keys in sorted(kinds.items(), key=lambda entry: len(entry[1]))}
    for wanted in range(1, 1 + max(map(len, kinds.values()), default=0)):
        for kind, keys in left.items():
            if shown[kind] >= wanted:
                continue
            unseen = next((key for key in keys if key not in chosen), None)
            if unseen is None:
                continue
            if len(chosen) == count:
                return chosen
            chosen.add(unseen)
            shown.update(_kinds(unseen, rows[unseen]))
    return chosen


def _kinds(key: Key, rows: Mapping[str, Row]) -> list[Kind]:
    """Of one sample, one for each model."""
    return [(key[0], row["kind"] or "", model, answer_of(row), place_of(row)) for model, row in rows.items()]


# ---- images ----

Picture = tuple[NDArray[np.uint8], Bool[np.ndarray, "height width"] | None]


def _read_images(rows: Mapping[Key, Mapping[str, Row]]) -> tuple[dict[Key, Picture], tuple[str, ...]]:
    """Pixels and evidence by sample, and what could not be read. Every dataset is read once, as far as needed."""
    found: dict[Key, Picture] = {}
    notes: list[str] = []
    for benchmark in dict.fromkeys(key[0] for key in rows):
        own = [key for key in rows if key[0] == benchmark]
        reasons: list[str] = []
        for dataset in dict.fromkeys(row["dataset"] for key in own for row in rows[key].values()):
            missing = [key for key in own if key not in found]
            end = 1 + max((row["position"] for key in missing for row in rows[key].values()), default=-1)
            pictures, failures = _read_dataset(dataset, missing, end)
            found |= pictures
            reasons += failures
        absent = sum(key not in found for key in own)
        if absent:
            reason = reasons[0] if reasons else "they are not in the dataset any more, or have changed"
            notes.append(f"{benchmark}: {absent} of {len(own)} samples are shown without their image: {reason}.")
    return found, tuple(notes)


def _read_dataset(dataset: str, keys: Sequence[Key], end: int) -> tuple[dict[Key, Picture], list[str]]:
    """What the first `end` samples of a dataset give, and reasons for what they do not."""
    by_name = {key[1]: key for key in keys}
    found: dict[Key, Picture] = {}
    reasons = []
    try:
        for sample in itertools.islice(read_samples(dataset), end):
            key = by_name.get(storable(sample.id))
            if key is None or sample.fingerprint != key[2]:
                continue
            try:
                found[key] = sample.image.pixels, sample.truth
            except WherelookError as error:
                reasons.append(str(error))
    except WherelookError as error:
        reasons.append(str(error))
    return found, reasons
