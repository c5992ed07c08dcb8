"""The page of `wherelook evaluate`.

The page is one HTML file without script that needs no network. How untrusted text gets onto it is in `wherelook.html`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from wherelook import html
from wherelook.analysis.method_table import (
    FAILS,
    GROUPS,
    HOW_TO_READ,
    Figure,
    RunSummary,
    cost_cells,
    interval_text,
    map_cells,
    metric_of,
    missing,
    number,
    passes_text,
    ranked,
    sorted_by,
    summarize,
    too_few,
)
from wherelook.evaluation.evaluate import NO_RUN
from wherelook.evaluation.rows import Row, mask_of
from wherelook.explanation import picture
from wherelook.report import cost_plot

PACKAGE = "wherelook.report"  # where the template is
GALLERY = 12  # samples at most
PICTURE_SIDE = 184  # pixels of the longer side of a picture
JPEG_QUALITY = 80
REASONS = 30  # lines at most of what has no map

LABELS: Mapping[str, str] = {
    "pointing": "pointing",
    "energy": "energy",
    "roc_area": "ROC area",
    "human_pointing": "pointing",
    "human_energy": "energy",
    "human_correlation": "correlation",
    "flip": "flip",
    "keep": "keep",
    "sufficient_area": "sufficient",
    "compactness": "compact",
    "stability_seed": "seed",
    "stability_noise": "noise",
    "stability_paraphrase": "paraphrase",
}
"""Short names under the heading of their group; those of a replay are deletion and insertion."""

GallerySample = tuple[str, str, str, NDArray[np.uint8]]
"""(sample id, question, answer, (height, width, 3) RGB pixels)."""


def render(
    rows: Sequence[Row],
    runs: Sequence[str],
    *,
    title: str,
    command: str,
    gallery: Iterable[GallerySample],
    summaries: Sequence[RunSummary] | None = None,
) -> str:
    """The page: the table, how to read it, cost against quality, what has no map, and pictures side by side.

    Args:
        rows: of `wherelook.evaluation.evaluate.evaluate`.
        runs: names of the runs to compare.
        title: what was evaluated.
        command: the command line that makes it again.
        gallery: samples to show under all runs; no more than the first 12 are.
        summaries: of `summarize(rows, runs)`, if they exist already: the tests take a while.
    """
    table = ranked(summarize(rows, runs) if summaries is None else summaries)
    measures = list(table[0].figures) if table else []
    style = html.asset(PACKAGE, "evaluation.css")
    return (
        html.environment(PACKAGE)
        .get_template("evaluation.html")
        .render(
            title=title,
            command=command,
            style=style,
            style_hash=html.policy_hash(style),
            common=table[0].common if table else 0,
            questions=len({row["sample"] for row in rows}),
            sorted_by=sorted_by(table),
            groups=_groups(measures),
            columns=[_column(name, table) for name in measures],
            table=[_line(summary, measures) for summary in table],
            how_to_read=[*filter(None, [too_few(table)]), *HOW_TO_READ],
            plots=[plot for name in ("insertion", "deletion") if (plot := cost_plot.plot(table, name)) is not None],
            frame=cost_plot,
            missing=missing(rows, runs)[:REASONS],
            no_run=NO_RUN,
            gallery=_gallery(rows, [summary.run for summary in table], gallery),
        )
    )


# ---- table ----


def _groups(measures: Sequence[str]) -> list[tuple[str, int]]:
    """Headings over the columns, and how many columns each has."""
    widths = [(group, sum(name in measures for name in names)) for group, names in GROUPS.items()]
    return [(group, width) for group, width in widths if width]


def _column(name: str, table: Sequence[RunSummary]) -> dict[str, Any]:
    metric = metric_of(name)
    return {
        "label": LABELS.get(name, name.split("_", maxsplit=1)[0]),
        "better": metric.better,
        "meaning": f"{metric.summary}; {metric.better} is better; {metric.values}",
        "n": next(figure.n for summary in table if (figure := summary.figures[name]) is not None),
    }


def _line(summary: RunSummary, measures: Sequence[str]) -> dict[str, Any]:
    maps, without = map_cells(summary)
    return {
        "run": summary.run,
        "cells": [_cell(summary.figures[name]) for name in measures],
        "passes": passes_text(summary.passes),
        "cost": cost_cells(summary),
        "maps": maps,
        "without": without,
        "sanity": summary.sanity,
        "fails": summary.sanity == FAILS,
    }


def _cell(figure: Figure | None) -> dict[str, str] | None:
    if figure is None:
        return None
    floor = figure.p is not None and figure.p <= figure.least_p * (1 + 1e-9)
    against = "" if figure.p is None else f", p {'≤' if floor else '='} {figure.p:.2g} against the best"
    return {
        "mean": number(figure.mean),
        "interval": interval_text(figure).replace("0.", "."),  # many columns: every letter counts
        "mark": "best" if figure.best else "tied" if figure.tied else "",
        "detail": f"95 % interval {interval_text(figure)}{against}",
    }


# ---- pictures ----


@dataclass(frozen=True)
class _Picture:
    """One map of a gallery: its picture, or in place of one why there is none."""

    run: str
    uri: str
    status: str
    reason: str
    pointing: float | None
    figures: str


def _gallery(rows: Sequence[Row], runs: Sequence[str], samples: Iterable[GallerySample]) -> list[dict[str, Any]]:
    found = {(row["sample"], row["run"]): row for row in rows}
    shown = []
    for (sample, question, answer, pixels), _ in zip(samples, range(GALLERY), strict=False):
        small = _small(pixels)
        shown.append(
            {
                "sample": sample,
                "question": question,
                "answer": answer,
                "image": _data_uri(Image.fromarray(small)),
                "height": small.shape[0],
                "width": small.shape[1],
                "pictures": [_picture(run, found.get((sample, run)), small) for run in runs],
            }
        )
    return shown


def _picture(run: str, row: Row | None, pixels: NDArray[np.uint8]) -> _Picture:
    if row is None:
        return _Picture(run, "", "not run", "", None, "")
    if row["status"] != "ok":
        return _Picture(run, "", row["status"], row.get("error") or row.get("reason") or "", None, "")
    shown = picture.overlay(pixels, mask_of(row))
    figures = [
        f"{sign} {row[name]:.2f}" for name, sign in (("insertion", "↑"), ("deletion", "↓")) if row.get(name) is not None
    ]
    return _Picture(run, _data_uri(shown), "ok", "", row.get("pointing"), " ".join(figures))


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image at the size of the gallery, smaller or larger."""
    height, width = pixels.shape[:2]
    scale = PICTURE_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _data_uri(image: Image.Image) -> Markup:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return html.data_uri(buffer.getvalue(), "jpeg")
