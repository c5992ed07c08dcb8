"""`wherelook models`, `zoo`, `methods`, `metrics` and `datasets`: what exists, what it costs and what it needs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wherelook.cli import options

if TYPE_CHECKING:
    from wherelook.models.zoo import ZooModel


def models(
    make: Annotated[
        str | None,
        typer.Option("--make", metavar="NAME", help="Put a model together from packages that are installed: photos."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Lists the models that can be explained: what is known of every family of the installed Transformers."""
    if make is not None:
        _make(make, as_json=as_json)
        return
    from wherelook.models.catalogue import model_families
    from wherelook.report.table import from_rows

    families = model_families()
    if as_json:
        options.print_json(families)
        return
    print("photos: a small LLaVA for photographs, made of two packages by `wherelook models --make photos`")
    print("embedded (colored shapes), things (animals, foods, vehicles): small LLaVAs that come with the package")
    print("and know their drawn scenes alone; `wherelook zoo` lists more")
    print("any hub id or folder of an image-text-to-text model; families of the installed Transformers:")
    options.print_table(from_rows("families", families))
    print("docs/models.md has the figures of every family; `wherelook check MODEL` measures a model of yours.")


def _make(name: str, *, as_json: bool) -> None:
    from wherelook.errors import unknown_name
    from wherelook.models.huggingface.loading import quiet
    from wherelook.models.photos.assemble import make
    from wherelook.models.zoo import PHOTOS

    if name != PHOTOS:
        raise unknown_name("model to make", name, (PHOTOS,))
    if not sys.stderr.isatty():
        quiet()
    folder = make()
    if as_json:
        options.print_json({"model": name, "folder": str(folder)})
    else:
        print(f"{name} is in {folder}; --model {name} takes it")


def zoo(as_json: options.Json = False) -> None:
    """Lists the small trained models that come with wherelook; --model zoo:NAME takes one of them."""
    from wherelook.models.zoo import CHECKOUT, zoo_models

    found = zoo_models()
    if as_json:
        options.print_json([{**asdict(model), "folder": str(model.folder)} for model in found])
        return
    options.print_entries(
        [
            [
                model.name,
                model.architecture,
                f"{model.parameters / 1e6:.2f} M parameters, {model.megabytes:.1f} MB; scenes of {model.scenes}",
                _exact_match(model),
                str(model.folder),
            ]
            for model in found
        ]
    )
    if not CHECKOUT.is_dir():
        print("The others come with a checkout of the repository (training/zoo).")


def _exact_match(model: ZooModel) -> str:
    """Of questions that need the image."""
    if model.image is None:
        return "exact match not measured"
    return f"exact match {model.image:.3f}; {model.blank:.3f} with a blank image, {model.other:.3f} with another one"


def methods(as_json: options.Json = False) -> None:
    """Lists the attribution methods, with the most passes that each preset costs on a square image."""
    from wherelook.attribution import METHODS, PRESET_NAMES

    rows: list[dict[str, Any]] = [
        {
            "method": name,
            **{
                name: _passes(method, method.presets[name]) if name in method.presets else None for name in PRESET_NAMES
            },
            "what": method.summary,
            "needs": method.needs,
            "source": method.source,
        }
        for name, method in METHODS.usable(options.warn).items()
    ]
    if as_json:
        options.print_json(rows)
        return
    options.print_entries(
        [[row["method"], row["what"], f"passes: {_costs(row)}", _needs_and_source(row)] for row in rows]
    )


def _costs(row: Mapping[str, Any]) -> str:
    """The passes of every preset, told once where all cost the same."""
    from wherelook.attribution import PRESET_NAMES

    costs = {preset: str(row[preset]) for preset in PRESET_NAMES if row[preset] is not None}
    if len(costs) == len(PRESET_NAMES) and len({*costs.values()}) == 1:
        return costs["best"]
    return ", ".join(f"{preset} {cost}" for preset, cost in costs.items())


def _needs_and_source(row: Mapping[str, str]) -> str:
    return f"needs {row['needs']}; {row['source']}" if row["needs"] not in ("", "-") else row["source"]


def _passes(method: Any, settings: Any) -> str:
    """As people read it: how many with a gradient, and how many without one."""
    passes = method.passes(settings, (336, 336))
    parts = [(passes.backward, "gradient"), (passes.forward - passes.backward, "forward")]
    return " + ".join(f"{count} {name}" for count, name in parts if count) or "none"


def metrics(as_json: options.Json = False) -> None:
    """Lists the metrics: which direction is better, range, cost, needs and source."""
    from wherelook.metrics import METRICS

    shown = ("summary", "better", "values", "cost", "needs", "source", "level", "both_baselines")
    rows = [
        {"metric": name, **{key: getattr(metric, key) for key in shown}}
        for name, metric in METRICS.usable(options.warn).items()
    ]
    if as_json:
        options.print_json(rows)
        return
    options.print_entries(
        [
            [
                row["metric"],
                row["summary"],
                f"{row['values']}, {row['better']} is better; cost: {row['cost']}",
                _needs_and_source(row),
            ]
            for row in rows
        ]
    )


def datasets(as_json: options.Json = False) -> None:
    """Lists the datasets that can be read: write NAME:PATH, with the files in a folder or zip archive at the path."""
    from wherelook.data.datasets import DATASETS

    rows = [
        {
            "name": name,
            "what": dataset.summary,
            "files": dataset.files,
            "evidence": dataset.evidence,
            "prompt": dataset.prompt or "auto",
            "judge": dataset.judge or "auto",
            "license": dataset.license,
            "source": dataset.source,
        }
        for name, dataset in DATASETS.usable(options.warn).items()
    ]
    if as_json:
        options.print_json(rows)
        return
    options.print_entries(
        [
            [
                row["name"],
                row["what"],
                f"files: {row['files']}",
                f"evidence: {row['evidence']}; prompt: {row['prompt']}; judge: {row['judge']}",
                f"license: {row['license']}",
                row["source"],
            ]
            for row in rows
        ]
    )
