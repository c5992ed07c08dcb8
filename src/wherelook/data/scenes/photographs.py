"""Photographs with names: what `mosaics` are made of.

A folder holds them as files named like ``n01440764_tench.jpg`` (a WordNet id and a name), or in one folder for each
name. Classes of ImageNet get the names that everybody uses from ``everyday.csv`` (made by `training/photos/names.py`
from WordNet 3.0); everything else is called as its file or folder is.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from wherelook.data.boxes import PIXEL_CORNERS, Numbers, has_area, lies_on
from wherelook.data.files import Folder
from wherelook.data.images import load_image
from wherelook.data.row import Row, row, shown
from wherelook.data.sources import check_inside
from wherelook.data.tables import read_rows
from wherelook.errors import InputError, WherelookError
from wherelook.storage import list_folder

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
WORDNET = re.compile(r"(n\d{8})(?:_(.*))?")
NUMBERED = re.compile(r"[\s_-]*\d*$")

HELD_OUT = 6
"""Every sixth class of those that share their everyday name with others is never trained."""


BOXES_FILE = "boxes.jsonl"
"""In a folder of photographs: {"image": "street.jpg", "boxes": [{"name": "dog", "box": [12, 30, 200, 180]}, ...]}."""

Box = Numbers

LARGEST = (100_000, 100_000)
"""(height, width) in pixels that no photograph exceeds."""


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
        """Its pixels, RGB, upright.

        Raises:
            InputError: it cannot be read, see `wherelook.data.images.load_image`.
        """
        return load_image(self.path).picture


def read_photographs(folder: str | Path) -> list[Photograph]:
    """The photographs of a folder and of the folders in it, by file name: .jpg, .jpeg, .png and .webp.

    Those that `BOXES_FILE` tells of may also lie deeper, and be of other formats.

    Raises:
        InputError: there is no such folder, or fewer than two different things in it, or a name is no text.
        WherelookError: the folder or its `BOXES_FILE` cannot be read, or a line of it is broken.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"no folder of photographs {str(root)!r}")
    things = _read_boxes(root)
    found = sorted({*_list_photographs(root), *things})
    photographs = [
        Photograph(path, _named(path.parent.name if path.parent != root else path.stem), things.get(path, ()))
        for path in found
    ]
    if not things and len({photograph.noun.name for photograph in photographs}) < 2:
        raise InputError(
            f"{root} holds no photographs of at least two things; expected files named NAME.jpg or "
            "n01440764_tench.jpg (a WordNet id), or a folder of photographs for each name"
        )
    return photographs


def _list_photographs(root: Path) -> Iterator[Path]:
    for name in list_folder(root):
        path = root / name
        if name.startswith("."):
            continue
        inside = [path / own for own in list_folder(path) if not own.startswith(".")] if path.is_dir() else [path]
        for photograph in inside:
            if photograph.suffix.lower() in SUFFIXES and photograph.is_file():
                try:
                    str(photograph).encode()
                except UnicodeEncodeError:
                    raise InputError(f"the name of photograph {str(photograph)!a} is not UTF-8") from None
                yield photograph


def _read_boxes(root: Path) -> dict[Path, tuple[tuple[Noun, Box], ...]]:
    """What is where in the photographs that the folder's `BOXES_FILE` tells of."""
    if not (root / BOXES_FILE).exists():
        return {}
    things: dict[Path, tuple[tuple[Noun, Box], ...]] = {}
    for line in read_rows(Folder(root), BOXES_FILE):
        image, boxes = line.required("image"), line.value("boxes")
        check_inside(root, image, line.place)
        if root / image in things:
            raise WherelookError(f"{line.place}: {image} has a line already")
        if not isinstance(boxes, list) or not boxes:
            raise WherelookError(f'{line.place}: boxes must be a list of {{"name": NAME, "box": [x0, y0, x1, y1]}}')
        things[root / image] = tuple(_thing(row(line.place, one)) for one in boxes)
    return things


def _thing(box: Row) -> tuple[Noun, Box]:
    """A name and its box."""
    corners = box.boxes("box")
    if len(corners) != 1 or not has_area(corners[0]) or not lies_on(corners[0], PIXEL_CORNERS, LARGEST):
        raise WherelookError(f"{box.place}: box must be x0, y0, x1, y1 in pixels, not {shown(box.value('box'))}")
    return _noun(box.required("name").strip()), corners[0]


def _named(text: str) -> Noun:
    """What a file or folder of this name shows: without underscores and a number at its end."""
    wordnet = WORDNET.fullmatch(text)
    if wordnet and wordnet[1] in everyday():
        return everyday()[wordnet[1]]
    text = (wordnet and wordnet[2]) or text
    return _noun(NUMBERED.sub("", text).replace("_", " ").strip() or text)


def _noun(name: str) -> Noun:
    return everyday().get(name) or _by_name().get(name.lower()) or Noun(name)


@cache
def _by_name() -> dict[str, Noun]:
    """The everyday names and the names of classes, in lower case: what is known of whatever is called so."""
    meant: dict[str, list[Noun]] = {}
    for noun in everyday().values():
        meant.setdefault(noun.name.lower(), []).append(Noun(noun.name, above=noun.above, form=noun.form))
        if noun.kind.lower() != noun.name.lower():
            meant.setdefault(noun.kind.lower(), []).append(Noun(noun.kind, above=(noun.name, *noun.above)))
    return {
        name: Noun(
            nouns[0].name,
            above=tuple(wider for wider in nouns[0].above if all(wider in noun.above for noun in nouns)),
            form=nouns[0].form,
        )
        for name, nouns in meant.items()
    }


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
    """The color of most of an image, by its hues; None where none covers half of it, or another covers half as much."""
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
