"""What can be chosen about loading a model: one record, checked before a file is read."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from wherelook.arguments import expected, number, text, truth_value, whole
from wherelook.errors import InputError, unknown_name
from wherelook.models.huggingface.prompt import check_prompt_template

DTYPES: dict[str, torch.dtype | str] = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
"""Implementations of attention that Transformers has itself; others are code from a hub."""

LEAST_PIXELS = 56 * 56
"""Of an image: no processor of a tested family gives a model fewer."""

QUANTIZATION_NAMES = ("int8", "int4")

OTHER_NAMES = {"torch_dtype": "dtype", "device_map": "device"}
"""What Transformers calls an option, or did, and its name here."""

ELSEWHERE = {
    "load_in_8bit": "pass quantize='int8'",
    "load_in_4bit": "pass quantize='int4'",
    "token": "set the environment variable HF_TOKEN, or run `hf auth login`",
    "use_auth_token": "set the environment variable HF_TOKEN, or run `hf auth login`",
    "cache_dir": "set the environment variable HF_HOME",
    "local_files_only": "set the environment variable HF_HUB_OFFLINE=1",
    "use_safetensors": "leave it out: nothing but safetensors is read",
    "low_cpu_mem_usage": "leave it out: weights are read one after another anyway",
    "min_pixels": "load the processor with it, and use Explainer(model, processor)",
}
"""Options of Transformers that are no options here, and what to do instead."""


@dataclass(frozen=True)
class LoadOptions:
    """How a model is loaded; see `wherelook.models.huggingface.loading.load` for the fields.

    Raises:
        InputError: a value of another type, an unknown name, or a device that is not here.
    """

    device: Any = None
    dtype: Any = None
    revision: str | None = None
    trust_remote_code: bool = False
    quantize: str | None = None
    attn_implementation: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", check_device(self.device))
        object.__setattr__(self, "dtype", _dtype_name(self.dtype, self.device))
        object.__setattr__(self, "trust_remote_code", truth_value("trust_remote_code", self.trust_remote_code))
        if self.revision is not None and not text("revision", self.revision).strip():
            raise InputError("the revision is empty; expected a branch, tag or commit")
        if self.quantize is not None and text("quantize", self.quantize) not in QUANTIZATION_NAMES:
            raise unknown_name("quantization", self.quantize, QUANTIZATION_NAMES)
        if self.attn_implementation is not None and text("attn_implementation", self.attn_implementation) not in (
            ATTENTION
        ):
            raise unknown_name("attn_implementation", self.attn_implementation, ATTENTION)


def model_name(name: Any) -> str:
    """A model's name or folder as text.

    Raises:
        InputError: something else.
    """
    if isinstance(name, os.PathLike):
        name = os.fspath(name)
    if not isinstance(name, str):
        wanted = "a folder, a hub id or an address (a loaded model goes to Explainer(model, processor))"
        raise expected("model", wanted, name)
    return str(name)


def known_options(given: Mapping[str, Any], valid: Collection[str]) -> dict[str, Any]:
    """The options under their names here.

    Args:
        given: options by name, Transformers' names among them.
        valid: every name that there is.

    Raises:
        InputError: a name that there is not, or the same option twice.
    """
    options = {}
    for name, value in given.items():
        own = OTHER_NAMES.get(name, name)
        if own in options or (own != name and own in given):
            raise InputError(f"{name} and {own} are the same option: give {own} alone")
        if own not in valid:
            raise InputError(_unknown_option(name, valid))
        options[own] = value
    return options


def check_use(
    *,
    prompt_template: Any = None,
    batch_size: Any = 16,
    memory_limit: Any = None,
    checkpointing: Any = False,
    compile: Any = False,
    most_images: Any = None,
    frames_per_second: Any = None,
    max_pixels: Any = None,
) -> None:
    """Raises InputError for the first argument of `VisionLanguageModel` that is of another type or out of range."""
    if prompt_template is not None:
        check_prompt_template(text("prompt_template", prompt_template))
    if whole("batch_size", batch_size) < 1:
        raise InputError(f"batch size {batch_size} is not positive")
    for name, value in (("memory_limit", memory_limit), ("most_images", most_images), ("max_pixels", max_pixels)):
        if value is not None and whole(name, value) < 1:
            raise InputError(f"{name} is a whole number from 1 up; got {value}")
    if max_pixels is not None and max_pixels < LEAST_PIXELS:
        raise InputError(f"max_pixels is at least {LEAST_PIXELS}; got {max_pixels}")
    truth_value("checkpointing", checkpointing)
    truth_value("compile", compile)
    if frames_per_second is not None and not 0 < number("frames_per_second", frames_per_second) < math.inf:
        raise InputError(f"frames per second are a positive number; got {frames_per_second}")


def _unknown_option(name: str, valid: Collection[str]) -> str:
    if name in ELSEWHERE:
        return f"there is no option {name!r} here: {ELSEWHERE[name]}"
    near = difflib.get_close_matches(name, valid, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"unknown option {name!r}{meant} (valid: {', '.join(sorted(valid))}); anything else that Transformers takes: "
        "load the model with it, and use Explainer(model, processor)"
    )


def _dtype_name(dtype: Any, device: str) -> str:
    """A key of `DTYPES`.

    Raises:
        InputError: no dtype that models run in.
    """
    if dtype is None:
        return "float32" if device == "cpu" else "auto"
    if isinstance(dtype, torch.dtype | str):
        name = str(dtype).removeprefix("torch.")
        if name in DTYPES:
            return name
    shown = str(dtype) if isinstance(dtype, torch.dtype | str) else f"a value of type {type(dtype).__name__}"
    raise unknown_name("dtype", shown[:60], list(DTYPES))


def check_device(device: Any) -> str:
    """A device that exists here.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps", "auto", a `torch.device`, or a GPU's number; None for the best one.

    Raises:
        InputError: no such device on this machine.
    """
    if device is None:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if isinstance(device, int) and not isinstance(device, bool) and 0 <= device < 1000:
        device = f"cuda:{device}"
    if isinstance(device, torch.device):
        device = str(device)
    if not isinstance(device, str):
        raise expected("device", "cpu, cuda, cuda:N, mps or auto (for a map of layers load the model yourself)", device)
    if device == "auto":
        return device
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise InputError(f"unknown device {device!r}; expected cpu, cuda, cuda:N, mps or auto") from None
    missing_cuda = wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count()
    missing_mps = wanted.type == "mps" and not torch.backends.mps.is_available()
    if missing_cuda or missing_mps or wanted.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"device {device!r} is not available here: this machine has {', '.join(_devices())}")
    return device


def _devices() -> list[str]:
    found = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return found + (["mps"] if torch.backends.mps.is_available() else [])
