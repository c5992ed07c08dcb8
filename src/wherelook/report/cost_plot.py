"""Cost against quality as numbers of an SVG drawing: a point with its interval and its name for every run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wherelook.analysis.method_table import Figure, RunSummary, metric_of, number

WIDTH, HEIGHT = 720, 470  # of the drawing
LEFT, RIGHT, TOP, BOTTOM = 58, 708, 14, 420  # of the area between the axes
ZERO = 82  # where runs without a pass stand, apart from the logarithmic axis
FIRST = 186  # where that axis begins
CHARACTER, LINE = 7.9, 14.0  # room for a letter (bold, of a wide font) and for a line of the names
BAR_ROOM = 8.0  # between two intervals that stand side by side
MARK = 5.0  # half the side of what a point covers
NAME_DISTANCES = (10, 13, 17, 21, 26, 31, 37, 44, 52, 62, 74, 88, 105, 125, 150, 180, 220, 270)
NAME_DEGREES = (
    0,
    180,
    *(base + sign * turn for turn in (15, 30, 45, 60, 75, 85) for base in (0, 180) for sign in (-1, 1)),
)
"""Where around its point a name may stand, in the order of preference: level with it, to the right."""
LEADER_FROM = 20  # distance at which a line must tell whose name it is

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Name:
    """A run's name: where its text starts or ends, and the line to its point; "" where that is near."""

    x: float
    y: float
    anchor: str
    leader: str


@dataclass(frozen=True)
class Point:
    """A run: its place, the ends of its interval, whether no cheaper run is as good; no name where there is no room."""

    run: str
    x: float
    y: float
    low: float
    high: float
    frontier: bool
    text: str
    name: Name | None


@dataclass(frozen=True)
class Plot:
    """One drawing: `ticks` are (position, label); `frontier` is a path through the runs that no cheaper one equals."""

    measure: str
    better: str
    points: tuple[Point, ...]
    frontier: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def plot(summaries: Sequence[RunSummary], measure: str) -> Plot | None:
    """Mean passes of every run against a measure; None where no run has both."""
    known = [
        (summary.run, summary.passes, figure)
        for summary in summaries
        if (figure := summary.figures.get(measure)) is not None and summary.passes is not None
    ]
    if not known:
        return None
    known.sort(key=lambda entry: entry[1])
    horizontal = _Horizontal([passes for _, passes, _ in known])
    vertical = _Vertical([figure for _, _, figure in known])
    places = [(horizontal.at(passes), vertical.at(figure.mean)) for _, passes, figure in known]
    bars = [(vertical.at(figure.low), vertical.at(figure.high)) for _, _, figure in known]
    places = _apart(places, bars, [passes for _, passes, _ in known])
    frontier = _frontier([(passes, figure.mean) for _, passes, figure in known], metric_of(measure).better == "higher")
    names = _place_names([run for run, _, _ in known], places, bars)
    points = tuple(
        Point(run, x, y, low, high, index in frontier, _describe(run, passes, figure), name)
        for index, ((run, passes, figure), (x, y), (low, high), name) in enumerate(
            zip(known, places, bars, names, strict=True)
        )
    )
    steps = [places[index] for index in frontier]
    path = f"M{steps[0][0]:.1f} {steps[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in steps[1:]) + f"H{RIGHT}"
    return Plot(measure, metric_of(measure).better, points, path, horizontal.ticks(), vertical.ticks())


def _describe(run: str, passes: float, figure: Figure) -> str:
    return f"{run}: {number(figure.mean)} ({number(figure.low)} to {number(figure.high)}) at {passes:,.0f} passes"


def _frontier(values: Sequence[tuple[float, float]], higher: bool) -> list[int]:
    """Indices of the runs that are better than every run of the same or a lower cost; `values` rise in cost."""
    indices: list[int] = []
    order = sorted(range(len(values)), key=lambda index: (values[index][0], -values[index][1] * (1 if higher else -1)))
    for index in order:
        quality = values[index][1]
        if not indices or (quality > values[indices[-1]][1] if higher else quality < values[indices[-1]][1]):
            indices.append(index)
    return indices


