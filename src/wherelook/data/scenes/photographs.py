"""Photographs with names: what `mosaics` are made of.

A folder holds them as files named like ``n01440764_tench.jpg`` (a WordNet id and a name), or in one folder for each
name. Classes of ImageNet get the names that everybody uses from ``everyday.csv`` (made by `training/photos/names.py`
from WordNet 3.0); everything else is called as its file or folder is.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wherelook.data.sources import check_inside
from wherelook.errors import InputError
from wherelook.storage import read_text

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
WORDNET = re.compile(r"(n\d{8})(?:_(.*))?")
NUMBERED = re.compile(r"[\s_-]*\d*$")

HELD_OUT = 6
"""Every sixth class of those that share their everyday name with others is never trained."""


BOXES_FILE = "boxes.jsonl"
"""In a folder of photographs: {"image": "street.jpg", "boxes": [{"name": "dog", "box": [12, 30, 200, 180]}, ...]}."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Noun:
    """What a photograph shows, in words.

    Attributes:
        name: its everyday name, such as "dog".
        kind: its own name, such as "beagle"; the same where there is none.
        also: further names that are right.
        above: everyday names of wider groups that it belongs to, such as "bird" for an owl.
        form: "", or "plural" ("jeans"), or "mass" ("bread"): how its everyday name is used.
        held_out: whether no model that comes with wherelook was trained on its class.
    """

    name: str
    kind: str = ""
    also: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    form: str = ""
    held_out: bool = False

    def names(self) -> tuple[str, ...]:
        """Every name that is right, the everyday name first."""
        return tuple(dict.fromkeys((self.name, self.kind or self.name, *self.also)))

    def fits(self, name: str) -> bool:
        """Whether it can be called so."""
        return name in self.names() or name in self.above


@dataclass(frozen=True)
class Photograph:
    """A file and what it shows.

    Attributes:
        path: of the file.
        noun: what it shows as a whole.
        things: what is where in it, by its own (x0, y0, x1, y1) in pixels; empty where that is not known.
    """

    path: Path
    noun: Noun
    things: tuple[tuple[Noun, Box], ...] = ()

    def load(self) -> Image.Image:
        """Its pixels, RGB.

        Raises:
            InputError: it cannot be read.
        """
        try:
            with Image.open(self.path) as image:
                return image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(f"photograph {self.path} cannot be read: {error}") from None


def read_photographs(folder: str | Path) -> list[Photograph]:
    """The photographs of a folder, by file name.

    Raises:
        InputError: there is no such folder, or fewer than two different things in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"no folder of photographs {str(root)!r}")
    found = sorted(path for pattern in ("*", "*/*") for path in root.glob(pattern))
    things = _read_boxes(root)
    photographs = [
        Photograph(path, _noun(path.parent.name if path.parent != root else path.stem), things.get(path, ()))
        for path in found
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]
    if not things and len({photograph.noun.name for photograph in photographs}) < 2:
        raise InputError(
            f"{root} holds no photographs of at least two things; expected files named NAME.jpg or "
            "n01440764_tench.jpg (a WordNet id), or a folder of photographs for each name"
        )
    return photographs


def _read_boxes(root: Path) -> dict[Path, tuple[tuple[Noun, Box], ...]]:
    """What is where in the photographs that the folder's `BOXES_FILE` tells of."""
    file = root / BOXES_FILE
    things: dict[Path, tuple[tuple[Noun, Box], ...]] = {}
    for number, line in enumerate((read_text(file) or "").splitlines(), start=1):
        place = f"{file}, line {number}"
        try:
            row = json.loads(line)
            image, boxes = str(row["image"]), row["boxes"]
            check_inside(root, image, place)
            things[root / image] = tuple((_noun(str(one["name"])), _box(one["box"])) for one in boxes)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f'{place}: expected {{"image": FILE, "boxes": [{{"name": NAME, "box": [x0, y0, x1, y1]}}]}} ({error})'
            ) from None
    return things


def _box(values: Any) -> Box:
    x0, y0, x1, y1 = (int(value) for value in values)
    if not (0 <= x0 < x1 and 0 <= y0 < y1):
        raise ValueError(f"no box: {values}")
    return x0, y0, x1, y1


def _noun(text: str) -> Noun:
    wordnet = WORDNET.fullmatch(text)
    if wordnet:
        known = everyday().get(wordnet[1])
        if known is not None:
            return known
        text = wordnet[2] or text
    return Noun(NUMBERED.sub("", text).replace("_", " ").strip() or text)


@cache
def everyday() -> dict[str, Noun]:
    """The thousand classes of ImageNet by their WordNet ids."""
    with files(__package__).joinpath("everyday.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    held_out = _held_out({row["wordnet"]: row["name"] for row in rows})
    return {
        row["wordnet"]: Noun(
            name=row["name"],
            kind=row["kind"],
            also=tuple(filter(None, row["also"].split(";"))),
            above=tuple(filter(None, row["above"].split(";"))),
            form=row["form"],
            held_out=row["wordnet"] in held_out,
        )
        for row in rows
    }


def _held_out(names: Mapping[str, str]) -> set[str]:
    """Classes that are never trained, of everyday names that other, trained classes have."""
    left = Counter(names.values())
    shared = [wordnet for wordnet, name in names.items() if left[name] > 1]
    chosen = set()
    for wordnet in shared[HELD_OUT - 1 :: HELD_OUT]:
        if left[names[wordnet]] > 1:
            left[names[wordnet]] -= 1
            chosen.add(wordnet)
    return chosen


COLOR_BOUNDS = (
    ("red", 0.03),
    ("orange", 0.10),
    ("yellow", 0.19),
    ("green", 0.46),
    ("blue", 0.71),
    ("purple", 0.83),
    ("pink", 0.94),
    ("red", 1.01),
)
"""Where the hues of a color end, as shares of the circle of hues."""


def main_color(image: Image.Image) -> str | None:
    """The color of most of an image, by its hues; None where none covers half of it, or a second a third of that."""
    small = np.asarray(image.resize((32, 32), Image.Resampling.BOX).convert("HSV"), dtype=np.float32) / 255.0
    hue, saturation, value = small.reshape(-1, 3).T
    names = np.array([name for name, _ in COLOR_BOUNDS])[
        np.searchsorted([end for _, end in COLOR_BOUNDS], hue, "right")
    ]
    warm = np.isin(names, ("red", "orange", "yellow"))
    names = np.where(warm & (value < 0.6) & (saturation >= 0.2), "brown", names)
    names = np.where(saturation < 0.16, np.where(value > 0.78, "white", "gray"), names)
    names = np.where(value < 0.2, "black", names)
    found, counts = np.unique(names, return_counts=True)
    order = np.argsort(-counts)
    shares = counts[order] / counts.sum()
    if shares[0] < 0.5 or (len(shares) > 1 and shares[1] > 0.5 * shares[0]):
        return None
    return str(found[order[0]])
