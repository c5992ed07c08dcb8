"""Explanations made by hand: no model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wherelook.explanation import Explanation, Focus, ImagePart, TokenMap
from wherelook.explanation.record import Curve
from wherelook.score import Token


def peak_map(row: int, column: int, cells: int = 28) -> np.ndarray:
    """A bump around one cell; far from it exactly zero."""
    rows, columns = np.mgrid[:cells, :cells]
    distance = np.hypot(rows - row, columns - column)
    return np.clip(1 - distance / 5, 0, 1).astype(np.float32)


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


TOKENS = (
    Token("The", 1, -0.01, -0.02, 0.01, False, 0),
    Token(" gre", 2, -0.04, -4.70, 4.66, True, 1, True),
    Token("en", 3, -0.01, -0.30, 0.29, True, 1),
    Token(" one", 4, -1.2, -0.3, -0.9, False, 2),
    Token(".", 5, -0.01, -0.01, 0.0, False, None),
)


@pytest.fixture
def make_explanation():
    """Builds an explanation; keyword arguments replace its fields, or those of its one image."""

    def make(status: str = "ok", **changes: Any) -> Explanation:
        ok = status == "ok"
        image = {
            "path": "a picture.png", "frame": None, "sha256": "ab" * 32, "pixels": photo(90, 120),
            "heatmap": peak_map(7, 21) if ok else np.zeros((28, 28), np.float32),
            "focus": Focus((80, 15, 105, 35), (92.1, 24.1)) if ok else None,
            **dict.fromkeys(("share", "lost", "restored"), 1.0 if ok else None),
        }  # fmt: skip
        image |= {name: changes.pop(name) for name in image.keys() & changes.keys()}
        fractions = (0.0, 0.5, 1.0)
        curves = (
            Curve("blur", True, fractions, (0.9, 0.2, 0.1), (0.1, 0.8, 0.9)),
            Curve("mean", False, fractions, (0.9, 0.3, 0.05), (0.05, 0.7, 0.9)),
        )
        figures = {
            "deletion": 0.35, "insertion": 0.65, "deletion_normalized": 0.3125, "insertion_normalized": 0.6875,
            "deletion_unseen": 0.3875, "insertion_unseen": 0.5875,
            "deletion_normalized_unseen": None, "insertion_normalized_unseen": 0.62, "pointing": 1.0,
        }  # fmt: skip
        fields: dict[str, Any] = {
            "status": status,
            "reason": "1 of 3 words is visually grounded" if ok else "no word passes the 1-nat threshold",
            "model": {"id": "some/model", "revision": None, "class": "Llava", "dtype": "float32"},
            "images": (ImagePart(**image),),
            "question": "Which one is it?",
            "answer": "The green one.",
            "tokens": TOKENS,
            "reliance": {
                "score": 0.99 if ok else 0.01, "gap": 4.95, "words": 3, "relevant_words": 1,
                "strongest_word": "green", "alpha": 1.0, "baseline": "blur",
            },
            "config": {"method": "guided-igos", "preset": "best", "tokens": "auto", "replay_steps": 2, "seed": 0},
            "method": {"parameters": {"cells": 28}, "baseline": "blur", "objective": [0.5, -0.5]},
            "metrics": figures if ok else {},
            "cost": {"forward": 40, "backward": 20, "seconds": 1.25, "peak_bytes": 123_000_000},
            "versions": {"wherelook": "0.1.0"},
            "curves": curves if ok else (),
        }  # fmt: skip
        return Explanation(**fields | changes)

    return make


@pytest.fixture
def token_maps() -> tuple[TokenMap, ...]:
    return TokenMap(1, peak_map(20, 5)), TokenMap(2, peak_map(4, 4))
