"""Tiny vision-language models with random weights and their own working processors, made from configurations.

Nothing is downloaded. A forward takes a few milliseconds, yet each image processor keeps what makes its family
special: tiles and thumbnails, flattened patches, padding, several pixel tensors. ``build(name)`` seeds a builder,
spreads the weights and leaves the global random state alone; ``NEEDS`` says what a family cannot be built without.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch

from .flattened import glm4v, qwen2_5_vl, qwen2_vl, qwen3_5, qwen3_vl
from .llava import llava, llava_next, llava_onevision
from .native import mini_gemini, mini_gemini_hd
from .parts import Pair, only_generate_words, spread_weights
from .single import deepseek_vl_hybrid, gemma3, mistral3, paligemma, pixtral
from .tiled import aya_vision, idefics3, internvl, mllama, ovis2, smolvlm

FAMILIES: dict[str, Callable[[], Pair]] = {
    "llava": llava,
    "llava-next": llava_next,
    "llava-onevision": llava_onevision,
    "qwen2-vl": qwen2_vl,
    "qwen2.5-vl": qwen2_5_vl,
    "qwen3-vl": qwen3_vl,
    "qwen3.5": qwen3_5,
    "glm4v": glm4v,
    "idefics3": idefics3,
    "smolvlm": smolvlm,
    "internvl": internvl,
    "aya-vision": aya_vision,
    "ovis2": ovis2,
    "mllama": mllama,
    "gemma3": gemma3,
    "paligemma": paligemma,
    "deepseek-vl-hybrid": deepseek_vl_hybrid,
    "pixtral": pixtral,
    "mistral3": mistral3,
    "mini-gemini": mini_gemini,
    "mini-gemini-hd": mini_gemini_hd,
}

# Packages that the processor class itself asks for. (A video processor is left out where torchvision is missing.)
NEEDS: dict[str, str] = {"smolvlm": "num2words", "pixtral": "torchvision", "mistral3": "torchvision"}
# Families whose saved processor ``AutoProcessor`` cannot load without torchvision, most for its video processor.
LOADS_WITH_TORCHVISION: frozenset[str] = frozenset(
    {
        "llava-onevision",
        "qwen2-vl",
        "qwen2.5-vl",
        "qwen3-vl",
        "qwen3.5",
        "glm4v",
        "smolvlm",
        "internvl",
        "pixtral",
        "mistral3",
    }
)


def missing_package(name: str) -> str | None:
    """The package without which this family cannot be built here, or None."""
    package = NEEDS.get(name)
    return package if package is not None and importlib.util.find_spec(package) is None else None


def build(name: str, *, seed: int = 0) -> Pair:
    """A family's model (float32, evaluation mode, no parameter gradients) and processor, equal for equal seeds.

    Raises:
        KeyError: no such family.
        ImportError: see :func:`missing_package`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, processor = FAMILIES[name]()
    spread_weights(model, torch.Generator().manual_seed(seed))
    only_generate_words(model, processor.tokenizer)
    return model.float().eval().requires_grad_(False), processor
