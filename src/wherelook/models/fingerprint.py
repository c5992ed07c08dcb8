"""Whether two models are the same: their weights, and the words that they put around a question."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch

from wherelook.models.endpoint import EndpointModel
from wherelook.models.huggingface.model import VisionLanguageModel

SAMPLED = 64
"""Numbers of every tensor that the fingerprint looks at, spread evenly: training moves all of them."""


def identity(model: VisionLanguageModel | EndpointModel) -> dict[str, Any]:
    """What results depend on: `model.description`, kind of device, the prompt around a question, size and weights.

    The weights' fingerprint reads 64 numbers of every tensor, so it costs next to nothing; a change of a few numbers
    by hand can escape it. Of a model behind an address nothing but address and name can be seen.
    """
    if isinstance(model, EndpointModel):
        return dict(model.description)
    return model.description | {
        "device": model.device.type,
        "prompt": model.render("{question}"),
        "parameters": sum(parameter.numel() for parameter in model.model.parameters()),
        "weights": _weights_fingerprint(model.model),
    }


def _weights_fingerprint(model: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if isinstance(tensor, torch.Tensor) and tensor.numel() and not tensor.is_meta:  # offloaded weights are meta
            spread = np.linspace(0, tensor.numel() - 1, SAMPLED).astype(np.int64)
            index = np.unravel_index(spread, tuple(tensor.shape)) if tensor.ndim else ()
            values = tensor.detach()[tuple(torch.from_numpy(part).to(tensor.device) for part in index)]
            digest.update(values.double().cpu().numpy().tobytes())
    return digest.hexdigest()
