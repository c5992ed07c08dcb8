"""Speed and memory of one explanation against the plain procedure, measured side by side: `python benchmarks/speed.py`.

The plain procedure is what one writes first, and what was published: one path image per forward, logits for every
position, all graphs held until one backward, metrics one image at a time. Both sides run the same optimizer on the
same masks; only the score function differs (`benchmarks.plain_score`).
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from plain_score import PlainScore
from random_llava import LLAVA_7B, MEDIUM, Shape, random_llava
from torch.utils.flop_counter import FlopCounterMode

from wherelook.attribution import METHODS, make_settings
from wherelook.attribution.grids import first_places, share_of_gap
from wherelook.attribution.guided_igos import GuidedIgosSettings, gradient_start, optimize, refinements
from wherelook.attribution.refinement import refine
from wherelook.baselines import make_baseline
from wherelook.cli import options
from wherelook.cost import PeakMemory
from wherelook.data.scenes import REPORTING_SEEDS, TUNING_SEEDS, make_scene
from wherelook.errors import InputError, unknown_name
from wherelook.metrics import Replay, replay
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.batching import is_out_of_memory
from wherelook.models.huggingface.score import HuggingFaceScore
from wherelook.score import AnswerScore, Attribution, Progress
from wherelook.tokens import select

METHOD = "igos+"
REPETITIONS = 3

LEAN: Mapping[str, str | float] = {"start_steps": 7, "iterations": 3, "rest": 2, "verify": 0}
"""What guided-igos:fast leaves out where quality need only be the paper's: 14 passes with a gradient, and 24 more for
the few answers that the start does not hold; see `lean`."""

ENOUGH = 0.9
"""The optimizer is left out where the start's first places (each of `SHOWN` of the image), shown alone, bring back this
share of the score gap."""

SHOWN = (0.125, 0.25, 0.5)
"""Shares of the image that are shown: with little the answer may not be there yet, with more what speaks against it may
come."""

LEAN_REPLAY_STEPS = 12
"""Steps of the replay that is part of our time at equal quality (`--replay-steps 12`); its figures are not shown."""

QUALITY_SEEDS = REPORTING_SEEDS[60_000:]
"""Scenes of the comparison at equal quality. Settings were chosen on others; those before measured earlier settings."""


@dataclass(frozen=True)
class Side:
    """What one procedure took for one explanation (map, and deletion and insertion with one baseline).

    Attributes:
        seconds: median over the repetitions.
        map_seconds: the part of it before the replay.
        forward, backward: passes.
        peak_bytes: memory at the peak beyond what was in use before; on a CUDA device the peak itself.
    """

    seconds: float
    map_seconds: float
    forward: int
    backward: int
    peak_bytes: int


@dataclass(frozen=True)
class Comparison:
    """Plain and ours on the same answer with the same settings; `plain` is None where it does not fit into memory."""

    name: str
    plain: Side | None
    ours: Side
    mask_difference: float | None

    @property
    def ratio(self) -> float | None:
        return None if self.plain is None else self.plain.seconds / self.ours.seconds


@dataclass(frozen=True)
class Quality:
    """The paper's settings by the plain procedure against other settings by ours: means over scenes."""

    settings: str
    scenes: int
    plain: Mapping[str, float]
    ours: Mapping[str, float]

    @property
    def ratio(self) -> float:
        return self.plain["seconds"] / self.ours["seconds"]

    @property
    def map_ratio(self) -> float:
        return self.plain["map_seconds"] / self.ours["map_seconds"]


def paper_settings() -> Any:
    """The paper's constants, of the method that is timed."""
    return make_settings(METHOD, "paper")


def compare(
    name: str, score: HuggingFaceScore, image: Image.Image, settings: Any, *, steps: int, repetitions: int = REPETITIONS
) -> Comparison:
    """Times both procedures in turn, ours first, so that its memory is not hidden under the other's."""
    ours_runs: list[Side] = []
    plain_runs: list[Side] = []
    difference: float | None = None
    score.original  # noqa: B018 - both ends are known to both sides before the clock starts
    for _ in range(repetitions):
        side, ours_map = _explain(score, image, settings, steps)
        ours_runs.append(side)
        try:
            side, plain_map = _explain(PlainScore.like(score), image, settings, steps)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return Comparison(name, None, _median(ours_runs), None)
        plain_runs.append(side)
        difference = float((ours_map - plain_map).abs().max())
    return Comparison(name, _median(plain_runs), _median(ours_runs), difference)


def rate(score: HuggingFaceScore, side: Side) -> tuple[float, float]:
    """(floating-point operations per second of the map's passes, those of a large matrix product in the model's dtype).

    The first from the operations that torch counts in one pass forward and backward.
    """
    with FlopCounterMode(display=False) as counter:
        score.gradient(torch.full((1, 8, 8), 0.5, dtype=torch.float32))
    passes = side.backward * counter.get_total_flops() / side.map_seconds
    dtype = next(score.model.parameters()).dtype
    generator = torch.Generator(score.device).manual_seed(0)
    matrix = torch.randn(8192, 8192, device=score.device, generator=generator).to(dtype)
    for _ in range(3):
        matrix @ matrix
    started = _now(score.device)
    for _ in range(10):
        matrix @ matrix
    return passes, 10 * 2 * 8192**3 / (_now(score.device) - started)


