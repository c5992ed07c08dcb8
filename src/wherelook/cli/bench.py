"""`wherelook bench`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wherelook.cli import options
from wherelook.errors import InputError, unknown_name

if TYPE_CHECKING:
    from wherelook.bench import Comparison, Quality, Side
    from wherelook.models import VisionLanguageModel

CASES = ("a", "quality", "b", "c")
COMPILED = ", compiled layers"


def bench(
    cases: Annotated[
        list[str] | None,
        typer.Option(
            "--case",
            help="a (embedded model), quality (equal quality), b (a random LLaVA) or c (the shape of a model of 7 "
            "billion weights, on a CUDA device). Repeatable.",
            show_default="all that run here",
        ),
    ] = None,
    scenes: Annotated[int, typer.Option("--scenes", min=1, help="Scenes of the equal-quality comparison.")] = 50,
    compiling: Annotated[
        bool, typer.Option("--compile", help="Ours with compiled layers in b and c, after a run that compiles them.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Times explanations by the plain procedure and by ours, side by side: seconds, passes, memory, ratios."""
    import torch

    from wherelook import bench as benchmarks

    chosen = _chosen_cases(cases, cuda=torch.cuda.is_available())
    report: dict[str, Any] = {"threads": torch.get_num_threads()}
    typer.echo(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; medians of {benchmarks.REPETITIONS} runs",
        err=True,
    )
    if "a" in chosen:
        _embedded(report, as_json)
    if "quality" in chosen:
        _equal_quality(report, scenes, as_json)
    if "b" in chosen:
        _medium(report, compiling, as_json)
    if "c" in chosen:
        _seven_billion(report, compiling, as_json)
    if as_json:
        options.print_json(report)


def _chosen_cases(cases: Sequence[str] | None, *, cuda: bool) -> Sequence[str]:
    if not cases:
        return CASES if cuda else CASES[:-1]
    for case in cases:
        if case not in CASES:
            raise unknown_name("case", case, CASES)
    if "c" in cases and not cuda:
        raise InputError("case c needs a CUDA device, and there is none here")
    return cases


def _embedded(report: dict[str, Any], as_json: bool) -> None:
    from wherelook import bench as benchmarks

    score, image = benchmarks.scene_score(_embedded_model())
    paper = benchmarks.paper_settings()
    first = benchmarks.compare("(a) embedded model, paper settings", score, image, paper, steps=50)
    _show(first, report, "a", as_json)
    growth = benchmarks.memory_growth(score, image)
    report["peak_bytes_by_steps"] = {str(steps): peak for steps, peak in growth.items()}
    if not as_json:
        peaks = ", ".join(f"{steps} steps {peak / 1e6:,.0f} MB" for steps, peak in growth.items())
        typer.echo(f"    peak memory of ours by integrated-gradient steps, batches of 8: {peaks}")


def _equal_quality(report: dict[str, Any], scenes: int, as_json: bool) -> None:
    from wherelook import bench as benchmarks

    with options.progress_bar() as progress:
        quality = benchmarks.equal_quality(_embedded_model(), scenes=scenes, progress=progress)
    report["equal_quality"] = asdict(quality) | {"ratio": quality.ratio}
    if not as_json:
        _show_quality(quality)


def _medium(report: dict[str, Any], compiling: bool, as_json: bool) -> None:
    from wherelook import bench as benchmarks

    few = replace(benchmarks.paper_settings(), steps=4, iterations=1)
    score, image = benchmarks.medium(compile=compiling)
    name = f"(b) random LLaVA, 160 M parameters, 8 passes{COMPILED if compiling else ''}"
    if compiling:
        benchmarks.compare("warm-up", score, image, few, steps=5, repetitions=1)
    _show(benchmarks.compare(name, score, image, few, steps=5), report, "b", as_json)


def _seven_billion(report: dict[str, Any], compiling: bool, as_json: bool) -> None:
    from wherelook import bench as benchmarks

    paper = benchmarks.paper_settings()
    score, image = benchmarks.seven_billion(compile=compiling)
    benchmarks.compare("warm-up", score, image, replace(paper, iterations=1), steps=8, repetitions=1)
    for iterations in (5, 10):
        settings = replace(paper, iterations=iterations)
        name = f"(c) shape of LLaVA-1.5-7B, bfloat16, {20 * iterations} passes{COMPILED if compiling else ''}"
        result = benchmarks.compare(name, score, image, settings, steps=50, repetitions=1)
        _show(result, report, f"c{20 * iterations}", as_json)
        passes, peak = benchmarks.rate(score, result.ours)
        report[f"c{20 * iterations}"] |= {"flops_per_second": passes, "matrix_flops_per_second": peak}
        if not as_json:
            typer.echo(f"    ours runs at {passes / 1e12:.0f} TFLOP/s, {passes / peak:.0%} of a large matrix product")


def _embedded_model() -> VisionLanguageModel:
    from wherelook.models import VisionLanguageModel

    return VisionLanguageModel.from_pretrained("embedded", device="cpu")


def _show(result: Comparison, report: dict[str, Any], key: str, as_json: bool) -> None:
    report[key] = asdict(result) | {"ratio": result.ratio}
    if as_json:
        return
    typer.echo(result.name)
    typer.echo(_line("ours", result.ours))
    if result.plain is None:
        typer.echo("    plain does not fit into memory")
        return
    typer.echo(_line("plain", result.plain))
    map_ratio = result.plain.map_seconds / result.ours.map_seconds
    typer.echo(
        f"    ours is {result.ratio:.2f} times faster (map alone {map_ratio:.2f}), "
        f"takes {result.ours.peak_bytes / max(result.plain.peak_bytes, 1):.2f} of the memory; "
        f"masks differ by {result.mask_difference:.1e} at most"
    )


def _line(name: str, side: Side) -> str:
    return (
        f"    {name:6}{side.seconds:8.2f} s (map {side.map_seconds:.2f} s), {side.forward} forward, "
        f"{side.backward} backward, peak {side.peak_bytes / 1e6:,.0f} MB"
    )


def _show_quality(quality: Quality) -> None:
    typer.echo(f"equal quality, {quality.scenes} scenes: paper settings plainly, {quality.settings} by ours")
    for name, side in (("plain", quality.plain), ("ours", quality.ours)):
        typer.echo(
            f"    {name:6}{side['seconds']:8.2f} s (map {side['map_seconds']:.2f} s), deletion {side['deletion']:.3f}, "
            f"insertion {side['insertion']:.3f}, {side['forward']:.0f} forward, {side['backward']:.0f} backward"
        )
    typer.echo(f"    ours is {quality.ratio:.1f} times faster; the map alone {quality.map_ratio:.1f} times")
