"""Scenes: images whose content is known exactly, with questions whose evidence is known exactly."""

from wherelook.data.scenes.facts import facts
from wherelook.data.scenes.files import SceneRecord, png, read_scenes, scene_maker, write_scenes
from wherelook.data.scenes.mosaics import LAYOUTS, Mosaic, make_mosaic
from wherelook.data.scenes.panels import ASKERS
from wherelook.data.scenes.photographs import Photograph, read_photographs
from wherelook.data.scenes.questions import DEFAULT_BUDGET, KINDS
from wherelook.data.scenes.scene import (
    DEMO_QUESTIONS,
    DEMO_SEED,
    REPORTING_SEEDS,
    SCENES_VERSION,
    TRAINING_SEEDS,
    TUNING_SEEDS,
    WORLDS,
    Question,
    Scene,
    make_scene,
)
from wherelook.data.scenes.things import THINGS
from wherelook.data.scenes.world import COLORS, SHAPES, SIZES, SceneObject

ALL_KINDS = tuple(dict.fromkeys((*KINDS, *ASKERS)))
"""Kinds of question of every world."""

__all__ = [
    "ALL_KINDS",
    "COLORS",
    "DEFAULT_BUDGET",
    "DEMO_QUESTIONS",
    "DEMO_SEED",
    "KINDS",
    "LAYOUTS",
    "REPORTING_SEEDS",
    "SCENES_VERSION",
    "SHAPES",
    "SIZES",
    "THINGS",
    "TRAINING_SEEDS",
    "TUNING_SEEDS",
    "WORLDS",
    "Mosaic",
    "Photograph",
    "Question",
    "Scene",
    "SceneObject",
    "SceneRecord",
    "facts",
    "make_mosaic",
    "make_scene",
    "png",
    "read_photographs",
    "read_scenes",
    "scene_maker",
    "write_scenes",
]