def equal_quality(
    model: VisionLanguageModel,
    *,
    scenes: int,
    steps: int = 50,
    progress: Progress | None = None,
) -> Quality:
    """Explains `scenes` answers by the paper's settings plainly, and by `lean`.

    Both maps are scored by the same replay afterwards; the time of an explanation contains each side's own replay: 50
    steps plainly, `LEAN_REPLAY_STEPS` by ours.
    """
    paper, settings = paper_settings(), make_settings("guided-igos", "fast", LEAN)
    rows: list[tuple[Side, Replay, Side, Replay]] = []
    for score, image in _visual_answers(model, scenes, QUALITY_SEEDS):
        plain, plain_map = _explain(PlainScore.like(score), image, paper, steps)
        ours, ours_map = _explain(score, image, settings, LEAN_REPLAY_STEPS, run=lean)
        rows.append((plain, replay(score, plain_map, steps=steps), ours, replay(score, ours_map, steps=steps)))
        if progress is not None:
            progress("equal quality", len(rows), scenes)
    return Quality(
        ", ".join(["guided-igos:fast", *(f"{name}={value}" for name, value in LEAN.items()), f"enough={ENOUGH}"]),
        len(rows),
        _means([row[0] for row in rows], [row[1] for row in rows]),
        _means([row[2] for row in rows], [row[3] for row in rows]),
    )


def memory_growth(score: HuggingFaceScore, image: Image.Image, *, steps: tuple[int, ...] = (5, 50)) -> dict[int, int]:
    """Peak bytes of one optimizer iteration of ours by number of integrated-gradient steps.

    In batches of 8, which the fewest steps fill too: what may differ is only what the number of steps costs.
    """
    base = paper_settings()
    largest, score.plan.largest = score.plan.largest, 8
    try:
        return {
            count: _explain(score, image, replace(base, steps=count, iterations=1), 2)[0].peak_bytes for count in steps
        }
    finally:
        score.plan.largest = largest


def answer_score(model: VisionLanguageModel, image: Image.Image, question: str, answer: str | None) -> HuggingFaceScore:
    """The score of an answer's visually relevant tokens against a blurred image; of all words if none is."""
    prompt = model.encode(image, question)
    ids = model.generate(prompt) if answer is None else model.tokenize_answer(prompt, answer)
    baseline = Image.fromarray(make_baseline("blur", np.asarray(image)))
    score = model.score(prompt, baseline, ids)
    values = (score.original.tolist(), score.baseline.tolist(), score.flips())
    tokens = select(model.pieces(ids), ids, *values)
    if not any(token.selected for token in tokens):
        tokens = select(model.pieces(ids), ids, *values, wanted="all")
    return score.select([position for position, token in enumerate(tokens) if token.selected])


def random_model_score(
    shape: Shape, *, device: str, dtype: torch.dtype, compile: bool
) -> tuple[HuggingFaceScore, Image.Image]:
    """A score to time on a model with random weights: what it says does not matter."""
    model = random_llava(shape, device=device, dtype=dtype, compile=compile)
    image = make_scene(TUNING_SEEDS[0], size=(448, 448)).image
    return answer_score(
        model, image, "What is in the image?", "A large red star is left of a small blue circle."
    ), image


def medium(*, compile: bool = False) -> tuple[HuggingFaceScore, Image.Image]:
    """A random LLaVA of about 160 million parameters, 576 image tokens and 32,000 words, on the CPU in float32."""
    return random_model_score(MEDIUM, device="cpu", dtype=torch.float32, compile=compile)


def seven_billion(*, compile: bool = False) -> tuple[HuggingFaceScore, Image.Image]:
    """Random weights in the shape of LLaVA-1.5-7B, bfloat16, on a CUDA device."""
    return random_model_score(LLAVA_7B, device="cuda", dtype=torch.bfloat16, compile=compile)


def scene_score(model: VisionLanguageModel) -> tuple[HuggingFaceScore, Image.Image]:
    """The first tuning scene's first answer that rests on the image."""
    return next(iter(_visual_answers(model, 1)))


def _visual_answers(model: VisionLanguageModel, count: int, seeds: Iterable[int] = TUNING_SEEDS) -> Any:
    """Scores of right answers with relevant words, at most one per scene."""
    found = 0
    for seed in seeds:
        scene = make_scene(seed)
        for question in scene.questions:
            if not (question.needs_image and len(question.evidence_objects) == 1):
                continue
            prompt = model.encode(scene.image, question.text)
            if model.decode(model.generate(prompt)).strip() != question.answer:
                continue
            score = answer_score(model, scene.image, question.text, question.answer)
            if float((score.original - score.baseline).sum()) > 1:
                found += 1
                yield score, scene.image
                break
        if found == count:
            return


