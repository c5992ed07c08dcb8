"""Several runs put together: which are of one model, which samples they share, which samples belong together."""

from __future__ import annotations

import bisect
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute
import torch
from jaxtyping import Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from wherelook.analysis.benchmarks import called_alike, name_benchmarks
from wherelook.analysis.results import StudyModel
from wherelook.errors import InputError
from wherelook.evaluation.rows import MEASURES, Row, mask_of
from wherelook.evaluation.run_folder import read_run
from wherelook.evaluation.verdicts import JUDGED_BY, judge_run
from wherelook.metrics import METRICS, Metric, measures, read_metrics

COLUMNS = (
    *("position", "sample", "dataset", "kind", "group", "fingerprint", "image_sha256", "evidence_share", "run"),
    *("status", "reason", "error", "correct", "blind_correct", "reliance", "words", "relevant_words"),
    *("tokens_words", "tokens_selected", "answer", "reference", "choices", "soft_accuracy"),
    *("human_share", "human_center", "human_ceiling", *MEASURES),
)
"""Of the records, all that a comparison reads beside the maps."""

Keyed = dict[tuple[str, str], Row]
"""Rows by sample id and fingerprint: a sample that has changed is another one."""

SCALE_BOUNDS = (1, 3, 6, 10, 20, 50, 100, 300, 1000)
"""Billions of parameters between which models are of one class; below, a power of ten has two."""

UNITS = ((10**9, "B"), (10**6, "M"), (10**3, "k"))

MODEL_COLUMNS = ("run", "architecture", "scale", "name")
"""Of a table of models; the name may be missing."""


@dataclass(frozen=True)
class Label:
    """What a run's model is compared by; see `StudyModel`."""

    architecture: str
    scale: str
    name: str | None = None


@dataclass(frozen=True)
class Benchmark:
    """The samples of one dataset that all of its models have rows for.

    Attributes:
        name: of the dataset.
        samples: ids, in the order of the dataset.
        clusters: for each sample what it belongs to: samples of one image or one group; None where each stands alone.
        rows: by model, in the order of `samples`; `folder` is the run that a row is from. Those of a run with a file of
            verdicts are judged by it, see `wherelook.evaluation.verdicts.judge_run`.
        counts: by model, all samples that it has rows for.
    """

    name: str
    samples: tuple[str, ...]
    clusters: tuple[int, ...] | None
    rows: Mapping[str, tuple[Row, ...]]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Together:
    """Runs, ready to be compared.

    Attributes:
        method: method:preset of all rows.
        models: in the order of the runs.
        benchmarks: with at least one common sample.
        metrics: what figures of maps mean, by column.
        notes: what is not compared, in sentences.
    """

    method: str
    models: tuple[StudyModel, ...]
    benchmarks: tuple[Benchmark, ...]
    metrics: Mapping[str, Metric]
    notes: tuple[str, ...]


def parse_label(text: str) -> tuple[str, Label]:
    """RUN=ARCHITECTURE:SCALE, or RUN=ARCHITECTURE:SCALE:NAME.

    Raises:
        InputError: it is not of this form.
    """
    run, _, label = text.rpartition("=")
    parts = [part.strip() for part in label.split(":")]
    if not run or len(parts) not in (2, 3) or not all(parts):
        raise InputError(f"label {text!r}: expected RUN=ARCHITECTURE:SCALE or RUN=ARCHITECTURE:SCALE:NAME")
    return run, Label(*parts)


def parse_verdicts(text: str) -> tuple[str, Path]:
    """RUN=FILE.

    Raises:
        InputError: it is not of this form.
    """
    run, _, file = text.rpartition("=")
    if not run or not file:
        raise InputError(f"verdicts {text!r}: expected RUN=FILE")
    return run, Path(file)


def read_labels(path: Path) -> dict[str, Label]:
    """Labels by run from a CSV file with the columns run, architecture, scale and, if wanted, name.

    Raises:
        InputError: the file cannot be read, or lacks a column or a value.
    """
    labels = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, line in enumerate(csv.DictReader(file), start=2):
                run, architecture, scale, name = ((line.get(column) or "").strip() for column in MODEL_COLUMNS)
                if not (run and architecture and scale):
                    raise InputError(f"line {number} of {path}: expected a run, an architecture and a scale")
                labels[run] = Label(architecture, scale, name or None)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table of models: {error}") from error
    return labels


