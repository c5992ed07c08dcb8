"""The page of a study: the three questions over runs in sentences, figures, tables and samples.

One HTML file that needs no network and runs nothing but its own few lines of script, which sort tables and filter
samples; without them everything is there all the same. How untrusted text gets onto it is in `wherelook.html`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherelook import html
from wherelook.analysis.benchmarks import name_benchmarks
from wherelook.analysis.results import Comparison
from wherelook.evaluation.run_folder import read_run
from wherelook.explanation import shading
from wherelook.explanation.command_line import shell_quote
from wherelook.report import evidence_plot, formatting, interval_plot, models_summary, similarity_plot, tables
from wherelook.report.examples import ANSWERS, PLACES, Exhibition
from wherelook.report.gallery import BUDGET, items
from wherelook.report.interval_plot import PERCENT, Entry, Plot, Scale
from wherelook.report.table import without_repetition
from wherelook.stats import Estimate

PACKAGE = "wherelook.report"  # where the templates are

PLACE_WORDS = {
    "evidence": "on the evidence",
    "elsewhere": "elsewhere",
    "unknown": "evidence not known",
    "no map": "no map",
}
STATUS_WORDS = {"not_visual": "not visual", "weak_gap": "weak gap"}


@dataclass(frozen=True)
class Figures:
    """The drawings of one benchmark; None, or none, where there is nothing to draw."""

    benchmark: str
    resting: Plot | None
    accuracy: Plot | None
    relations: Plot | None
    similarity: similarity_plot.Drawing | None
    cells: evidence_plot.Bars | None
    places: Plot | None
    odds: Plot | None
    curves: tuple[evidence_plot.Curve, ...]


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
    style, script = html.asset(PACKAGE, "study.css"), html.asset(PACKAGE, "study.js")
    gallery = items(exhibition.exhibits, budget)
    shown = {
        name: without_repetition(getattr(tables, name)(comparison))
        for name in (
            "models",
            "coverage",
            "judges",
            "skipped",
            "own",
            "reliance",
            "focus",
            "human",
            "relations",
            "pairs",
            "evidence",
            "calibrations",
        )
    }
    return (
        html.environment(PACKAGE)
        .get_template("study.html")
        .render(
            title=title,
            style=style,
            script=script,
            style_hash=html.policy_hash(style),
            script_hash=html.policy_hash(script),
            comparison=comparison,
            extent=models_summary.extent(comparison),
            questions=formatting.QUESTIONS,
            answers=models_summary.answers(comparison),
            tables=shown,
            findings={
                question: without_repetition(tables.findings(comparison, question)) for question in formatting.QUESTIONS
            },
            benchmarks=[figures(comparison, name) for name in _benchmarks(comparison)],
            frame={"interval": interval_plot, "similarity": similarity_plot, "evidence": evidence_plot},
            measure=tables.words(comparison.measure),
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
    )


def read_runs(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """`run.json` of every run of the comparison, by folder. Raises as `read_run` does."""
    return {folder: read_run(Path(folder), ("run",))[0] for model in comparison.models for folder in model.runs}


def figures(comparison: Comparison, benchmark: str) -> Figures:
    """The drawings of one benchmark, over all its tasks."""
    whole = {
        name: [line for line in getattr(comparison, name) if line.benchmark == benchmark and line.task is None]
        for name in ("reliance", "evidence", "calibrations")
    }
    reliance, evidence = whole["reliance"], whole["evidence"]
    relations = [line for line in comparison.relations if line.benchmark == benchmark]
    odds = [line.odds_ratio for line in evidence]
    trees = [tree.hierarchy for tree in comparison.trees if tree.benchmark == benchmark]
    pairs = [pair for pair in comparison.pairs if pair.benchmark == benchmark]
    similarities = [line.similarity for line in relations]
    return Figures(
        benchmark=benchmark,
        resting=interval_plot.plot(
            [Entry(line.model, (line.resting, line.tokens_resting)) for line in reliance],
            Scale("share that rests on the image", PERCENT), ("answers", "tokens"), _share_text,
        ),
        accuracy=interval_plot.plot(
            [Entry(line.model, (line.accuracy, line.blind_accuracy)) for line in reliance],
            Scale("share of judged answers that are right", PERCENT), ("with the image", "without"), _share_text,
        ),
        relations=interval_plot.plot(
            [Entry(line.relation if line.within is None else f"{line.relation}: {line.within}", (line.similarity,))
             for line in relations],
            Scale(f"{tables.words(comparison.measure)} of two models' maps",
                  interval_plot.linear_ticks(similarities, 0.0) if similarities else PERCENT),
            ("similarity",), _text,
        ),
        similarity=similarity_plot.draw(pairs, trees[0]) if trees else None,
        cells=evidence_plot.cells(evidence),
        places=interval_plot.plot(
            [Entry(line.model, (line.right_place, line.chance)) for line in evidence],
            Scale("share of answers with the focus on the evidence", PERCENT), ("model", "a random place"), _share_text,
        ),
        odds=interval_plot.plot(
            [Entry(line.model, (line.odds_ratio,)) for line in evidence],
            Scale("odds ratio", interval_plot.ratio_ticks(odds), logarithmic=True, reference=1.0),
            ("odds ratio",), _ratio_text,
        ),
        curves=tuple(evidence_plot.curve(line.model, line.calibration) for line in whole["calibrations"]),
    )  # fmt: skip


def _share_text(value: Estimate | float) -> str:
    return formatting.percent(value) if isinstance(value, Estimate) else formatting.share(value)


def _text(value: Estimate | float) -> str:
    return formatting.figure(value) if isinstance(value, Estimate) else formatting.number(value)


def _ratio_text(value: Estimate | float) -> str:
    if isinstance(value, Estimate):
        return f"{formatting.ratio(value.value)} ({formatting.ratio_interval(value)})"
    return formatting.ratio(value)


def _benchmarks(comparison: Comparison) -> list[str]:
    return list(dict.fromkeys(line.benchmark for line in comparison.coverage))


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
    shown = [one for item in gallery for one in item.shown]
    answers, places = {one.answer for one in shown}, {one.place for one in shown}
    choices = [
        ("place", "Focus", [(place, PLACE_WORDS[place]) for place in PLACES if place in places]),
        ("answer", "Answer", [(answer, answer) for answer in ANSWERS if answer in answers]),
        ("model", "Model", [(name, name) for name in dict.fromkeys(one.model for one in shown)]),
        ("task", "Task", [(name, name or "none") for name in dict.fromkeys(item.task for item in gallery)]),
        ("benchmark", "Benchmark", [(name, name) for name in dict.fromkeys(item.benchmark for item in gallery)]),
    ]
    return [{"name": name, "label": label, "options": options} for name, label, options in choices if len(options) > 1]


# ---- how it was made ----


def _run(folder: str, about: Mapping[str, Any], verdicts: str | None) -> dict[str, Any]:
    configuration, model = about["configuration"], about["model"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return {
        "folder": folder,
        "facts": [
            ("data set", configuration.get("dataset")),
            ("model", model.get("id")),
            ("methods", ", ".join(map(str, configuration.get("runs", ())))),
            ("question put", configuration.get("prompt")),
            ("prompt around it", model.get("prompt")),
            ("judge", configuration.get("judge")),
            ("verdicts in its place", verdicts),
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
        *(("--method", name) for name in configuration.get("runs", ())),
        ("--limit", samples),
        ("--name", configuration.get("name")),
        ("--prompt", configuration.get("prompt")),
        ("--judge", configuration.get("judge")),
        ("--measures", configuration.get("measured")),
        ("--max-new-tokens", configuration.get("max_new_tokens")),
        ("--seed", configuration.get("seed")),
    ]
    plain = ["wherelook", "run", dataset]
    for name, value in options:
        if value is not None:
            plain += [name, str(value)]
    plain += ["--blind"] if configuration.get("blind") else []
    return " ".join(shell_quote(word) for word in [*plain, "--out", folder])
