"""The page of one explanation: one HTML file that needs no network and runs nothing but its own few lines of script.

How untrusted text gets onto it is in `wherelook.html`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from wherelook import html
from wherelook.explanation import command_line, grounding, picture, shading
from wherelook.explanation.curves import plot_curves
from wherelook.explanation.drawing import inline
from wherelook.explanation.figures import NOTHING, number, percent
from wherelook.metrics import METRICS, Metric

if TYPE_CHECKING:
    from wherelook.explanation.record import Explanation, ImagePart
    from wherelook.score import Token

PACKAGE = "wherelook.explanation"  # where the templates are
STYLES = ((PACKAGE, "figures.css"), (PACKAGE, "page.css"))
LONGEST_SIDE = 1024  # pixels of the image in the page
CARD_SIDE = 448  # pixels of the image in a notebook
PNG_BYTES = 300_000  # larger pictures become JPEG
LAYER_SIDE = 512  # pixels of a map in the page
MAPS_AT_FULL_SIDE = 12  # more maps become smaller, to keep the file under about 2 MB
DEFAULT_OPACITY = 65  # percent

TIMES = " \N{MULTIPLICATION SIGN} "


def render(explanation: Explanation) -> str:
    """The page: banner, image with its map, shaded answer, curves, figures, cost, settings, how to reproduce.

    The same explanation gives the same text. Pictures are scaled down to 1,024 pixels and inlined.
    """
    height, width = explanation.pixels.shape[:2]
    return html.render(
        PACKAGE,
        "page.html",
        STYLES,
        "page.js",
        e=explanation,
        headline=grounding.headline(explanation),
        width=width,
        height=height,
        image=_data_uri(_shrink(explanation.pixels, LONGEST_SIDE)),
        cover=_cover(explanation),
        contour=_contour_path(explanation.drawn(explanation.heatmap), (height, width))
        if explanation.meaningful
        else "",
        images=_images(explanation),
        mark=max(height, width) / 45,
        tokens=_tokens(explanation),
        legend=shading.legend(),
        ramp=picture.COLOR_ANCHORS,
        opacity=DEFAULT_OPACITY if explanation.meaningful else 100,
        reliance=grounding.reliance(explanation),
        charts=[
            inline(figure, f"{name.capitalize()} of the score", name)
            for name, figure in plot_curves(explanation.curves, explanation.metrics).items()
        ],
        steps=len(explanation.curves[0].fractions) - 1 if explanation.curves else 0,
        metrics=_metrics(explanation),
        facts=_facts(explanation),
        command=command_line.words(explanation),
    )


def render_card(explanation: Explanation) -> str:
    """The small form for a notebook: status, question, answer, and the overlay. A fragment without script."""
    pixels = _shrink(explanation.pixels, CARD_SIDE)
    shown = picture.overlay(pixels, explanation.drawn(explanation.heatmap), meaningful=explanation.meaningful)
    return html.environment(PACKAGE).get_template("card.html").render(
        e=explanation, headline=grounding.headline(explanation), overlay=_data_uri(np.asarray(shown)),
        tokens=_tokens(explanation),
    )  # fmt: skip


# ---- pictures ----


def _shrink(pixels: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _data_uri(shown: NDArray[np.uint8] | Image.Image) -> Markup:
    image = Image.fromarray(shown) if isinstance(shown, np.ndarray) else shown
    buffer, kind = io.BytesIO(), "png"
    image.save(buffer, "PNG")
    if buffer.tell() > PNG_BYTES and image.mode == "RGB":
        buffer, kind = io.BytesIO(), "jpeg"
        image.save(buffer, "JPEG", quality=88)
    return html.data_uri(buffer.getvalue(), kind)


def _cover(explanation: Explanation) -> Markup:
    """What lies over the image: the map's colors, or the picture that says that there is no map."""
    if explanation.meaningful:
        return _layer_uri(explanation.drawn(explanation.heatmap), explanation.pixels.shape[:2], 1)
    pixels = _shrink(explanation.pixels, LONGEST_SIDE)
    scale = max(1, LONGEST_SIDE // max(pixels.shape[:2]))  # room for a crisp label on small images
    pixels = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    return _data_uri(picture.overlay(pixels, explanation.heatmap, meaningful=False))


def _layer_uri(saliency: NDArray[np.float32], size: tuple[int, int], count: int) -> Markup:
    height, width = size
    scale = LAYER_SIDE * min(1.0, MAPS_AT_FULL_SIDE / count) / max(height, width)
    return _data_uri(picture.layer(saliency, (max(1, round(height * scale)), max(1, round(width * scale)))))


def _contour_path(saliency: NDArray[np.float32], size: tuple[int, int]) -> str:
    """The outline of the region of at least half the maximum, as an SVG path in pixels of the image."""
    largest = float(saliency.max())
    if largest <= 0:
        return ""
    height, width = size
    return "".join(
        f"M{x0 * width:.4g} {y0 * height:.4g}L{x1 * width:.4g} {y1 * height:.4g}"
        for (x0, y0), (x1, y1) in picture.contour(saliency, picture.OUTLINE_LEVEL * largest)
    )


# ---- what the template shows ----


def _images(explanation: Explanation) -> list[dict[str, Any]]:
    """Of several images each with its part of the map, and what rests on it."""
    if len(explanation.images) == 1:
        return []
    return [
        {
            "title": f"Image {index} of {len(explanation.images)}",
            "name": _image_name(image),
            "overlay": _data_uri(
                picture.overlay(_shrink(image.pixels, CARD_SIDE), image.heatmap, meaningful=explanation.meaningful)
            ),
            "figures": []
            if image.share is None
            else [
                ("Share of the loss", percent(image.share)),
                ("Lost without it alone", percent(image.lost)),
                ("Restored by it alone", percent(image.restored)),
            ],
            "focus": image.focus,
        }
        for index, image in enumerate(explanation.images, start=1)
    ]


def _image_name(image: ImagePart) -> str:
    frame = "" if image.frame is None else f", frame {image.frame}"
    return f"{image.path or '(given as an object)'}{frame}"


def _tokens(explanation: Explanation) -> list[dict[str, Any]]:
    maps = {token_map.position: explanation.drawn(token_map.heatmap) for token_map in explanation.token_maps}
    size = explanation.pixels.shape[:2]
    return [
        {
            **shading.label(token.text),
            "breaks": token.text.count("\n"),
            "shade": shading.shade(token.llr),
            "selected": token.selected,
            "detail": _detail(token),
            "layer": _layer_uri(maps[index], size, len(maps)) if index in maps else "",
            "contour": _contour_path(maps[index], size) if index in maps else "",
        }
        for index, token in enumerate(explanation.tokens)
    ]


def _detail(token: Token) -> str:
    text = shading.label(token.text)["label"] if token.text else "(no character of its own)"
    return (
        f"“{text}”: log-probability with the image {number(token.log_prob)}, with the baseline "
        f"{number(token.log_prob_baseline)}; ratio {number(token.llr, sign=True)} nats"
        + ("; explained" if token.selected else "")
        + ("; the baseline image makes the model prefer another token" if token.flips else "")
    )


def _metrics(explanation: Explanation) -> dict[str, Any]:
    """Rows of figures; the columns are the two baselines, or one for figures without a baseline."""
    values = explanation.metrics
    names = [name for name in values if not (name.endswith("_unseen") and name.removesuffix("_unseen") in values)]
    rows = []
    for name in names:
        metric = METRICS.get(name) or Metric(summary="", label=name)
        keys = [name, f"{name}_unseen"] if f"{name}_unseen" in values else [name]
        cells = [number(values[key], 3) if values[key] is not None else _absent(key) for key in keys]
        better = "" if metric.better == "neither" else metric.better
        rows.append({"label": metric.label or name, "better": better, "meaning": metric.summary, "cells": cells})
    baselines = [(curve.baseline, "seen" if curve.seen else "unseen") for curve in explanation.curves]
    return {
        "rows": rows,
        "baselines": baselines,
        "columns": max((len(row["cells"]) for row in rows), default=1),
    }


def _absent(name: str) -> str:
    return "guarded (gap too small)" if "normalized" in name else "undefined"


def _facts(explanation: Explanation) -> list[tuple[str, list[tuple[str, str]]]]:
    """The small tables at the end: title, and rows of name and value."""
    cost, method, several = explanation.cost, {**explanation.config, **explanation.method}, len(explanation.images) > 1
    parameters, objective = method.pop("parameters", None) or {}, method.pop("objective", None) or []
    method.pop("before_answer", None)  # the thought is shown where the answer is
    settings = [(str(key).replace("_", " "), _plain(value)) for key, value in method.items()]
    if objective:
        settings.append(
            ("objective", f"{number(objective[0])} → {number(objective[-1])} ({len(objective)} iterations)")
        )
    return [
        ("Cost", [
            ("forward passes", _plain(cost.get("forward"))),
            ("backward passes", _plain(cost.get("backward"))),
            ("time", f"{number(cost.get('seconds'), 1)} s"),
            ("peak memory", _bytes(cost.get("peak_bytes"))),
        ]),
        ("Model", [(str(key), _plain(value)) for key, value in explanation.model.items()]),
        *((f"Image {index}" if several else "Image", [
            ("path", _image_name(part)),
            ("size", f"{part.pixels.shape[1]}{TIMES}{part.pixels.shape[0]} pixels"),
            ("sha256", part.sha256),
        ]) for index, part in enumerate(explanation.images, start=1)),
        ("Method", settings),
        ("Constants", [(str(key), _plain(value)) for key, value in parameters.items()]),
        ("Versions", [(str(key), _plain(value)) for key, value in explanation.versions.items()]),
    ]  # fmt: skip


def _plain(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items()) or NOTHING
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_plain, value)) or NOTHING
    return str(value)


def _bytes(count: float | None) -> str:
    if not count:
        return NOTHING
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