def put_together(
    runs: Sequence[Path],
    labels: Mapping[str, Label],
    method: str | None = None,
    verdicts: Mapping[str, Path] | None = None,
) -> Together:
    """The runs' rows by dataset and model.

    Args:
        runs: folders of `wherelook run`.
        labels: by run, as it is named in `runs`; a run without one is labeled by its model's class and `scale_class`.
        method: method:preset to compare; None: the first that all runs have.
        verdicts: by run, the file that judges its answers instead of its rule.

    Raises:
        InputError: a folder without a run, a run twice, a label or verdicts for none, no common method, or no common
            sample; see also `wherelook.evaluation.verdicts.judge_run`.
        WherelookError: a file of verdicts is broken.
    """
    names = [str(run) for run in runs]
    verdicts = verdicts or {}
    for what, given in (("is a label", labels), ("are verdicts", verdicts)):
        for run in given:
            if _plain(run) not in map(_plain, names):
                raise InputError(
                    f"there {what} for {run!r}, which is not compared; expected one of: {', '.join(names)}"
                )
    if repeated := [run for run, count in Counter(map(_plain, names)).items() if count > 1]:
        raise InputError(f"run {repeated[0]!r} is named twice")
    known = {_plain(run): label for run, label in labels.items()}
    files = {_plain(run): path for run, path in verdicts.items()}
    judged = (*COLUMNS, *JUDGED_BY)
    found = [(run, *read_run(Path(run), judged if _plain(run) in files else COLUMNS, metrics=True)) for run in names]
    method = _common_method([about["configuration"].get("runs", []) for _, about, _ in found], method)
    models = _models([(run, about, known.get(_plain(run))) for run, about, _ in found])
    owner = {run: model.name for model in models for run in model.runs}
    rows: dict[str, dict[str, Keyed]] = {}
    benchmark_of = name_benchmarks(names)
    for run, _, table in found:
        chosen = table.filter(pyarrow.compute.equal(table["run"], method)).to_pylist()
        if _plain(run) in files:
            chosen = judge_run(chosen, files[_plain(run)], run)
        name = benchmark_of[run]
        own = rows.setdefault(name, {}).setdefault(owner[run], {})
        for row in chosen:
            key = row["sample"], row["fingerprint"]
            if key in own:
                raise InputError(
                    f"{run} and {own[key]['folder']} hold the same sample {row['sample']!r} of the same model; "
                    "compare one of them, or give them names with --label RUN=ARCHITECTURE:SCALE:NAME"
                )
            own[key] = row | {"folder": run}
    benchmarks, notes = [], called_alike(benchmark_of, {run: about for run, about, _ in found})
    for name, of_models in rows.items():
        benchmark = _common_samples(name, of_models)
        if benchmark.samples:
            benchmarks.append(benchmark)
        notes += _differences(benchmark)
    if not benchmarks:
        raise InputError("the runs have no sample in common: expected runs over the same datasets")
    metrics = dict(METRICS.ours)
    for _, about, _ in found:
        metrics |= read_metrics(about["configuration"].get("metrics_told"))
    return Together(
        method=method, models=models, benchmarks=tuple(benchmarks), metrics=measures(metrics), notes=tuple(notes)
    )


def read_maps(rows: Sequence[Row], method: str) -> list[Float[Tensor, "rows columns"]]:
    """The maps of rows that have one, as they are stored; runs are read one after another."""
    maps: dict[int, Tensor] = {}
    for folder in dict.fromkeys(row["folder"] for row in rows):
        wanted = {row["position"]: place for place, row in enumerate(rows) if row["folder"] == folder}
        _, table = read_run(Path(folder), ("sample", "run", "mask", "mask_height", "mask_width"))
        for batch in table.filter(pyarrow.compute.equal(table["run"], method)).to_batches(max_chunksize=100):
            for row in batch.to_pylist():
                if row["position"] in wanted:
                    maps[wanted[row["position"]]] = torch.from_numpy(mask_of(row))
    return [maps[place] for place in range(len(rows))]


# ---- models ----


