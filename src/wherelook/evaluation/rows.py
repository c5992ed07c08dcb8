"""Rows: what is known of a sample and of one explanation of it, as plain values under flat names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional

from wherelook.attribution import method_name
from wherelook.data.datasets import Sample
from wherelook.errors import InputError
from wherelook.evaluation.method_spec import MethodSpec
from wherelook.evaluation.people import human_measures
from wherelook.explanation import Explanation
from wherelook.metrics import METRICS, center_of_mass, measures

Row = dict[str, Any]

WRONG = "wrong_answer"
"""Status of a row without a map, where only right answers are explained."""

MEASURES = tuple(measures({name: metric for name, metric in METRICS.ours.items() if metric.level is not None}))
"""Columns of figures that every record has; see `wherelook metrics`. Those of other packages come after all others."""

MASK_SIDE = 56
"""Most rows, and most columns, of a stored map; a finer one is averaged."""

DROPPED_BITS = 9
"""Of the 24 of a stored cell: what is left tells cells apart that differ by 1 in 32,000, however small they are. Ranks,
by which maps are compared, need that of a map whose cells are mostly near 0."""


def sample_row(sample: Sample) -> Row:
    """What is known of a sample without its image."""
    return {
        "sample": sample.id,
        "kind": sample.kind,
        "group": sample.group,
        "question": sample.question,
        "choices": list(sample.choices),
        "reference": sample.reference,
        "references": list(sample.references),
        "flags": list(sample.flags),
        "fingerprint": sample.fingerprint,
        "error": None,
    }


def image_row(sample: Sample) -> Row:
    """What is known of its image.

    Raises:
        WherelookError: the image cannot be read.
    """
    height, width = sample.image.size
    return {"image_width": width, "image_height": height, "image_sha256": sample.image.sha256}


def evidence_row(sample: Sample) -> Row:
    """What is known of the evidence in its image, and of where people looked.

    Raises:
        WherelookError: it lies nowhere in the image, or the file of a mask or of people's attention cannot be read.
    """
    return {"evidence_share": None if sample.truth is None else float(sample.truth.mean())} | human_measures(sample)


def called(description: Mapping[str, Any]) -> str:
    """How rows call a model: by its id, and where an address is its id by its name there too."""
    name = description.get("name")
    return description["id"] if name is None else f"{name} at {description['id']}"


def model_row(description: Mapping[str, Any]) -> Row:
    """Columns from what a model says of itself (`VisionLanguageModel.description`)."""
    return {
        "model": called(description),
        "revision": description["revision"],
        "model_class": description["class"],
        "dtype": description["dtype"],
    }


def method_row(run: MethodSpec, seed: int) -> Row:
    """What explains the answer."""
    return {"method": method_name(run.method), "preset": run.preset, "run": run.name, "seed": seed + run.seed}


def explanation_row(explanation: Explanation) -> Row:
    """Status, map, focus, measures and cost. Where a map means nothing there is none."""
    cost = explanation.method["cost"]
    row: Row = {
        "status": explanation.status,
        "reason": explanation.reason,
        "fallback": explanation.method["fallback"],
        "replay_steps": explanation.config["replay_steps"] if explanation.curves else None,
        "forward": cost["forward"],
        "backward": cost["backward"],
        "seconds": cost["seconds"],
        "peak_bytes": explanation.cost["peak_bytes"],
        **explanation.metrics,
    }
    if explanation.meaningful:
        row |= mask_row(explanation.heatmap)
    if explanation.status == "ok":
        center = center_of_mass(torch.from_numpy(explanation.heatmap), explanation.canvas.size)
        row |= dict(zip(("center_x", "center_y"), center or (None, None), strict=True))
    if explanation.focus is not None:
        row |= dict(zip(("focus_x0", "focus_y0", "focus_x1", "focus_y1"), explanation.focus.box, strict=True))
        row |= dict(zip(("peak_x", "peak_y"), explanation.focus.peak, strict=True))
    return row


def mask_row(heatmap: Float[np.ndarray, "rows columns"]) -> Row:
    """Columns of a map."""
    mask = stored_mask(heatmap)
    return {"mask": mask.flatten().tolist(), "mask_height": mask.shape[0], "mask_width": mask.shape[1]}


def stored_mask(heatmap: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "height width"]:
    """The map as it is stored: at most 56 x 56 cells, 1 = most salient, to four digits."""
    rows, columns = heatmap.shape
    size = min(rows, MASK_SIDE), min(columns, MASK_SIDE)
    values = torch.from_numpy(heatmap)
    if size != heatmap.shape:
        values = functional.adaptive_avg_pool2d(values[None], size)[0]
        values = values / values.max().clamp_min(torch.finfo(values.dtype).tiny)
    bits = np.ascontiguousarray(values.numpy(), np.float32).view(np.uint32)
    half = np.uint32(1 << (DROPPED_BITS - 1))
    return ((bits + half) >> DROPPED_BITS << DROPPED_BITS).view(np.float32)


def mask_of(row: Mapping[str, Any]) -> Float[np.ndarray, "rows columns"]:
    """The map of a row that has one.

    Raises:
        InputError: its numbers are not those of a map of the stated size.
    """
    values = np.asarray(row["mask"], np.float32)
    height, width = row["mask_height"], row["mask_width"]
    if values.size != height * width or values.ndim != 1:
        raise InputError(f"the mask of sample {row['sample']!r} does not have {height} x {width} numbers")
    return values.reshape(int(height), int(width))
