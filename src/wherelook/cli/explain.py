"""`wherelook explain`."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wherelook.cli import options
from wherelook.cli.configured import configured
from wherelook.cli.loading import AS_IT_IS, check_loading, open_model
from wherelook.config import ExplainConfig
from wherelook.errors import InputError
from wherelook.load_options import LoadOptions

if TYPE_CHECKING:
    from wherelook.data.images import LoadedImage
    from wherelook.explanation import Explanation, ImagePart
    from wherelook.score import Progress


THOUGHT_SHOWN = 200
"""Characters of a thought on the terminal; the files hold all of it."""


@configured
def explain(
    image: Annotated[str, typer.Argument(help="An image file.")],
    question: Annotated[str, typer.Argument(help="What to ask about it.")],
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--image", metavar="FILE", help="Another image of the same prompt, after the first one. Repeatable."
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames", help="Take so many frames of an animation (GIF, WebP, PNG, TIFF) as the images of the prompt."
        ),
    ] = None,
    video: Annotated[
        bool, typer.Option("--video", help="Give the frames to the model's own video input, not as images.")
    ] = False,
    model: options.ModelOrAddress = None,
    *,
    config: ExplainConfig,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")] = Path("wherelook-out"),
    loading: LoadOptions = AS_IT_IS,
    as_json: options.Json = False,
) -> None:
    """Explains one answer: which words are visually grounded, and which region they came from."""
    from wherelook.arguments import check_text
    from wherelook.data.images import frame_rate, load_images
    from wherelook.explain import explain, most_requests
    from wherelook.explanation import check_folder
    from wherelook.models import EndpointModel
    from wherelook.models.zoo import default_model

    # Everything that can be wrong with the input is found before a model is loaded.
    check_text("question", question)
    if video and frames is None:
        raise InputError("--video goes with --frames, which says how many frames to take")
    images = load_images([image, *(others or [])]) if frames is None else _frames(image, frames, others)
    if video:
        loading = replace(loading, frames_per_second=frame_rate(images) or 1.0)
    model = default_model() if model is None else model
    check_loading(model, loading, [config.method_name])
    check_folder(options.make_folder(out))
    asked = open_model(model, loading)
    if isinstance(asked, EndpointModel):
        size = asked.request_bytes([one.picture for one in images], question)
        options.announce(asked, most_requests(config, images[0].size), size)
    with options.progress_bar() as progress:
        explanation = explain(asked, images, question, config, progress=_announcing(progress))
    folder = explanation.save(out)
    if as_json:
        options.print_json(explanation.to_dict())
    else:
        print_explanation(explanation, folder)


def _frames(image: str, count: int, others: list[str] | None) -> tuple[LoadedImage, ...]:
    from wherelook.data.images import load_frames

    if others:
        raise InputError("--frames takes the images of the prompt from one file: leave --image out")
    return load_frames(image, count)


def _announcing(progress: Progress | None) -> Progress:
    """Progress that says on standard error, before they are made, what maps of single words cost at most."""
    from wherelook.explain import WORDS_STAGE

    def report(stage: str, done: int, total: int) -> None:
        if stage == WORDS_STAGE and done == 0:
            typer.echo(f"words      maps of single words: at most {total} forward passes more", err=True)
        if progress is not None:
            progress(stage, done, total)

    return report


def _field(name: str, text: str) -> str:
    """A named text; its further lines are indented, so that none of them passes for a field of its own."""
    return f"{name:<11}" + "\n".join(text.splitlines()).replace("\n", "\n" + 11 * " ")


def _image_line(part: ImagePart) -> str:
    """The share of one of several images, and where its map points."""
    from wherelook.explanation.figures import percent

    shares = (
        ""
        if part.share is None
        else (
            f"{percent(part.share)} of the loss (alone: {percent(part.lost)} lost without it, "
            f"{percent(part.restored)} restored by it)"
        )
    )
    looked = (
        "no focus"
        if part.focus is None
        else "box ({}, {}) to ({}, {}), peak ({:.0f}, {:.0f})".format(*part.focus.box, *part.focus.peak)
    )
    return "; ".join(text for text in (shares, looked) if text)


def print_explanation(explanation: Explanation, folder: Path) -> None:
    """What a person wants to know first."""
    from wherelook.models.zoo import BUNDLED, PHOTOS, PREFIX

    name = str(explanation.model["id"])
    drawn = name in BUNDLED or name.startswith(PREFIX)
    known = " (small, trained on drawn scenes: it knows nothing else)" if drawn else ""
    typer.echo(f"model      {name}{' (small: 140 M weights)' if name == PHOTOS else known}")
    words: dict[int | None, str] = {}
    for token in explanation.tokens:
        if token.selected:
            words[token.word] = words.get(token.word, "") + token.text
    typer.echo(_field("question", explanation.question))
    if explanation.reasoning:
        typer.echo(_field("thought", textwrap.shorten(explanation.reasoning, THOUGHT_SHOWN, placeholder=" ...")))
    typer.echo(_field("answer", explanation.answer.strip()))
    typer.echo(_field("status", f"{explanation.status}: {explanation.reason}"))
    typer.echo(f"reliance   {explanation.reliance['score']:.2f} (0: not on the image, 1: entirely)")
    if explanation.focus is not None:
        x0, y0, x1, y1 = explanation.focus.box
        x, y = explanation.focus.peak
        typer.echo(f"words      {' '.join(word.strip() for word in words.values())}")
        if len(explanation.images) == 1:
            typer.echo(f"looked at  box ({x0}, {y0}) to ({x1}, {y1}), peak ({x:.0f}, {y:.0f}), in pixels of the image")
    for index, part in enumerate(explanation.images if len(explanation.images) > 1 else (), start=1):
        typer.echo(f"image {index:<4} {_image_line(part)}")
    for curve in explanation.curves:
        suffix = "" if curve.seen else "_unseen"
        deletion, insertion = (explanation.metrics[f"{name}{suffix}"] for name in ("deletion", "insertion"))
        typer.echo(
            f"scores     deletion {deletion:.3f} (lower is better, {curve.deletion_floor:.3f} for a perfect map), "
            f"insertion {insertion:.3f} (higher is better, {curve.insertion_ceiling:.3f}); "
            f"{len(curve.fractions) - 1} steps, "
            f"baseline {curve.baseline}{'' if curve.seen else ' (never seen by the optimizer)'}"
        )
    cost = explanation.cost
    typer.echo(
        f"cost       {cost['forward']} forward and {cost['backward']} backward passes, "
        f"{cost['generated_tokens']} generated tokens, {cost['seconds']:.1f} s"
    )
    for note in explanation.notes:
        typer.echo(_field("note", note))
    typer.echo(f"report     {folder / 'report.html'}")
