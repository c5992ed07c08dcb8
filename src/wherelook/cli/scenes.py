"""`wherelook scenes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wherelook.cli import options
from wherelook.errors import InputError


def scenes(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new or empty folder.")],
    n: Annotated[int, typer.Option("--n", min=1, max=1_000_000, help="Number of scenes.")] = 100,
    seed: options.Seed = 0,
    size: Annotated[str, typer.Option("--size", metavar="HEIGHTxWIDTH", help="Image size in pixels.")] = "224x224",
    world: Annotated[
        str,
        typer.Option(
            "--world", help="shapes (colored), things (64 animals, foods, ...), or photographs (mosaics of yours)."
        ),
    ] = "shapes",
    photographs: Annotated[
        Path | None,
        typer.Option(
            "--photographs",
            metavar="DIR",
            help="For that world: NAME.jpg, n01440764_tench.jpg, or a folder for each name.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Writes images with questions, answers and exact evidence masks: a benchmark whose truth is known."""
    from wherelook.data.scenes import scene_maker, write_scenes

    height, cross, width = size.lower().partition("x")
    if not (cross and height.isdecimal() and width.isdecimal()):
        raise InputError(f"--size {size!r}: expected HEIGHTxWIDTH in pixels, for example 224x224")
    scene_maker(world, photographs=photographs)  # what is wrong is told before the folder is made
    options.make_folder(out, empty=True)
    with options.progress_bar() as progress:
        records = write_scenes(
            out, n=n, seed=seed, size=(int(height), int(width)), world=world, photographs=photographs, progress=progress
        )
    if as_json:
        options.print_json({"folder": str(out), "scenes": n, "questions": len(records), "seed": seed})
    else:
        typer.echo(f"{n} scenes with {len(records)} questions in {out}")
