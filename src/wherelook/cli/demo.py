"""`wherelook demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wherelook.cli import options
from wherelook.cli.explain import print_explanation
from wherelook.cli.loading import open_model
from wherelook.errors import InputError
from wherelook.load_options import LoadOptions

DEMO_SIZE = (448, 448)


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")] = Path("wherelook-demo"),
    as_json: options.Json = False,
) -> None:
    """Explains questions about a bundled scene with a bundled model; no network; about half a minute on two cores."""
    from wherelook.data.scenes import DEMO_QUESTIONS, DEMO_SEED, make_scene, png
    from wherelook.explain import Explainer
    from wherelook.explanation import RECORD_FILE, check_folder
    from wherelook.models.zoo import THINGS
    from wherelook.storage import read_bytes, write_whole

    scene = make_scene(DEMO_SEED, size=DEMO_SIZE, world=THINGS)
    image = options.make_folder(out) / "scene.png"
    drawn = png(scene.image)
    for name in DEMO_QUESTIONS:
        check_folder(out / name)
    if read_bytes(image) not in (None, drawn) and not any(
        (out / name / RECORD_FILE).exists() for name in DEMO_QUESTIONS
    ):
        raise InputError(f"{image} is there and belongs to no demo: name another folder with --out")
    write_whole(image, drawn)
    model = open_model(THINGS, LoadOptions(device="cpu"))
    explainer = Explainer(model)
    results = {}
    for name, question in DEMO_QUESTIONS.items():
        with options.progress_bar() as progress:
            explanation = explainer.explain(image, question, per_token=True, progress=progress)
        folder = explanation.save(out / name)
        results[name] = explanation.to_dict()
        if not as_json:
            print_explanation(explanation, folder)
            typer.echo("")
    if as_json:
        options.print_json(results)
    else:
        typer.echo(f"Open {out / next(iter(DEMO_QUESTIONS)) / 'report.html'} in a browser.")
