"""Will a model fit? What its weights need, from the shapes in its configuration, before any of them is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from wherelook.load_options import LoadOptions
from wherelook.models.huggingface.batching import free_memory
from wherelook.models.huggingface.loading import load_configuration, torch_dtype
from wherelook.models.huggingface.quantization import BYTES_PER_WEIGHT, weightless

TIGHT_SHARE = 0.8  # of the free memory: beyond, one image with its gradient may not fit beside the weights


@dataclass(frozen=True)
class Footprint:
    """Memory that a model's weights need, and what there is.

    Attributes:
        weights: bytes.
        free: bytes that can still be allocated where they would go.
        place: the device, for people.
    """

    weights: int
    free: int
    place: str

    @property
    def warning(self) -> str | None:
        """One line when the weights do not fit or leave little for images; None when there is room."""
        if self.weights <= TIGHT_SHARE * self.free:
            return None
        fits = "only just fit" if self.weights <= self.free else "do not fit"
        return (
            f"the weights need {self.weights / 1e9:.1f} GB and {fits}: {self.place} has {self.free / 1e9:.1f} GB free; "
            "use --dtype bfloat16, --quantize int8 or int4, or --device auto with --checkpointing"
        )


def footprint(name: str, options: LoadOptions) -> Footprint | None:
    """What `wherelook.models.huggingface.loading.load` with these arguments would need; None where that cannot be told.

    It cannot for layers spread over several devices, for code that comes with the model, and for checkpoints that were
    quantized before.

    Raises:
        InputError: no such model or device.
    """
    chosen = options.placed()
    device = str(chosen.device)
    config = load_configuration(name, revision=chosen.revision, trust_remote_code=chosen.trust_remote_code)
    if device == "auto" or chosen.trust_remote_code or getattr(config, "quantization_config", None) is not None:
        return None
    whole = torch_dtype(chosen.dtype)
    number = whole if isinstance(whole, torch.dtype) else getattr(config, "dtype", None) or torch.float32
    try:
        model = weightless(config)
    except Exception:  # whatever is wrong with it, loading says better
        return None
    return Footprint(weight_bytes(model, number, chosen.quantize), free_memory(torch.device(device)), device)


def weight_bytes(model: nn.Module, dtype: torch.dtype, quantize: str | None = None) -> int:
    """Bytes of a model's weights, tied ones once; linear layers but the head in fewer bits where that is asked for."""
    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    short = {
        id(module.weight)
        for module in model.modules()
        if isinstance(module, nn.Linear) and module is not head and quantize in BYTES_PER_WEIGHT
    }
    fewer = BYTES_PER_WEIGHT.get(quantize or "", 0.0)
    return int(
        sum(weight.numel() * (fewer if id(weight) in short else dtype.itemsize) for weight in model.parameters())
    )
