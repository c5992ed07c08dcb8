"""Where a model runs, when its layers are spread over devices or wait on the CPU or the disk until they are needed."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def input_device(model: nn.Module) -> torch.device:
    """The device that token ids go to: where the embedding of tokens runs.

    The parameter itself tells nothing of a layer that accelerate fetches when it is called: until then it is on the
    meta device.
    """
    embedding: Any = model.get_input_embeddings()  # type: ignore[operator]
    device = _execution_device(getattr(embedding, "_hf_hook", None))
    if device is not None:
        return device
    result: torch.device = next(embedding.parameters()).device
    return result


def _execution_device(hook: Any) -> torch.device | None:
    """The device of accelerate's hook, or of the first in a sequence of them that has one; an integer is a GPU."""
    for part in getattr(hook, "hooks", [hook]):
        device = getattr(part, "execution_device", None)
        if device is not None:
            return torch.device(device)
    return None
