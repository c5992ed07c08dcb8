"""Scenes as files: a folder that any program can read, and the reader for it.

images/000123.png           the image
masks/000123-0.png          1-bit evidence of the scene's question 0; questions without evidence have none
questions.jsonl             one question a line, see `SceneRecord`
README.md                   what the folder holds and how it was made
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TypeVar

from PIL import Image

from wherelook.data.files import Folder
from wherelook.data.row import Row, shown
from wherelook.data.scenes.mosaics import Mosaic, make_mosaic
from wherelook.data.scenes.photographs import read_photographs
from wherelook.data.scenes.scene import (
    SCENES_VERSION,
    WORLDS,
    Question,
    Scene,
    check_scene_size,
    make_scene,
    mask_box,
)
from wherelook.data.sources import check_inside
from wherelook.data.tables import read_rows
from wherelook.errors import InputError, WherelookError, unknown_name
from wherelook.score import Progress
from wherelook.storage import make_folder, write_whole

QUESTIONS_FILE = "questions.jsonl"

PHOTOGRAPHS = "photographs"
"""The world of mosaics."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class SceneRecord:
    """One line of `questions.jsonl`.

    Attributes:
        id: "scene-question", unique in the folder.
        image: Path of the image, relative to the folder.
        question: The question.
        answer: The right answer, a sentence.
        kind: One of `ALL_KINDS`.
        needs_image: False when the answer is the same for every image.
        evidence: Path of the evidence mask, relative to the folder; None when nothing in the image is evidence.
        evidence_objects: Number of objects in the evidence.
        exclusive: Whether no other object has anything that the answer tells, see `Question`.
        box: (x0, y0, x1, y1), in pixels, around the evidence; None without evidence.
        width, height: Of the image, in pixels.
        seed: Of the scene.
        paraphrase: The same question in other words, see `Question`; None where there are none. Folders that were
            written before there were paraphrases do not have the field.
        right: Names that a right answer says, see `Question`; older folders do not have the field either.
    """

    id: str
    image: str
    question: str
    answer: str
    kind: str
    needs_image: bool
    evidence: str | None
    evidence_objects: int
    exclusive: bool
    box: tuple[int, int, int, int] | None
    width: int
    height: int
    seed: int
    paraphrase: str | None = None
    right: tuple[tuple[str, ...], ...] = ()


OPTIONAL = {"paraphrase", "right"}
"""Fields that older folders do not have."""


def write_scenes(
    out: str | Path,
    *,
    n: int,
    seed: int = 0,
    size: tuple[int, int] = (224, 224),
    world: str = "shapes",
    photographs: str | Path | None = None,
    progress: Progress | None = None,
) -> list[SceneRecord]:
    """Write the scenes of seeds `seed` to `seed + n - 1` into a new or empty folder.

    Args:
        out: The folder; made where missing.
        n: Number of scenes.
        seed: Seed of the first scene.
        size: (height, width) of the images, in pixels.
        world: What the scenes are made of, see `make_scene`; or "photographs": mosaics, see `make_mosaic`.
        photographs: The folder that mosaics are made of, see `read_photographs`.
        progress: Called after every scene.

    Returns:
        The records that were written, in the order of the file.

    Raises:
        InputError: A number is out of range, or `out` exists and is not an empty folder.
        WherelookError: The disk refuses. The folder is as empty then as it was, and after an interruption too.
    """
    if n < 1:
        raise InputError(f"the number of scenes must be at least 1, not {n}")
    if seed < 0:
        raise InputError(f"the seed of the scenes must be at least 0, not {seed}")
    check_scene_size(size)
    make = scene_maker(world, size, photographs)
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; name a new folder for the scenes")
    records: list[SceneRecord] = []

    def lines() -> Iterator[bytes]:
        for index in range(n):
            scene = make(seed + index)
            write_whole(folder / _image_path(index), png(scene.image), durable=False)
            for number, question in enumerate(scene.questions):
                record = _write_question(folder, index, number, scene, question)
                records.append(record)
                yield (json.dumps(asdict(record)) + "\n").encode()
            if progress:
                progress("scenes", index + 1, n)
        write_whole(folder / "README.md", _card(records, n, seed, size, world).encode())

    try:
        for part in ("images", "masks"):
            make_folder(folder / part)
        write_whole(folder / QUESTIONS_FILE, lines())  # it has its name when everything is there
    except BaseException:
        for part in ("images", "masks"):
            shutil.rmtree(folder / part, ignore_errors=True)
        (folder / "README.md").unlink(missing_ok=True)
        raise
    return records


def scene_maker(
    world: str, size: tuple[int, int] = (224, 224), photographs: str | Path | None = None
) -> Callable[[int], Scene | Mosaic]:
    """What makes a scene of a seed; the arguments are those of `write_scenes`.

    Raises:
        InputError: there is no such world or folder, or a folder of photographs is there or missing without reason.
    """
    if world not in (*WORLDS, PHOTOGRAPHS):
        raise unknown_name("world", world, [*WORLDS, PHOTOGRAPHS])
    if (world == PHOTOGRAPHS) != (photographs is not None):
        raise InputError(f"a folder of photographs (--photographs DIR) goes with the world {PHOTOGRAPHS!r}")
    if photographs is None:
        return partial(make_scene, size=size, world=world)
    return partial(make_mosaic, read_photographs(photographs), size=size)


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def read_scenes(folder: str | Path) -> Iterator[SceneRecord]:
    """Read the records of a folder that `write_scenes` wrote, checking every path and field.

    Raises:
        InputError: The folder or its questions are missing.
        WherelookError: A line is broken, or a path in it leads out of the folder or to no file.
    """
    root = Path(folder)
    if not (root / QUESTIONS_FILE).is_file():
        raise InputError(f"{root} holds no scenes: {QUESTIONS_FILE} is missing; make some with `wherelook scenes`")
    for line in read_rows(Folder(root), QUESTIONS_FILE):
        yield _record(root, line)


