"""The page of a comparison: the three questions over runs in sentences, figures, tables and samples.

One HTML file that needs no network and runs nothing but its own few lines of script, which sort tables and filter
samples; without them everything is there all the same. How untrusted text gets onto it is in `wherelook.html`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from wherelook import html
from wherelook.analysis.benchmarks import name_benchmarks
from wherelook.analysis.results import Comparison
from wherelook.evaluation.run_folder import read_run
from wherelook.explanation import shading
from wherelook.explanation.command_line import shell_quote, to_words
from wherelook.explanation.drawing import inline
from wherelook.report import formatting, models_summary
from wherelook.report.examples import ANSWERS, PLACES, Exhibition
from wherelook.report.gallery import BUDGET, PACKAGE, STYLES, items
from wherelook.report.plots import PLOTS, comparison_figures
from wherelook.report.tables import make_tables, reasons
from wherelook.stats import Estimate

PLACE_WORDS = {
    "evidence": "on the evidence",
    "elsewhere": "elsewhere",
    "unknown": "evidence not known",
    "no map": "no map",
}
STATUS_WORDS = {"not_visual": "not visual", "weak_gap": "weak gap"}


def render(
    comparison: Comparison,
    exhibition: Exhibition,
    runs: Mapping[str, Mapping[str, Any]],
    *,
    title: str,
    command: str,
    budget: int = BUDGET,
) -> str:
    """The page.

    Args:
        comparison: what it tells.
        exhibition: samples of the same runs to show.
        runs: `run.json` of every run, by folder; see `read_runs`.
        title: its heading.
        command: the command line that makes it again.
        budget: bytes of all pictures; the gallery ends where they are used up.
    """
    files = {line.run: line.file for line in comparison.judges}
    gallery = items(exhibition.exhibits, budget)
    benchmarks = list(dict.fromkeys(line.benchmark for line in comparison.coverage))
    drawn: dict[str, dict[str, Markup]] = {benchmark: dict.fromkeys(PLOTS, Markup()) for benchmark in benchmarks}
    for number, ((benchmark, name), figure) in enumerate(comparison_figures(comparison).items(), start=1):
        drawn[benchmark][name] = inline(figure, PLOTS[name], f"figure-{number}")
    return html.render(
        PACKAGE,
        "models_page.html",
        STYLES,
        "report.js",
        title=title,
        comparison=comparison,
        extent=models_summary.extent(comparison),
        questions=formatting.QUESTIONS,
        answers=models_summary.answers(comparison),
        tables=make_tables(comparison) | {"reasons": reasons(comparison)},
        plots=drawn,
        several=len(benchmarks) > 1,
        measure=formatting.words(comparison.measure),
        correction=formatting.CORRECTIONS[comparison.correction],
        gallery=gallery,
        exhibition=exhibition,
        left_out=len(exhibition.exhibits) - len(gallery),
        filters=_filters(gallery),
        place_words=PLACE_WORDS,
        status_words=STATUS_WORDS,
        legend=shading.legend(),
        assumptions=dict.fromkeys((one.test.name, one.test.assumptions) for one in comparison.findings),
        intervals_made=_interval_methods(comparison),
        runs=[_run(folder, about, files.get(folder)) for folder, about in runs.items()],
        settings=_settings(comparison.method, list(runs.values())),
        commands=[*_run_commands(runs, comparison), command],
    )


def read_runs(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """`run.json` of every run of the comparison, by folder. Raises as `read_run` does."""
    return {folder: read_run(Path(folder), ("run",))[0] for model in comparison.models for folder in model.runs}


def _interval_methods(comparison: Comparison) -> list[str]:
    """How the intervals of the page were made."""
    lines = (*comparison.reliance, *comparison.relations, *comparison.pairs, *comparison.evidence)
    figures = [value for line in lines for value in vars(line).values() if isinstance(value, Estimate)]
    figures += [one.calibration.brier for one in comparison.calibrations]
    figures += [one.test.effect for one in comparison.findings]
    return list(dict.fromkeys(figure.method for figure in figures))


# ---- samples ----


def _filters(gallery: Sequence[Any]) -> list[dict[str, Any]]:
    """What samples can be filtered by: those of the choices that would change something."""
    shown = [one for item in gallery for one in item["shown"]]
    answers, places = {one["answer"] for one in shown}, {one["place"] for one in shown}
    choices = [
        ("place", "Focus", [(place, PLACE_WORDS[place]) for place in PLACES if place in places]),
        ("answer", "Answer", [(answer, answer) for answer in ANSWERS if answer in answers]),
        ("model", "Model", [(name, name) for name in dict.fromkeys(one["model"] for one in shown)]),
        ("task", "Task", [(name, name or "none") for name in dict.fromkeys(item["task"] for item in gallery)]),
        ("benchmark", "Benchmark", [(name, name) for name in dict.fromkeys(item["benchmark"] for item in gallery)]),
    ]
    return [{"name": name, "label": label, "options": options} for name, label, options in choices if len(options) > 1]


# ---- how it was made ----


def _run(folder: str, about: Mapping[str, Any], verdicts: str | None) -> dict[str, Any]:
    configuration, model = about["configuration"], about["model"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return {
        "folder": folder,
        "facts": [
            ("dataset", configuration.get("dataset")),
            ("model", model.get("id")),
            ("methods", ", ".join(map(str, configuration.get("runs", ())))),
            ("question put", configuration.get("prompt")),
            ("prompt around it", model.get("prompt")),
            ("judge", configuration.get("judge")),
            ("verdicts instead of its", verdicts),
            ("asked without the image", "yes" if configuration.get("blind") else "no"),
            ("seed", configuration.get("seed")),
            ("device", model.get("device")),
            ("attention", model.get("attention")),
            ("versions", versions),
            ("fingerprint", about.get("fingerprint")),
        ],
    }


def _settings(method: str, runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Name and value of every setting of the method; several values where runs differ."""
    found: dict[str, list[str]] = {}
    for about in runs:
        for name, value in (about["configuration"].get("settings", {}).get(method) or {}).items():
            found.setdefault(str(name), []).append(str(value))
    return [(name.replace("_", " "), " or ".join(dict.fromkeys(values))) for name, values in found.items()]


