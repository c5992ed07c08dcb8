"""Scenes as samples: drawn as they are needed, or from a folder that `wherelook scenes` wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from wherelook.data.images import load_image
from wherelook.data.sample import Sample
from wherelook.data.scenes import (
    ALL_KINDS,
    REPORTING_SEEDS,
    TUNING_SEEDS,
    Question,
    Scene,
    SceneRecord,
    make_scene,
    read_scenes,
)
from wherelook.data.sources import ImageFile, ImageInMemory, MaskImage, MaskInMemory
from wherelook.errors import InputError, unknown_name

NEW_SEEDS = REPORTING_SEEDS[10_000:]
"""The first reporting scenes have measured the embedded model and earlier settings; maps are reported on ones that
measured nothing."""

LOCAL_KINDS = {
    "shapes": ("color", "shape", "size", "relation", "existence"),
    "things": ("relation", "category", "size", "existence"),
}
"""By world: questions whose evidence can be a single object, and the only one that the answer could come from."""

SCENE_SIZE = (224, 224)


def draw(seeds: Sequence[int], world: str = "shapes") -> Iterator[Sample]:
    """Of each scene one question whose evidence is a single object that no other is like, the kinds in turn."""
    local_kinds = LOCAL_KINDS[world]
    for turn, seed in enumerate(seeds):
        scene = make_scene(seed, size=SCENE_SIZE, world=world)
        kinds = local_kinds[turn % len(local_kinds) :] + local_kinds[: turn % len(local_kinds)]
        local = [question for question in scene.questions if question.kind in kinds and question.exclusive]
        if local:
            yield _sample(scene, min(local, key=lambda question: kinds.index(question.kind)))


def draw_reporting(world: str = "shapes") -> Iterator[Sample]:
    """Scenes that measured nothing before."""
    return draw(NEW_SEEDS, world)


def draw_tuning(world: str = "shapes") -> Iterator[Sample]:
    """Scenes for choosing settings."""
    return draw(TUNING_SEEDS, world)


def read(path: str, chosen: Mapping[str, str] = MappingProxyType({})) -> Iterator[Sample]:
    """All questions of a folder whose evidence is a single object that nothing else in the scene shares.

    Args:
        path: of the folder.
        chosen: "kinds" are the kinds of question to read instead, such as "existence+fact", or "all"; where the
            evidence is not a single object's alone, it is not told.

    Raises:
        InputError: the folder holds no scenes, or another option is chosen.
        WherelookError: a line is broken, or a path leads out of the folder.
    """
    if chosen.keys() - {"kinds"}:
        raise InputError(f"a folder of scenes has the option kinds=A+B, not {sorted(chosen.keys() - {'kinds'})[0]!r}")
    kinds = chosen["kinds"].split("+") if "kinds" in chosen else []
    for kind in kinds:
        if kind not in (*ALL_KINDS, "all"):
            raise unknown_name("kind of question", kind, (*ALL_KINDS, "all"))
    folder = Path(path)
    for record in read_scenes(folder):
        local = record.exclusive and record.evidence is not None
        if not (local if not kinds else "all" in kinds or record.kind in kinds):
            continue
        evidence = MaskImage(ImageFile(folder, record.evidence)) if local and record.evidence is not None else None
        yield Sample(
            id=record.id,
            source=ImageFile(folder, record.image),
            question=record.question,
            references=_references(record),
            kind=record.kind,
            judge="contains" if len(record.right) == 1 else None,
            evidence=evidence,
            paraphrase=record.paraphrase,
        )


def _references(record: SceneRecord) -> tuple[str, ...]:
    """What a right answer says. None where it has to say several things: no rule for one answer judges it."""
    if len(record.right) > 1:
        return ()
    return record.right[0] if record.right else (record.answer,)


def _sample(scene: Scene, question: Question) -> Sample:
    return Sample(
        id=str(scene.seed),
        source=ImageInMemory(load_image(np.asarray(scene.image))),
        question=question.text,
        references=(question.answer,),
        kind=question.kind,
        evidence=MaskInMemory(question.evidence),
        paraphrase=question.paraphrase,
    )
