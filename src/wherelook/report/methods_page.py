"""The page of `wherelook evaluate`.

The page is one HTML file without script that needs no network. How untrusted text gets onto it is in `wherelook.html`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wherelook import html
from wherelook.analysis.method_table import NO_RUN, RunSummary, missing, ranked, sorted_by, summarize
from wherelook.evaluation.rows import Row, mask_of
from wherelook.explanation import picture
from wherelook.explanation.drawing import inline
from wherelook.report.gallery import PACKAGE, STYLES, data_uri, small
from wherelook.report.method_tables import method_tables, notes
from wherelook.report.plots import PLOTS, method_figures
from wherelook.report.table import Column, Table

GALLERY = 12  # samples at most
PICTURE_SIDE = 184  # pixels of the longer side of a picture
REASONS = 30  # lines at most of what has no map

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
        rows: the plain rows of a run.
        runs: names of the runs to compare.
        title: what was evaluated.
        command: the command line that makes it again.
        gallery: samples to show under all runs; no more than the first 12 are.
        summaries: of `summarize(rows, runs)`, if they exist already: the tests take a while.
    """
    table = ranked(summarize(rows, runs) if summaries is None else summaries)
    return html.render(
        PACKAGE,
        "methods_page.html",
        STYLES,
        title=title,
        command=command,
        common=table[0].common if table else 0,
        questions=len({row["sample"] for row in rows}),
        sorted_by=sorted_by(table),
        runs=table,
        tables=method_tables(table),
        how_to_read=notes(table),
        plots=[inline(figure, PLOTS[name], name) for name, figure in method_figures(table).items()],
        missing=_missing(rows, runs),
        gallery=_gallery(rows, [summary.run for summary in table], gallery),
    )


def _missing(rows: Sequence[Row], runs: Sequence[str]) -> Table:
    columns = (
        Column("answers", "Answers", "count"),
        Column("run", "Run"),
        Column("status", "Status"),
        Column("reason", "Reason"),
    )
    lines = (
        {"answers": count, "run": "no run was tried" if run == NO_RUN else run, "status": status, "reason": reason}
        for run, status, reason, count in missing(rows, runs)[:REASONS]
    )
    return Table("missing", "Answers without a map, most frequent reason first.", columns, tuple(lines))


# ---- pictures ----


def _gallery(rows: Sequence[Row], runs: Sequence[str], samples: Iterable[GallerySample]) -> list[dict[str, Any]]:
    found = {(row["sample"], row["run"]): row for row in rows}
    shown = []
    for (sample, question, answer, pixels), _ in zip(samples, range(GALLERY), strict=False):
        shrunk = small(pixels, PICTURE_SIDE)
        shown.append(
            {
                "sample": sample,
                "question": question,
                "answer": answer,
                "image": data_uri(Image.fromarray(shrunk)),
                "height": shrunk.shape[0],
                "width": shrunk.shape[1],
                "pictures": [_picture(run, found.get((sample, run)), shrunk) for run in runs],
            }
        )
    return shown


def _picture(run: str, row: Row | None, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """One map: its picture, or in place of one why there is none."""
    if row is None:
        return {"run": run, "uri": "", "status": "not run", "reason": "", "pointing": None}
    if row["status"] != "ok":
        reason = row.get("error") or row.get("reason") or ""
        return {"run": run, "uri": "", "status": row["status"], "reason": reason, "pointing": None}
    signs = (("insertion", "↑"), ("deletion", "↓"))
    figures = [f"{sign} {row[name]:.2f}" for name, sign in signs if row.get(name) is not None]
    uri = data_uri(picture.overlay(pixels, mask_of(row)))
    return {"run": run, "uri": uri, "pointing": row.get("pointing"), "figures": " ".join(figures)}