def _run_commands(runs: Mapping[str, Mapping[str, Any]], comparison: Comparison) -> list[str]:
    benchmarks = name_benchmarks(list(runs))
    return [_run_command(folder, about, comparison, benchmarks[folder]) for folder, about in runs.items()]


def _run_command(folder: str, about: Mapping[str, Any], comparison: Comparison, benchmark: str) -> str:
    configuration = about["configuration"]
    dataset = str(configuration.get("dataset", ""))
    owner = next(model.name for model in comparison.models if folder in model.runs)
    place = benchmark, owner
    samples = next((line.samples for line in comparison.coverage if (line.benchmark, line.model) == place), None)
    quantization = about["model"].get("quantization")
    options: list[tuple[str, Any]] = [
        ("--model", configuration.get("model")),
        ("--revision", about["model"].get("revision")),
        ("--dtype", about["model"].get("dtype")),
        ("--quantize", quantization if quantization in ("int8", "int4") else None),  # else the checkpoint's own
        ("--method", list(configuration.get("runs", ()))),
        ("--limit", samples),
        ("--name", configuration.get("name")),
        ("--prompt", configuration.get("prompt")),
        ("--judge", configuration.get("judge")),
        ("--baseline", configuration.get("baseline")),
        *(("--metric", name) for name in configuration.get("metrics", ())),
        ("--max-new-tokens", configuration.get("max_new_tokens")),
        ("--seed", configuration.get("seed")),
        ("--blind", bool(configuration.get("blind"))),
        ("--out", folder),
    ]
    return " ".join(shell_quote(word) for word in ["wherelook", "run", dataset, *to_words(options)])