def _image_path(index: int) -> str:
    return f"images/{index:06d}.png"


def _write_question(folder: Path, index: int, number: int, scene: Scene | Mosaic, question: Question) -> SceneRecord:
    evidence = f"masks/{index:06d}-{number}.png" if question.evidence_objects else None
    if evidence:
        write_whole(
            folder / evidence, png(Image.fromarray(question.evidence)), durable=False
        )  # bool becomes a 1-bit PNG
    return SceneRecord(
        id=f"{index:06d}-{number}",
        image=_image_path(index),
        question=question.text,
        answer=question.answer,
        kind=question.kind,
        needs_image=question.needs_image,
        evidence=evidence,
        evidence_objects=len(question.evidence_objects),
        exclusive=question.exclusive,
        box=mask_box(question.evidence),
        width=scene.image.width,
        height=scene.image.height,
        seed=scene.seed,
        paraphrase=question.paraphrase,
        right=question.right,
    )


def _record(root: Path, line: Row) -> SceneRecord:
    """A line of `questions.jsonl`, checked."""
    names = {field.name for field in fields(SceneRecord)}
    if set(line.values) | OPTIONAL != names:
        raise WherelookError(f"{line.place}: expected an object with exactly the fields {', '.join(sorted(names))}")
    image, evidence, box = line.required("image"), line.text("evidence"), line.boxes("box")
    for path in (image, evidence):
        if path is not None:
            check_inside(root, path, line.place)
    if len(box) > 1:
        raise WherelookError(f"{line.place}: box must be four numbers, not {shown(line.value('box'))}")
    paraphrase = line.text("paraphrase")
    if paraphrase is not None and not paraphrase.strip():
        raise WherelookError(f"{line.place}: the paraphrase is empty")
    x0, y0, x1, y1 = (int(value) for value in box[0]) if box else (0, 0, 0, 0)
    return SceneRecord(
        id=line.required("id"),
        image=image,
        question=line.required("question"),
        answer=line.required("answer"),
        kind=line.required("kind"),
        needs_image=_of_type(line, "needs_image", bool, "true or false"),
        evidence=evidence,
        evidence_objects=_of_type(line, "evidence_objects", int, "a whole number"),
        exclusive=_of_type(line, "exclusive", bool, "true or false"),
        box=(x0, y0, x1, y1) if box else None,
        width=_of_type(line, "width", int, "a whole number"),
        height=_of_type(line, "height", int, "a whole number"),
        seed=_of_type(line, "seed", int, "a whole number"),
        paraphrase=paraphrase,
        right=_names(line),
    )


def _of_type(line: Row, name: str, kind: type[Value], told: str) -> Value:
    """The value of a field that is of exactly this type: true is no number."""
    value = line.value(name)
    if type(value) is not kind:
        raise WherelookError(f"{line.place}: {name} must be {told}, not {shown(value)}")
    return value


def _names(line: Row) -> tuple[tuple[str, ...], ...]:
    """The field `right`, checked."""
    right = line.value("right") or []
    lists = isinstance(right, list) and all(isinstance(names, list) and names for names in right)
    if not lists or not all(isinstance(name, str) and name.strip() for names in right for name in names):
        raise WherelookError(f"{line.place}: right must be lists of names, not {shown(right)}")
    return tuple(map(tuple, right))


DRAWN_TRUTH = """Nothing was
photographed or labeled by hand: the answers and the evidence are exact because the images were drawn from them."""
MOSAIC_TRUTH = """The names
are those of the photographs' files or folders, and the evidence is exact because the images were put together from
them; photographs with boxes are shown alone, no larger than told above, and are as exact as their boxes."""


def _card(records: list[SceneRecord], n: int, seed: int, size: tuple[int, int], world: str) -> str:
    kinds = sorted({record.kind for record in records})
    what, truth = (f"3 to 6 {world}", DRAWN_TRUTH) if world != PHOTOGRAPHS else ("1 to 4 photographs", MOSAIC_TRUTH)
    counts = "\n".join(f"| {kind} | {sum(record.kind == kind for record in records)} |" for kind in kinds)
    return f"""# Scenes with exact evidence

{n} images of {what} and {len(records)} questions about them, made by wherelook (scenes version {SCENES_VERSION},
seeds {seed} to {seed + n - 1}, {size[0]} x {size[1]} pixels, height x width). {truth}

| kind of question | questions |
|---|---|
{counts}

`{QUESTIONS_FILE}` has a question a line: `image`, `question`, `answer`, `kind`, `needs_image`, `box` (x0, y0, x1, y1
around the evidence, in pixels), `evidence` (a 1-bit mask: the objects that the answer's content comes from; null when
there are none: facts, and things that are not there), `evidence_objects` (how many they are), `exclusive` (whether
one object alone is evidence: no other has anything that the answer tells of it), `paraphrase` (the same question with
the object that it names named otherwise; null where there is no other name), `right` (for each thing that a right
answer tells, the names that are right; empty where only `answer` is).
{PICTURES if world == "things" else ""}"""


PICTURES = """
The pictures of things are glyphs of Noto Color Emoji, Copyright 2013-2017 Google Inc., SIL Open Font License 1.1.
"""
