"""Which model families the installed Transformers can load."""

from __future__ import annotations

from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


def model_families() -> list[dict[str, str]]:
    """Every image-text-to-text family: the `model_type` of its configuration and its class."""
    rows = []
    for model_type, name in sorted(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.items()):
        classes = name if isinstance(name, tuple | list) else (name,)
        rows.append({"model_type": model_type, "class": ", ".join(classes)})
    return rows
