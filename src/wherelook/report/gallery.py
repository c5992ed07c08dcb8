"""Samples as a page shows them: image, maps of all models, answers with their tokens shaded; within a size budget."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from wherelook import html
from wherelook.evaluation.rows import Row, mask_of
from wherelook.explanation import picture, shading
from wherelook.report.examples import Exhibit, answer_of, place_of

PACKAGE = "wherelook.report"  # where the templates are
STYLES = (("wherelook.explanation", "figures.css"), (PACKAGE, "report.css"))

SIDE = 320  # pixels of the longer side of a picture
JPEG_QUALITY = 80
BUDGET = 15_000_000
"""Bytes of all pictures of a page: a gallery that would need more ends before."""

OUTLINE_SIDE = 96  # cells of the longer side that an outline of evidence is followed on
OUTLINE_BYTES = 6000  # a longer outline, of scattered evidence, is left out
LONGEST_ANSWER = 200  # tokens that are shown


def items(exhibits: Sequence[Exhibit], budget: int = BUDGET) -> tuple[dict[str, Any], ...]:
    """What the page shows of the exhibits in their order, as many as there is room for in `budget` bytes."""
    found: list[dict[str, Any]] = []
    used = 0
    for exhibit in exhibits:
        item = _item(exhibit)
        used += len(item["image"]) + sum(len(shown["picture"]) for shown in item["shown"])
        if used > budget:
            break
        found.append(item)
    return tuple(found)


def _item(exhibit: Exhibit) -> dict[str, Any]:
    first = next(iter(exhibit.rows.values()))
    size = (first["image_height"] or 1, first["image_width"] or 1)
    pixels = None if exhibit.pixels is None else small(exhibit.pixels)
    height, width = _fitted(size) if pixels is None else pixels.shape[:2]
    return {
        "benchmark": exhibit.benchmark,
        "sample": exhibit.sample,
        "task": first["kind"] or "",
        "question": first["question"] or "",
        "choices": first["choices"] or (),
        "references": first["references"] or (),
        "flags": first["flags"] or (),
        "image": "" if pixels is None else data_uri(Image.fromarray(pixels)),
        # The SVG path around its evidence, in pixels of the picture of (height, width).
        "outline": "" if exhibit.evidence is None else _outline(exhibit.evidence, (height, width)),
        "height": height,
        "width": width,
        "shown": [_shown(model, row, pixels, (height, width)) for model, row in exhibit.rows.items()],
    }


def _shown(model: str, row: Row, pixels: NDArray[np.uint8] | None, size: tuple[int, int]) -> dict[str, Any]:
    drawn: Markup | str = ""
    if row["status"] == "ok" and row["mask"] is not None:
        saliency = mask_of(row)
        drawn = data_uri(picture.heatmap(saliency, size) if pixels is None else picture.overlay(pixels, saliency))
    tokens = row["tokens"] or []
    blind = row["blind_correct"]
    return {
        "model": model,
        "answer": answer_of(row),
        "place": place_of(row),
        "status": row["status"],
        "reason": "" if row["status"] == "ok" else row["error"] or row["reason"] or "",
        "picture": drawn,
        "text": row["answer"] or "",
        "tokens": [_token(token) for token in tokens[:LONGEST_ANSWER]],
        "cut": max(0, len(tokens) - LONGEST_ANSWER),
        "reliance": row["reliance"],
        "blind_text": row["blind_answer"] or "",
        "blind_answer": "" if blind is None else "right" if blind else "wrong",
    }


def _token(token: dict[str, Any]) -> dict[str, Any]:
    llr = token["llr"]
    known = "unknown" if llr is None else f"{llr:+.2f} nats".replace("-", shading.MINUS)
    explained = "; explained by the map" if token["selected"] else ""
    return {
        **shading.label(token["text"] or ""),
        "shade": "level0" if llr is None else shading.shade(llr),
        "selected": token["selected"],
        "detail": f"log-likelihood ratio {known}{explained}",
    }


# ---- pictures ----


def _fitted(size: tuple[int, int], side: int = SIDE) -> tuple[int, int]:
    """(height, width) of a picture of an image of this size."""
    height, width = size
    scale = side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def small(pixels: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """The image with a longer side of so many pixels, smaller or larger."""
    height, width = _fitted((pixels.shape[0], pixels.shape[1]), side)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def data_uri(image: Image.Image) -> Markup:
    """The image inside the page, as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return html.data_uri(buffer.getvalue(), "jpeg")


def _outline(region: Bool[np.ndarray, "height width"], size: tuple[int, int]) -> str:
    scale = min(1.0, OUTLINE_SIDE / max(region.shape))
    cells = max(1, round(region.shape[1] * scale)), max(1, round(region.shape[0] * scale))
    coarse = np.asarray(Image.fromarray(region.astype(np.float32)).resize(cells, Image.Resampling.BOX))
    height, width = size
    path = "".join(
        f"M{x0 * width:.1f} {y0 * height:.1f}L{x1 * width:.1f} {y1 * height:.1f}"
        for (x0, y0), (x1, y1) in picture.contour(coarse, 0.5 * float(coarse.max()))
    )
    return path if len(path) <= OUTLINE_BYTES else ""
