"""`Explanation`: what one explanation found, what it cost, and how to write it down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image

from wherelook.canvas import Canvas
from wherelook.data.images import ImageSource
from wherelook.errors import InputError
from wherelook.explanation import files, page, picture
from wherelook.score import Status, Token

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA_VERSION = 2

DRAWN_SCALE = 8
"""How much finer than its cells the map of several images is drawn: colors run over a border by less than a cell."""


@dataclass(frozen=True)
class Focus:
    """Where the map points, in pixels of the input image.

    Attributes:
        box: (x0, y0, x1, y1) around the cells of at least half the maximum that touch the peak.
        peak: (x, y), the middle of the most salient plateau.
    """

    box: tuple[int, int, int, int]
    peak: tuple[float, float]


@dataclass(frozen=True)
class TokenMap:
    """The map of one selected token: its position in the answer and its saliency, as `Explanation.heatmap`."""

    position: int
    heatmap: Float[np.ndarray, "rows columns"] = field(repr=False)


@dataclass(frozen=True)
class ImagePart:
    """What an explanation says of one image of its prompt.

    Attributes:
        path: of its file; None for an image that was given as an object.
        sha256: of the file, or of the pixels where there is none.
        frame: which frame of the file, from 1; None for an image that was given by itself.
        pixels: (height, width, 3) uint8.
        heatmap: this image's part of the map, (rows, columns) float32 in [0, 1]; all images share one scale.
        focus: where this part points, in pixels of this image; None where it is zero.
        share: of the answer's score gap that rests on this image (Shapley value); the shares of all images add up to
            1. None where the answer is not visually grounded.
        lost: share of the gap that is lost when only this image is taken away.
        restored: share that comes back when only this image is shown.
        missing: whether the image was not there when the explanation was loaded: `pixels` are then gray.
    """

    path: str | None
    frame: int | None
    sha256: str
    pixels: NDArray[np.uint8] = field(repr=False)
    heatmap: Float[np.ndarray, "rows columns"] = field(repr=False)
    focus: Focus | None
    share: float | None
    lost: float | None
    restored: float | None
    missing: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Its entry of `images` in explanation.json."""
        height, width = self.pixels.shape[:2]
        return {
            "path": self.path,
            "frame": self.frame,
            "width": width,
            "height": height,
            "sha256": self.sha256,
            "share": self.share,
            "lost": self.lost,
            "restored": self.restored,
            "largest_saliency": float(self.heatmap.max()),
            "focus": None if self.focus is None else asdict(self.focus),
        }


@dataclass(frozen=True)
class Curve:
    """A map replayed with one baseline: areas are in `Explanation.metrics`, points here.

    Attributes:
        baseline: its name.
        seen: whether the optimizer worked with this baseline.
        fractions, deletion, insertion: shares of the area and scores, each of steps + 1 numbers in [0, 1].
    """

    baseline: str
    seen: bool
    fractions: tuple[float, ...]
    deletion: tuple[float, ...]
    insertion: tuple[float, ...]

    @property
    def deletion_floor(self) -> float:
        """The deletion of a map whose first step takes the score to the baseline's: s_B + (s_I - s_B) * step / 2.

        A first step is a trapezoid however good the map is, so no curve of few steps can be near zero. One that falls
        below the baseline's own score can have less.
        """
        image, bare = self.deletion[0], self.deletion[-1]
        return bare + (image - bare) * (self.fractions[1] - self.fractions[0]) / 2

    @property
    def insertion_ceiling(self) -> float:
        """The insertion of a map whose first step brings the image's score back: s_I - (s_I - s_B) * step / 2."""
        bare, image = self.insertion[0], self.insertion[-1]
        return image - (image - bare) * (self.fractions[1] - self.fractions[0]) / 2

    def to_dict(self) -> dict[str, Any]:
        """Its entry of `curves` in explanation.json."""
        perfect = {"deletion_floor": self.deletion_floor, "insertion_ceiling": self.insertion_ceiling}
        return asdict(self) | perfect


