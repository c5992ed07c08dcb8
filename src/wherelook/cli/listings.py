"""`wherelook models`, `zoo`, `methods`, `metrics` and `datasets`: what exists, what it costs and what it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wherelook.cli import options
from wherelook.errors import InputError

if TYPE_CHECKING:
    from wherelook.coverage import FamilyReport
    from wherelook.models.zoo import ZooModel


def models(
    verify: Annotated[
        bool, typer.Option("--verify", help="Build a tiny model of each family, check it and explain an answer of it.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Verify this family alone; may be repeated.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Lists the models that can be explained; with --verify measures which families work here."""
    if only and not verify:
        raise InputError("--only NAME chooses what --verify measures: add --verify")
    if verify:
        _verify(only, as_json)
        return
    from wherelook.models.catalogue import model_families

    families = model_families()
    if as_json:
        options.print_json(families)
        return
    print("embedded (coloured shapes), things (animals, foods, vehicles): small LLaVAs that come with the package")
    print("and know their drawn scenes alone; `wherelook zoo` lists more")
    print("any hub id or folder of an image-text-to-text model; families of the installed Transformers:")
    options.print_table(families)
    print("`wherelook models --verify` measures the families, `wherelook check MODEL` one model of yours.")


def _verify(only: Sequence[str] | None, as_json: bool) -> None:
    from wherelook.coverage import verify_families

    with options.progress_bar() as progress:
        reports = list(verify_families(only, progress=progress))
    if as_json:
        options.print_json([asdict(report) for report in reports])
    else:
        options.print_table([_coverage_row(report) for report in reports])
        print(f"{sum(report.works for report in reports)} of {len(reports)} families work.")


def _coverage_row(report: FamilyReport) -> dict[str, str]:
    measured = {check.name: check.measured for check in report.checks}
    figure = re.search(r"by ([\d.]+) of 255", measured.get("geometry", ""))
    views = re.match(r"\d+", measured.get("views", ""))
    return {
        "family": report.family,
        "works": "yes" if report.works else "no",
        "class": report.model_class,
        "views": views[0] if views else "",
        "blend error": f"{figure[1]} of 255" if figure else "",
        "peak memory": f"{report.peak_bytes / 1e6:.0f} MB" if report.checks else "",
        "reason": report.reason,
    }


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

    rows = [
        {
            "method": name,
            **{preset: _passes(method, method.presets[preset]) for preset in PRESET_NAMES},
            "what": method.summary,
            "needs": method.needs,
            "source": method.source,
        }
        for name, method in METHODS.items()
    ]
    if as_json:
        options.print_json(rows)
        return
    options.print_entries(
        [[row["method"], row["what"], f"passes: {_costs(row)}", _needs_and_source(row)] for row in rows]
    )


def _costs(row: Mapping[str, str]) -> str:
    """The passes of every preset, told once where all cost the same."""
    from wherelook.attribution import PRESET_NAMES

    costs = {row[preset] for preset in PRESET_NAMES}
    return costs.pop() if len(costs) == 1 else ", ".join(f"{preset} {row[preset]}" for preset in PRESET_NAMES)


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

    rows = [{"metric": name, **asdict(metric)} for name, metric in METRICS.items()]
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
    """Lists the data sets that can be read: write NAME:PATH, with the files in a folder or zip archive at the path."""
    from wherelook.data.samples import DATASETS

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
        for name, dataset in DATASETS.items()
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
