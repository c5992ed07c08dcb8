"""Whether two models have the same weights."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

SAMPLED = 64
"""Numbers of every tensor that the fingerprint looks at, spread evenly: training moves all of them."""


def weights_fingerprint(model: torch.nn.Module) -> str:
    """Of 64 numbers of every tensor: it costs next to nothing, and a change of a few numbers by hand can escape it."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if isinstance(tensor, torch.Tensor) and tensor.numel() and not tensor.is_meta:  # offloaded weights are meta
            spread = np.linspace(0, tensor.numel() - 1, SAMPLED).astype(np.int64)
            index = np.unravel_index(spread, tuple(tensor.shape)) if tensor.ndim else ()
            values = tensor.detach()[tuple(torch.from_numpy(part).to(tensor.device) for part in index)]
            digest.update(values.double().cpu().numpy().tobytes())
    return digest.hexdigest()