@dataclass(frozen=True)
class Explanation:
    """Where a model looked when it gave one answer.

    Attributes:
        status: "ok", "not_visual" (no word of the answer is visually grounded) or "weak_gap" (the selected words lose
            too little likelihood without the image). In the last two the heatmap is all zeros and means nothing, unless
            `method` names a `fallback`: a weak gap may hide that occluding one place costs more than losing all.
        reason: one sentence for the status.
        tokens: every token of the answer with its likelihood ratio.
        reliance: see `wherelook.tokens.Reliance`, as a mapping.
        metrics: figures by name (`wherelook metrics` explains them); None where a figure is guarded.
        curves: the replays behind them.
        token_maps: a map for each selected token, if asked for.
        images: each image of the prompt with its part of the map. All that speaks of "the image" means their canvas:
            the images scaled to one height, side by side; one image is a canvas of one.
        config: everything that was chosen, see `wherelook.config.ExplainConfig.record`.
        method: what came of the choice: the method's parameters, the baseline that was taken, a fallback, its cost.
        model, cost, versions: as in `explanation.json`.
        notes: what else a reader should know, such as warnings.
        execution: device, batch size and the like: with the same ones a repetition gets the same digits.
        reasoning: the thought of a thinking model, after which its answer was explained; it is no part of the answer.
            "" for an empty one, None where there is none.
        prompt: the text that the model read, as its chat template or the user's wrote it, with its image placeholders.
    """

    status: Status
    reason: str
    model: Mapping[str, Any]
    images: tuple[ImagePart, ...]
    question: str
    answer: str
    tokens: tuple[Token, ...]
    reliance: Mapping[str, Any]
    config: Mapping[str, Any]
    method: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    cost: Mapping[str, Any]
    versions: Mapping[str, str]
    curves: tuple[Curve, ...] = ()
    token_maps: tuple[TokenMap, ...] = ()
    notes: tuple[str, ...] = ()
    prompt: str = ""
    reasoning: str | None = None
    execution: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        question, answer = (shorten(text, 60, placeholder="...") for text in (self.question, self.answer))
        explained = f"{sum(token.selected for token in self.tokens)} of {len(self.tokens)} tokens explained"
        lacks = ", image missing" if self.missing else ""
        return f"<Explanation {self.status}: {question!r} -> {answer!r}, {explained}{lacks}>"

    @classmethod
    def load(cls, folder: str | Path, images: ImageSource | Sequence[ImageSource] | None = None) -> Explanation:
        """Reads what `save` wrote: all of it, with the same values.

        The pixels are no file of an explanation. An image is looked for where its path says, beside the explanation,
        and a folder up, and is taken if its SHA-256 is the recorded one. One that is not found is gray, `missing` says
        so, and `save` refuses; all else works. The files may come from a stranger: nothing in them is executed.

        Args:
            folder: that was saved to.
            images: the image or images, where they were no files, or lie somewhere else now.

        Raises:
            InputError: there is no explanation, one of its files is missing, damaged or was changed, its
                schema_version is another, or `images` are not those that were explained.

        Example:
            >>> import wherelook
            >>> wherelook.Explanation.load("nowhere")
            Traceback (most recent call last):
            wherelook.errors.InputError: there is no file nowhere/explanation.json
        """
        from wherelook.explanation.load import load

        return load(Path(folder), images)

    @property
    def missing(self) -> str:
        """Which images of a loaded explanation were not found, in one sentence; "" where all are there."""
        names = [image.path or f"{index} (no file)" for index, image in enumerate(self.images, 1) if image.missing]
        if not names:
            return ""
        return f"image {', '.join(names)} is not there and shown in gray: give it to Explanation.load(folder, images)"

    @cached_property
    def canvas(self) -> Canvas:
        """How the images lie side by side."""
        return Canvas(tuple((image.pixels.shape[0], image.pixels.shape[1]) for image in self.images))

    @cached_property
    def pixels(self) -> UInt8[np.ndarray, "height width 3"]:
        """The canvas: the image, or several side by side."""
        if len(self.images) == 1:
            return self.images[0].pixels
        return self.canvas.paste([Image.fromarray(image.pixels) for image in self.images])

    @cached_property
    def heatmap(self) -> Float[np.ndarray, "rows columns"]:
        """Saliency in [0, 1], float32, 1 = most salient, over the canvas. Its resolution is the mask's, not the
        image's.
        """
        return np.concatenate(self.heatmaps, axis=1)

    @property
    def heatmaps(self) -> list[Float[np.ndarray, "_ _"]]:
        """A heatmap for each image of the prompt, all on one scale."""
        return [image.heatmap for image in self.images]

    @property
    def focus(self) -> Focus | None:
        """Where the map points, in pixels of the canvas: the focus of the image that holds the largest value. None
        where the map is zero, as it is unless it is `meaningful`.
        """
        index = max(range(len(self.images)), key=lambda index: self.images[index].heatmap.max())
        focus, (height, width), place = self.images[index].focus, self.canvas.sizes[index], self.canvas.places[index]
        if focus is None:
            return None
        across, down = (place.stop - place.start) / width, self.canvas.size[0] / height
        x0, y0, x1, y1 = focus.box
        right, bottom = math.ceil(x1 * across), math.ceil(y1 * down)
        return Focus(
            (place.start + int(x0 * across), int(y0 * down), place.start + right, bottom),
            (place.start + focus.peak[0] * across, focus.peak[1] * down),
        )

    def drawn(self, heatmap: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "_ _"]:
        """A map of this explanation as pictures show it: of several images each is enlarged by itself."""
        if len(self.images) == 1:
            return heatmap
        rows, columns = heatmap.shape
        size = (rows * DRAWN_SCALE, columns * DRAWN_SCALE)
        return self.canvas.resize(torch.from_numpy(heatmap), size, mode="bilinear", align_corners=False).numpy()

    @property
    def meaningful(self) -> bool:
        """Whether the heatmap says something: the status is "ok", or a complementary method found what it did not."""
        return self.status == "ok" or bool(self.method.get("fallback"))

    def overlay(self, *, opacity: float = 0.65) -> Image.Image:
        """The heatmap over the input image, at the image's size; marked where it is not meaningful."""
        return picture.overlay(self.pixels, self.drawn(self.heatmap), opacity=opacity, meaningful=self.meaningful)

    def heatmap_image(self) -> Image.Image:
        """The heatmap alone in false colors, at the image's size; marked as `overlay`."""
        return picture.heatmap(self.drawn(self.heatmap), self.pixels.shape[:2], meaningful=self.meaningful)

    @overload
    def plot(self, ax: Axes | None = None, *, opacity: float = 0.65) -> Axes: ...

    @overload
    def plot(self, ax: Sequence[Axes], *, opacity: float = 0.65) -> Sequence[Axes]: ...

    def plot(self, ax: Axes | Sequence[Axes] | None = None, *, opacity: float = 0.65) -> Axes | Sequence[Axes]:
        """Draws the image, the heatmap over it, and question and answer as the title, by matplotlib.

        Args:
            ax: where to. Of several images one Axes shows the canvas, and a sequence of Axes, one for each image, each
                of them. None makes a Figure of its own, which pyplot does not know: `e.plot().figure.savefig(...)`.
            opacity: of the heatmap, as in `overlay`.

        Returns:
            `ax`, or the Axes that was made. Its last image is the heatmap in [0, 1], as `Figure.colorbar` takes it.

        Raises:
            InputError: not as many Axes as images.
        """
        from wherelook.explanation.plot import draw

        return draw(self, ax, opacity)

    def to_dict(self) -> dict[str, Any]:
        """The content of `explanation.json`: plain types; a number that is not finite is None."""
        tokens = [asdict(token) for token in self.tokens]
        record = {
            "schema_version": SCHEMA_VERSION,
            "status": self.status,
            "reason": self.reason,
            "model": dict(self.model),
            "images": [image.to_dict() for image in self.images],
            "question": self.question,
            "prompt": self.prompt,
            "reasoning": self.reasoning,
            "answer": self.answer,
            "tokens": tokens,
            "reliance": dict(self.reliance),
            "config": dict(self.config),
            "method": dict(self.method),
            "focus": None if self.focus is None else asdict(self.focus),
            "metrics": dict(self.metrics),
            "curves": [curve.to_dict() for curve in self.curves],
            "token_maps": [token_map.position for token_map in self.token_maps],
            "cost": dict(self.cost),
            "execution": dict(self.execution),
            "versions": dict(self.versions),
            "notes": list(self.notes),
        }
        result: dict[str, Any] = _plain(record)
        return result

    def save(self, folder: str | Path) -> Path:
        """Writes explanation.json, mask.npy, heatmap.png, overlay.png, report.html, and token_masks.npy (selected
        tokens, rows, columns) if there are token maps. Of several images mask.npy and the pictures show the canvas, and
        there are mask-1.npy, heatmap-1.png, overlay-1.png and so on for each. Returns the folder.

        They are all there or none is: `explanation.json` is written last, and lists the others with their SHA-256 in
        `files`. By this list an earlier explanation in the folder is known, and replaced when the new one is whole.

        Raises:
            InputError: an image is `missing`; the folder cannot be made, or holds files of these names that no
                explanation wrote, or that were changed since.
            WherelookError: the disk refuses; an earlier explanation is as it was, or will be once the disk allows it.
        """
        folder = Path(folder)
        if self.missing:
            raise InputError(f"no overlay can be drawn to save: {self.missing}")
        files.save(self, folder)
        return folder

    def to_html(self) -> str:
        """The self-contained page of this explanation."""
        return page.render(self)

    def _repr_html_(self) -> str:
        """In a notebook: the overlay, the answer and the status."""
        return page.render_card(self)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
