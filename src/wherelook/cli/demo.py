"""`wherelook demo`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wherelook.cli import options
from wherelook.cli.explain import print_explanation
from wherelook.cli.loading import open_model
from wherelook.errors import InputError, unknown_name
from wherelook.load_options import LoadOptions

if TYPE_CHECKING:
    from PIL import Image

SIDE = 448
REPLAY_STEPS = 12

QUESTIONS: Mapping[str, tuple[str, str]] = {
    "caption": ("two.png", "Describe the picture."),
    "place": ("two.png", "What is on the left?"),
    "fact": ("two.png", "What is the capital of France?"),
    "wrong": ("rocket.png", "What is shown in the picture?"),
}
"""What `photos` is asked about scikit-image's photographs: folder, picture and question."""


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")] = Path("wherelook-demo"),
    model: Annotated[
        str | None, typer.Option("--model", help="photos, or things. [default: photos where it is made]")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Explains questions about bundled pictures with a bundled model; no network; two to three minutes on two cores."""
    from wherelook.data.scenes import DEMO_QUESTIONS, png
    from wherelook.explain import Explainer
    from wherelook.explanation import RECORD_FILE, check_folder
    from wherelook.models.huggingface.loading import locate
    from wherelook.models.zoo import MAKE_PHOTOS, PHOTOS, THINGS, is_model, photos_folder
    from wherelook.storage import read_bytes, write_whole

    chosen = model or (PHOTOS if is_model(photos_folder()) else THINGS)
    if chosen not in (PHOTOS, THINGS):
        raise unknown_name("model of the demo", chosen, (PHOTOS, THINGS))
    if model is None and chosen == THINGS and not as_json:
        typer.echo(f"A drawn scene, because the model for photographs is not made: {MAKE_PHOTOS}.", err=True)
    locate(chosen)
    pictures = photographs() if chosen == PHOTOS else _scene()
    questions = QUESTIONS if chosen == PHOTOS else {name: ("scene.png", text) for name, text in DEMO_QUESTIONS.items()}
    options.make_folder(out)
    for name in questions:
        check_folder(out / name)
    explained = any((out / name / RECORD_FILE).exists() for name in questions)
    for file, picture in pictures.items():
        if read_bytes(out / file) not in (None, png(picture)) and not explained:
            raise InputError(f"{out / file} is there and belongs to no demo: name another folder with --out")
    for file, picture in pictures.items():
        write_whole(out / file, png(picture))
    explainer = Explainer(open_model(chosen, LoadOptions(device="cpu")))
    results = {}
    for name, (file, question) in questions.items():
        with options.progress_bar() as progress:
            explanation = explainer.explain(
                out / file,
                question,
                preset="fast",
                per_token=chosen == THINGS,
                replay_steps=REPLAY_STEPS,
                progress=progress,
            )
        folder = explanation.save(out / name)
        results[name] = explanation.to_dict()
        if not as_json:
            print_explanation(explanation, folder)
            typer.echo("")
    if as_json:
        options.print_json(results)
    else:
        typer.echo(f"Open {out / next(iter(questions)) / 'report.html'} in a browser.")


def photographs() -> dict[str, Image.Image]:
    """Photographs that come with scikit-image (in the public domain): a cat beside a cup of coffee, and a rocket."""
    import skimage.data
    from PIL import Image

    data: Any = skimage.data

    def square(pixels: Any, left: int, top: int, side: int) -> Image.Image:
        return Image.fromarray(pixels).crop((left, top, left + side, top + side)).resize((SIDE, SIDE))

    two = Image.new("RGB", (2 * SIDE, SIDE))
    two.paste(square(data.chelsea(), 75, 0, 300), (0, 0))
    two.paste(square(data.coffee(), 120, 0, 400), (SIDE, 0))
    return {"two.png": two, "rocket.png": square(data.rocket(), 110, 0, 427)}


def _scene() -> dict[str, Image.Image]:
    """A drawn scene of things."""
    from wherelook.data.scenes import DEMO_SEED, make_scene

    return {"scene.png": make_scene(DEMO_SEED, size=(SIDE, SIDE), world="things").image}
