"""Which model families the installed Transformers can load, and which of them wherelook explains."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def model_families() -> list[dict[str, str]]:
    """Every image-text-to-text family of the installed Transformers, and what is known about it.

    Returns:
        Rows of `family` (the `model_type` of its configuration, or a variant's name), `class`, and `support`: "tested"
        on a tiny model, "not tested", or "no: " and the reason. The first and the last are in `families.json`, which
        `python -m tools.families --write` of a checkout measures.
    """
    measured = {row["family"]: row for row in json.loads(files(__package__).joinpath("families.json").read_bytes())}
    classes = family_classes() | {name: row["class"] for name, row in measured.items()}
    return [
        {
            "family": family,
            "class": name,
            "support": measured[family]["support"] if family in measured else _guess(family),
        }
        for family, name in sorted(classes.items())
    ]


def family_classes() -> dict[str, str]:
    """Classes of the installed Transformers' image-text-to-text families, by family."""
    names: dict[str, Any] = dict(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
    return {family: ", ".join(name) if isinstance(name, tuple | list) else name for family, name in names.items()}


def is_encoder_decoder(family: str) -> bool:
    """Whether a family reads the prompt with an encoder of its own, which is not supported."""
    return family in CONFIG_MAPPING and bool(getattr(CONFIG_MAPPING[family], "is_encoder_decoder", False))


def _guess(family: str) -> str:
    return "no: encoder-decoder" if is_encoder_decoder(family) else "not tested"
