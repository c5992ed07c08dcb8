"""Which models look alike, as numbers of an SVG drawing: a matrix of similarities beside the tree of the models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wherelook.analysis.results import PairLine
from wherelook.report.formatting import figure, number, share
from wherelook.report.interval_plot import CHARACTER, shorten
from wherelook.stats import Hierarchy

CELL = 46  # side of a cell
TOP, BOTTOM = 8, 42  # room above the matrix, and below for the axis
TREE = 190  # width of the tree
GAP = 16
SHADES = 6


@dataclass(frozen=True)
class Tile:
    """A cell of the matrix; `shade` is from 0, not alike, to 5. `text` says what it shows."""

    x: float
    y: float
    label: str
    shade: int
    text: str


@dataclass(frozen=True)
class Join:
    """Two branches that join: the path of its lines, and where its support is written."""

    path: str
    x: float
    y: float
    label: str
    text: str


@dataclass(frozen=True)
class Drawing:
    """`names` are (y, number, text, whole name), `heads` are (x, number) over the columns."""

    width: float
    height: float
    left: float
    bottom: float
    names: tuple[tuple[float, str, str], ...]
    heads: tuple[tuple[float, str], ...]
    tiles: tuple[Tile, ...]
    joins: tuple[Join, ...]
    ticks: tuple[tuple[float, str], ...]


def draw(pairs: Sequence[PairLine], tree: Hierarchy) -> Drawing:
    """The models in the order of the tree.

    Args:
        pairs: of one benchmark, all that there are of the tree's models.
        tree: of the same models.
    """
    rank = {name: place for place, name in enumerate(tree.order)}
    names = [f"{place}  {shorten(name)}" for place, name in enumerate(tree.order, start=1)]
    left = 14 + CHARACTER * max(map(len, names))
    bottom = TOP + CELL * len(names)
    tiles = []
    for pair in pairs:
        described = f"{pair.first} and {pair.second}: {figure(pair.similarity)}"
        value = pair.similarity.value
        level = min(max(int(value * SHADES), 0), SHADES - 1)
        for row, column in ((pair.first, pair.second), (pair.second, pair.first)):
            x, y = left + CELL * rank[column], TOP + CELL * rank[row]
            tiles.append(Tile(x, y, number(value), level, described))
    start = left + CELL * len(names) + GAP
    top = max(merge.height for merge in tree.merges) or 1.0
    return Drawing(
        width=start + TREE + GAP + 20,
        height=bottom + BOTTOM,
        left=left,
        bottom=bottom,
        names=tuple(
            (TOP + CELL * (place + 0.5), text, whole)
            for place, (text, whole) in enumerate(zip(names, tree.order, strict=True))
        ),
        heads=tuple((left + CELL * (place + 0.5), str(place + 1)) for place in range(len(names))),
        tiles=tuple(tiles),
        joins=tuple(_joins(tree, start, top)),
        ticks=tuple((start + part * TREE, number(part * top)) for part in (0, 0.5, 1)),
    )


def _joins(tree: Hierarchy, start: float, top: float) -> list[Join]:
    """Branches of two joins have the places of their own join; a leaf is at its name."""
    rank = {name: place for place, name in enumerate(tree.order)}
    at: dict[frozenset[str], tuple[float, float]] = {
        frozenset([name]): (start, TOP + CELL * (place + 0.5)) for name, place in rank.items()
    }
    joins = []
    for merge in tree.merges:
        members = frozenset(merge.members)
        # The two largest branches so far that make it up.
        first = max((branch for branch in at if branch < members), key=len)
        second = members - first
        x = start + merge.height / top * TREE
        (x0, y0), (x1, y1) = sorted((at[first], at[second]), key=lambda place: place[1])
        path = f"M{x0:.1f} {y0:.1f}H{x:.1f}V{y1:.1f}H{x1:.1f}"
        at[members] = x, (y0 + y1) / 2
        text = f"{', '.join(merge.members)}: distance {number(merge.height)}, support {share(merge.support)}"
        joins.append(Join(path, x + 4, (y0 + y1) / 2 - 4, f"{100 * merge.support:.0f}", text))
    return joins