def _models(runs: Sequence[tuple[str, Mapping[str, Any], Label | None]]) -> tuple[StudyModel, ...]:
    """Runs of equal models with equal labels are one model's."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for run, about, label in runs:
        model = about["model"]
        same = (model.get("id"), model.get("revision"), model.get("weights"), model.get("dtype"), model.get("prompt"))
        groups.setdefault((same, label), []).append(run)
    about_run = {run: about["model"] for run, about, _ in runs}
    short = Counter(Path(str(same[0])).name for same, _ in groups)
    models = []
    for (same, label), folders in groups.items():
        model = about_run[folders[0]]
        identifier, parameters = str(same[0]), model.get("parameters")
        name = Path(identifier).name if short[Path(identifier).name] == 1 else identifier
        model_class = str(model.get("class"))
        own = label or Label(model_class.removesuffix("ForConditionalGeneration"), scale_class(parameters))
        models.append(
            StudyModel(
                name=own.name or name,
                architecture=own.architecture,
                scale=own.scale,
                id=identifier,
                revision=model.get("revision"),
                model_class=model_class,
                dtype=str(model.get("dtype")),
                parameters=parameters,
                runs=tuple(folders),
            )
        )
    for name, count in Counter(model.name for model in models).items():
        if count > 1:
            runs_of_it = ", ".join(run for model in models if model.name == name for run in model.runs)
            raise InputError(
                f"the runs {runs_of_it} are of different models named {name!r}; "
                "give them names with --label RUN=ARCHITECTURE:SCALE:NAME"
            )
    return tuple(models)


def scale_class(parameters: int | None) -> str:
    """The class of model sizes that a number of parameters belongs to: models that are sold as 7B and 8B share one.

    >>> scale_class(7_063_427_072), scale_class(8_291_375_616), scale_class(1_576_960)
    ('6B-10B', '6B-10B', '1M-3M')
    """
    if parameters is None:
        return "unknown"
    billions = [bound * 10**9 for bound in SCALE_BOUNDS]
    bounds = [bound * 10**power for power in range(3, 9) for bound in (1, 3)] + billions
    above = bisect.bisect_right(bounds, parameters)
    if above == 0:
        return f"under {_rounded(bounds[0])}"
    return (
        f"over {_rounded(bounds[-1])}"
        if above == len(bounds)
        else "-".join(map(_rounded, bounds[above - 1 : above + 1]))
    )


def _rounded(parameters: int) -> str:
    """A round number of parameters as people say it."""
    unit, letter = next((unit, letter) for unit, letter in UNITS if parameters >= unit)
    return f"{parameters // unit}{letter}"


def _common_method(methods: Sequence[Sequence[str]], wanted: str | None) -> str:
    common = [name for name in methods[0] if all(name in others for others in methods)]
    if wanted is None and common:
        return common[0]
    if wanted in common:
        return str(wanted)
    asked = "a method in common" if wanted is None else f"method {wanted!r}"
    raise InputError(f"not all runs have {asked}; common: {', '.join(common) or 'none'}")


def _plain(run: str) -> str:
    return str(Path(run))


# ---- samples ----


def _common_samples(name: str, rows: Mapping[str, Keyed]) -> Benchmark:
    first = next(iter(rows.values()))
    common = [key for key in first if all(key in of_model for of_model in rows.values())]
    aligned = {model: tuple(of_model[key] for key in common) for model, of_model in rows.items()}
    return Benchmark(
        name=name,
        samples=tuple(sample for sample, _ in common),
        clusters=_clusters([[of_model[key] for of_model in rows.values()] for key in common]),
        rows=aligned,
        counts={model: len(of_model) for model, of_model in rows.items()},
    )


def _clusters(rows: Sequence[Sequence[Row]]) -> tuple[int, ...] | None:
    """Samples that share an image or a group, or are joined by others that do, are one cluster.

    Args:
        rows: of each sample, one per model: a model that failed does not know the image.
    """
    names: dict[tuple[str, str], int] = {}
    pairs = {
        (place, names.setdefault((column, row[column]), len(names)))
        for place, of_sample in enumerate(rows)
        for row in of_sample
        for column in ("image_sha256", "group")
        if row[column]
    }
    size = len(rows) + len(names)
    places, shared = np.array(sorted(pairs), dtype=np.intp).reshape(-1, 2).T
    _, found = connected_components(coo_array((np.ones(len(pairs)), (places, len(rows) + shared)), shape=(size, size)))
    clusters = tuple(int(number) for number in found[: len(rows)])
    return None if len(set(clusters)) == len(rows) else clusters


def _differences(benchmark: Benchmark) -> list[str]:
    common = len(benchmark.samples)
    if all(count == common for count in benchmark.counts.values()):
        return []
    counts = ", ".join(f"{model} {count}" for model, count in benchmark.counts.items())
    return [f"{benchmark.name}: only the {common} samples that all models have are compared (of {counts})."]