def lean(score: AnswerScore, image: torch.Tensor, settings: GuidedIgosSettings, *, seed: int) -> Attribution:
    """Guided iGOS, without its optimizer where its start holds the answer."""
    start = gradient_start(score, settings)
    first, *others = refinements(settings)  # the first one smooths
    smoothed = refine(score, start.cpu(), [first])
    shown = torch.stack([first_places(smoothed, area) for area in SHOWN]).float()
    with torch.no_grad():
        there = share_of_gap(score, score(shown).sum(dim=1))
    if there.min() >= ENOUGH:
        return Attribution(refine(score, smoothed, others))
    saliency, trace = optimize(score, image, start, settings)
    return Attribution(refine(score, saliency, refinements(settings)), trace)


def _explain(
    score: AnswerScore, image: Image.Image, settings: Any, steps: int, run: Callable[..., Attribution] | None = None
) -> tuple[Side, torch.Tensor]:
    _release_memory()
    guide = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).to(torch.float32) / 255
    forward, backward = score.cost.forward, score.cost.backward
    memory = PeakMemory(score.device)
    before = 0 if score.device.type == "cuda" else memory.bytes()
    started = _now(score.device)
    saliency = (run or METHODS[METHOD].run)(score, guide, settings, seed=0).saliency
    mapped = _now(score.device)
    replay(score, saliency, steps=steps)
    ended = _now(score.device)
    side = Side(
        ended - started,
        mapped - started,
        score.cost.forward - forward,
        score.cost.backward - backward,
        memory.bytes() - before,
    )
    return side, saliency


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _release_memory() -> None:
    """Gives freed memory back to the system, so that one side's peak is not under the other's."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _median(sides: list[Side]) -> Side:
    return replace(
        sides[0],
        seconds=median(side.seconds for side in sides),
        map_seconds=median(side.map_seconds for side in sides),
        peak_bytes=max(side.peak_bytes for side in sides),
    )


def _means(sides: list[Side], replays: list[Replay]) -> dict[str, float]:
    return {
        "seconds": float(np.mean([side.seconds for side in sides])),
        "map_seconds": float(np.mean([side.map_seconds for side in sides])),
        "forward": float(np.mean([side.forward for side in sides])),
        "backward": float(np.mean([side.backward for side in sides])),
        "deletion": float(np.mean([result.deletion for result in replays])),
        "insertion": float(np.mean([result.insertion for result in replays])),
    }


# ---- the command ----

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
    chosen = _chosen_cases(cases, cuda=torch.cuda.is_available())
    report: dict[str, Any] = {"threads": torch.get_num_threads()}
    typer.echo(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; medians of {REPETITIONS} runs",
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
    score, image = scene_score(_embedded_model())
    paper = paper_settings()
    first = compare("(a) embedded model, paper settings", score, image, paper, steps=50)
    _show(first, report, "a", as_json)
    growth = memory_growth(score, image)
    report["peak_bytes_by_steps"] = {str(steps): peak for steps, peak in growth.items()}
    if not as_json:
        peaks = ", ".join(f"{steps} steps {peak / 1e6:,.0f} MB" for steps, peak in growth.items())
        typer.echo(f"    peak memory of ours by integrated-gradient steps, batches of 8: {peaks}")


def _equal_quality(report: dict[str, Any], scenes: int, as_json: bool) -> None:
    with options.progress_bar() as progress:
        quality = equal_quality(_embedded_model(), scenes=scenes, progress=progress)
    report["equal_quality"] = asdict(quality) | {"ratio": quality.ratio}
    if not as_json:
        _show_quality(quality)


def _medium(report: dict[str, Any], compiling: bool, as_json: bool) -> None:
    few = replace(paper_settings(), steps=4, iterations=1)
    score, image = medium(compile=compiling)
    name = f"(b) random LLaVA, 160 M parameters, 8 passes{COMPILED if compiling else ''}"
    if compiling:
        compare("warm-up", score, image, few, steps=5, repetitions=1)
    _show(compare(name, score, image, few, steps=5), report, "b", as_json)


def _seven_billion(report: dict[str, Any], compiling: bool, as_json: bool) -> None:
    paper = paper_settings()
    score, image = seven_billion(compile=compiling)
    compare("warm-up", score, image, replace(paper, iterations=1), steps=8, repetitions=1)
    for iterations in (5, 10):
        settings = replace(paper, iterations=iterations)
        name = f"(c) shape of LLaVA-1.5-7B, bfloat16, {20 * iterations} passes{COMPILED if compiling else ''}"
        result = compare(name, score, image, settings, steps=50, repetitions=1)
        _show(result, report, f"c{20 * iterations}", as_json)
        passes, peak = rate(score, result.ours)
        report[f"c{20 * iterations}"] |= {"flops_per_second": passes, "matrix_flops_per_second": peak}
        if not as_json:
            typer.echo(f"    ours runs at {passes / 1e12:.0f} TFLOP/s, {passes / peak:.0%} of a large matrix product")


def _embedded_model() -> VisionLanguageModel:
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


if __name__ == "__main__":
    typer.run(bench)