def _apart(
    places: Sequence[tuple[float, float]], bars: Sequence[tuple[float, float]], passes: Sequence[float]
) -> list[tuple[float, float]]:
    """Runs of about equal cost whose intervals would cover each other stand side by side, a few pixels apart."""
    shifted = list(places)
    order = sorted(range(len(places)), key=lambda index: (round(places[index][0] / BAR_ROOM), bars[index][1]))
    group: list[int] = []
    for index in [*order, None]:
        if group and index is not None:
            near = abs(places[index][0] - places[group[-1]][0]) < BAR_ROOM
            if near and bars[index][1] <= max(bars[member][0] for member in group):
                group.append(index)
                continue
        for rank, member in enumerate(group):
            gap = 2 * BAR_ROOM if passes[member] == 0 else BAR_ROOM  # without a pass there is no scale to falsify
            shifted[member] = (places[member][0] + (rank - (len(group) - 1) / 2) * gap, places[member][1])
        group = [] if index is None else [index]
    return shifted


# ---- axes ----


class _Horizontal:
    """Logarithmic in whole decades, with a place of its own for zero."""

    def __init__(self, values: Sequence[float]) -> None:
        positive = [max(value, 1.0) for value in values if value > 0]
        self.zero = len(positive) < len(values)
        self.left = FIRST if self.zero else LEFT + 20
        self.first = math.floor(math.log10(min(positive, default=1.0)))
        self.last = max(math.ceil(math.log10(max(positive, default=10.0))), self.first + 1)

    def at(self, value: float) -> float:
        if value <= 0:
            return ZERO
        share = (math.log10(max(value, 1.0)) - self.first) / (self.last - self.first)
        return self.left + share * (RIGHT - 24 - self.left)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        decades = [(self.at(10.0**power), f"{10**power:,}") for power in range(self.first, self.last + 1)]
        return tuple(([(float(ZERO), "0")] if self.zero else []) + decades)


class _Vertical:
    """Linear, over all intervals, from one round number to another."""

    def __init__(self, figures: Sequence[Figure]) -> None:
        low, high = min(figure.low for figure in figures), max(figure.high for figure in figures)
        spread = max(high - low, 0.01)
        rough = spread / 5
        scale = 10.0 ** math.floor(math.log10(rough))
        self.step = scale * next(factor for factor in (1, 2, 5, 10) if factor * scale >= rough)
        self.first = math.floor(low / self.step)
        self.last = max(math.ceil(high / self.step), self.first + 1)

    def at(self, value: float) -> float:
        share = (value / self.step - self.first) / (self.last - self.first)
        return BOTTOM - share * (BOTTOM - TOP)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        digits = max(0, -math.floor(math.log10(self.step)))
        steps = range(self.first, self.last + 1)
        return tuple((self.at(index * self.step), f"{index * self.step:.{digits}f}") for index in steps)


# ---- names ----


def _place_names(
    runs: Sequence[str], places: Sequence[tuple[float, float]], bars: Sequence[tuple[float, float]]
) -> list[Name | None]:
    """For each point the nearest free place around it: names cover neither points, intervals nor each other."""
    taken: list[Box] = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in places]
    taken += [(x - 3, high, x + 3, low) for (x, _), (low, high) in zip(places, bars, strict=True)]
    names: list[Name | None] = []
    for run, (x, y) in zip(runs, places, strict=True):
        width = CHARACTER * len(run)
        for name, box, leader in _candidates(x, y, width):
            inside = box[0] > LEFT and box[2] < WIDTH and box[1] > TOP - 8 and box[3] < BOTTOM
            # Lines may cross points and intervals, which come first, but neither names nor other lines.
            free = not _crosses([box], taken) and not _crosses(leader, taken[2 * len(places) :])
            if inside and free:
                taken += [box, *leader]
                names.append(name)
                break
        else:
            names.append(None)
    return names


def _candidates(x: float, y: float, width: float) -> Iterator[tuple[Name, Box, list[Box]]]:
    """Places for a name from near to far: its text, what that covers, and what the line to the point covers."""
    for distance in NAME_DISTANCES:
        for degrees in NAME_DEGREES:
            dx, dy = distance * math.cos(math.radians(degrees)), distance * math.sin(math.radians(degrees))
            end, middle = dx < 0, y + dy
            left = x + dx - width if end else x + dx
            leader = ""
            steps: list[Box] = []
            if distance >= LEADER_FROM:
                leader = f"M{x:.1f} {y:.1f}L{x + dx * 0.94:.1f} {y + dy * 0.94:.1f}"
                for share in (step / 12 for step in range(2, 11)):
                    steps.append((x + dx * share - 1, y + dy * share - 1, x + dx * share + 1, y + dy * share + 1))
            box = (left - 2, middle - LINE / 2, left + width + 2, middle + LINE / 2)
            yield Name(x + dx, middle + 4, "end" if end else "start", leader), box, steps


def _crosses(boxes: Sequence[Box], taken: Sequence[Box]) -> bool:
    return any(_overlap(box, other) for box in boxes for other in taken)


def _overlap(first: Box, second: Box) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
