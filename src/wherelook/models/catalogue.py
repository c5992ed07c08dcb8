"""Which model families the installed Transformers can load, and which of them wherelook can explain."""

from __future__ import annotations

from typing import Any

from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from wherelook.models.families import FAMILIES, REFUSED, VARIANTS, missing_package


def model_families() -> list[dict[str, str]]:
    """Every image-text-to-text family of the installed Transformers, and what is known about it.

    Returns:
        Rows of `family` (the `model_type` of its configuration, or a variant's name), `class`, and `support`: "tested"
        on a tiny model, "not tested", or "no: " and the reason.
    """
    classes: dict[str, Any] = dict(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES) | VARIANTS
    rows = []
    for family, name in sorted(classes.items()):
        shown = ", ".join(name) if isinstance(name, tuple | list) else name
        rows.append({"family": family, "class": shown, "support": _support(family)})
    return rows


def _support(family: str) -> str:
    if family in REFUSED:
        return f"no: {REFUSED[family]}"
    if family in FAMILIES:
        return "tested"
    return "no: encoder-decoder" if _is_encoder_decoder(family) else "not tested"


def obstacle(family: str) -> str | None:
    """Why no tiny model of a family can be built here; None where one can be tried."""
    package = missing_package(family)
    if package is not None:
        return f"needs {package}, which is not installed"
    if family in FAMILIES:
        return None
    if _is_encoder_decoder(family):
        return "an encoder-decoder model; only decoder models are supported"
    return "not tested: there is no recipe for a tiny model of it"


def _is_encoder_decoder(family: str) -> bool:
    return family in CONFIG_MAPPING and bool(getattr(CONFIG_MAPPING[family], "is_encoder_decoder", False))
