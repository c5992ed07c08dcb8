"""Models whose weights are kept in 8 or 4 bits (bitsandbytes). Gradients reach the pixels; weights never get any.

Both formats give autograd nothing to keep: the backward pass decodes each weight anew. (Weight-only formats that decode
in the forward pass leave every decoded weight in the graph, which is then as large as the model that did not fit.)
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig, PreTrainedModel

from wherelook.errors import InputError, how_to_install, unknown_name

DEVICES = ("cpu", "cuda", "auto")
"""What `quantize` is offered for. bitsandbytes has kernels for more, which nobody has tried here."""


BLOCK = 64
"""Weights of NF4 that share a scale."""


def eight_bits(dtype: torch.dtype | None) -> BitsAndBytesConfig:
    """LLM.int8() of Dettmers et al. (2022): weights per row, activations per token, outlying features in float16.

    Activations are rounded too, and the gradient is the one that ignores this rounding.
    """
    return BitsAndBytesConfig(load_in_8bit=True)


def four_bits(dtype: torch.dtype | None) -> BitsAndBytesConfig:
    """NormalFloat4 of Dettmers et al. (2023, QLoRA): weights in blocks of 64; arithmetic in the model's dtype."""
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype or torch.bfloat16
    )


QUANTIZATIONS: dict[str, Callable[[torch.dtype | None], BitsAndBytesConfig]] = {
    "int8": eight_bits,
    "int4": four_bits,
}

BYTES_PER_WEIGHT = {"int8": 1.0, "int4": 0.5 + 4 / BLOCK}
"""Of a linear layer's weight; a block of NF4 has a float32 scale."""


def quantization_config(name: str, config: Any, *, device: str, dtype: torch.dtype | None) -> BitsAndBytesConfig:
    """What Transformers is told to load a model's linear layers, all but the head, in fewer bits.

    Args:
        name: one of `QUANTIZATIONS`.
        config: the model's configuration.
        device: as `wherelook.models.huggingface.loading.load` takes it.
        dtype: of everything else, and of the arithmetic; None where the checkpoint decides.

    Raises:
        InputError: unknown name, a checkpoint that is quantized already, a device without kernels, or bitsandbytes is
            not installed.
    """
    if name not in QUANTIZATIONS:
        raise unknown_name("quantization", name, list(QUANTIZATIONS))
    own = getattr(config, "quantization_config", None)
    if own is not None:
        method = own["quant_method"] if isinstance(own, dict) else own.quant_method
        raise InputError(f"this checkpoint is quantized already ({method}) and loads as it is: leave --quantize out")
    if device.split(":", maxsplit=1)[0] not in DEVICES:
        raise InputError(f"--quantize needs cpu or cuda, not {device}: use --dtype bfloat16 instead")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(f"--quantize needs bitsandbytes: {how_to_install('quantized')}")
    # It says for every layer and call that float32 is cast, which is how the format works.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    # It names an optional package of faster kernels.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    found = QUANTIZATIONS[name](dtype)
    if name == "int4" and device == "cpu":
        found.llm_int8_skip_modules = _uneven(weightless(config)) or None
    return found


def weightless(config: Any, **options: Any) -> PreTrainedModel:
    """The model of a configuration with the shapes of its weights and no memory for them (on the meta device)."""
    with torch.device("meta"):
        result: PreTrainedModel = AutoModelForImageTextToText.from_config(config, **options)
        return result


def _uneven(model: PreTrainedModel) -> list[str]:
    """Linear layers whose rows are no whole blocks, and the head, which a list of exceptions must name as well.

    On a CPU, bitsandbytes 0.50.2 decodes such a layer wrongly: the weights come out in the wrong scales.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    uneven = [name for name, module in layers.items() if module.in_features % BLOCK]
    head = model.get_output_embeddings()
    return [*uneven, *(name for name, module in layers.items() if module is head)] if uneven else []


def keep_differentiable(model: PreTrainedModel) -> None:
    """Turns off a packing of 4-bit weights on CPUs, made at the first call without gradient, that has no backward."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def quantization_of(model: torch.nn.Module) -> str | None:
    """How a loaded model's weights are kept; None if whole.

    A name of `QUANTIZATIONS` if it was asked for; "int8 checkpoint" and the like if the checkpoint was so before.
    """
    if not getattr(model, "is_quantized", False):
        return None
    own: Any = getattr(getattr(model, "config", None), "quantization_config", None)
    settings = own if isinstance(own, dict) else getattr(own, "to_dict", dict)()
    method = settings.get("quant_method")
    kept = {bool(settings.get("load_in_8bit")): "int8", bool(settings.get("load_in_4bit")): "int4"}.get(
        True, str(getattr(method, "value", method))
    )
    quantizer = getattr(model, "hf_quantizer", None)
    return f"{kept} checkpoint" if quantizer is None or quantizer.pre_quantized else kept
