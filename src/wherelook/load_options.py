"""`LoadOptions`: everything that can be chosen about a model, checked once, before a file is read."""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from wherelook.arguments import expected, key_values, number, option, text, truth_value, whole
from wherelook.chat_options import ChatOptions
from wherelook.errors import InputError, unknown_name

DTYPES = ("auto", "float32", "bfloat16", "float16")

ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
"""Implementations of attention that Transformers has itself; others are code from a hub."""

LEAST_PIXELS = 56 * 56
"""Of an image: no processor of a tested family gives a model fewer."""

QUANTIZATION_NAMES = ("int8", "int4")

MOST_AT_ONCE = 256
"""Requests to an endpoint under way at once."""

WORDS = {"true": True, "false": False, "none": None, "null": None}


def template_values(pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE pairs; a value that is JSON, or Python's True, False or None, is what it says, any other one text."""
    values: dict[str, Any] = {}
    for name, written in key_values(pairs, option="--template-option", example="enable_thinking=false").items():
        if written.lower() in WORDS:
            values[name] = WORDS[written.lower()]
            continue
        try:
            values[name] = json.loads(written)
        except (ValueError, RecursionError):
            values[name] = written
    return values


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


GIGABYTE = 1e9


def _gigabytes(value: float) -> int:
    return int(value * GIGABYTE)


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a model is loaded, run and spoken to; for an endpoint how it is asked.

    Attributes:
        device: "cpu", "cuda", "cuda:1", "mps", a `torch.device`, a GPU's number, or "auto" to spread the layers over
            all devices; None takes the first accelerator, else the CPU. Whether it is here shows at loading.
        dtype: one of `DTYPES`, or a `torch.dtype`; None takes the checkpoint's on an accelerator, and on the CPU
            float32, unless the checkpoint is bfloat16 and the processor multiplies such numbers itself.
        revision: branch, tag or commit on the hub.
        trust_remote_code: runs Python code that comes with the model.
        quantize: keeps the weights of linear layers in fewer bits: one of `QUANTIZATION_NAMES`. A checkpoint that was
            quantized before loads without it.
        attn_implementation: one of `ATTENTION`; None lets Transformers choose.
        checkpointing: whether gradients are made with less memory and more time (`models.speedups.checkpointing`).
        compile: whether layers are compiled for scoring (`models.speedups.compilation`): minutes at first, less after.
        prompt_template: a text with {image} and {question} instead of the model's chat template; a model without a
            chat template gets "{image}{question}" unless one is given. Several images come where {image} is.
        think, system, chat_template_kwargs, max_thinking_tokens: the chat around every question that has no options of
            its own; see `wherelook.chat_options.ChatOptions`.
        max_pixels: of an image, at most: fewer pixels are fewer image tokens where the processor makes more of a larger
            image. Told to the processor where it has such a limit; else the image is made smaller before.
        batch_size: the most images per forward pass, reduced to fit memory.
        memory_limit: bytes that one batch may use; None takes most of what is free.
        most_images: the most images in a prompt that the model knows what to do with; None where that is not known.
        frames_per_second: takes several images as so many frames per second of one video, for the model's own video
            input; None takes them as images.
        model_name: the model of an endpoint; None for the only one that it has.
        concurrency: requests to an endpoint under way at once.
        timeout: seconds that a reply of an endpoint may take.
        retries: how often a request to an endpoint is sent again.
        use_proxy: whether an endpoint is reached through the proxy that the environment names.

    Raises:
        InputError: a value of another type or out of range, or an unknown name.

    Example:
        >>> LoadOptions(batch_size=4).batch_size
        4
    """

    device: Any = option(
        None, "cpu, cuda, cuda:N, mps, or auto (layers over all devices). [default: the best]", kind=str
    )
    dtype: Any = option(
        None, "float32, bfloat16, float16 or auto. [default: the checkpoint's; float32 on cpu]", kind=str
    )
    revision: str | None = option(None, "Branch, tag or commit of a model on the hub.")
    trust_remote_code: bool = option(False, "Run Python code that comes with the model.")
    quantize: str | None = option(None, "int8 or int4: weights in fewer bits (needs the extra `quantized`).")
    attn_implementation: str | None = option(
        None,
        "eager, sdpa, flash_attention_2, flash_attention_3 or flex_attention. [default: Transformers chooses]",
        metavar="NAME",
    )
    checkpointing: bool = option(False, "Gradients with less memory, for one more forward pass each.")
    compile: bool = option(False, "torch.compile the model's layers: minutes at the first answer, faster after.")
    prompt_template: str | None = option(
        None, "A text with {image} and {question} instead of the model's chat template."
    )
    think: str | None = option(
        None, "For models that can think before they answer. [default: theirs]", metavar="on|off"
    )
    system: str | None = option(None, "Text of a system message before the question.")
    chat_template_kwargs: Mapping[str, Any] | None = option(
        None,
        "A variable of the chat template, such as enable_thinking=false. Repeatable.",
        flag="--template-option",
        metavar="KEY=VALUE",
        parse=template_values,
    )
    max_thinking_tokens: int | None = option(
        None, "Longest thought; the answer has its own limit. [default: 4096]", least=1
    )
    max_pixels: int | None = option(
        None,
        "Most pixels of an image: fewer image tokens, where a processor makes more of a larger one.",
        least=LEAST_PIXELS,
    )
    batch_size: int = option(16, "Most images per forward pass, reduced to fit memory.", least=1)
    memory_limit: int | None = option(
        None, "GB that one batch may use. [default: most of what is free]",
        kind=float, least=0.001, most=1e6, parse=_gigabytes,
    )  # fmt: skip
    model_name: str | None = option(None, "Model of the endpoint. [default: the only one that it has]", metavar="NAME")
    concurrency: int = option(4, "Requests to the endpoint under way at once.", least=1, most=256)
    timeout: float = option(120.0, "Seconds that a reply of the endpoint may take.", least=0.1, most=86400)
    use_proxy: bool = option(
        False, "Reach the endpoint through the proxy that the environment names (http_proxy, https_proxy)."
    )
    retries: int = 5
    most_images: int | None = None
    frames_per_second: float | None = None

    def __post_init__(self) -> None:
        self._set("device", check_device_name(self.device))
        self._set("dtype", _dtype_name(self.dtype))
        if self.revision is not None and not text("revision", self.revision).strip():
            raise InputError("the revision is empty; expected a branch, tag or commit")
        if self.quantize is not None and text("quantize", self.quantize) not in QUANTIZATION_NAMES:
            raise unknown_name("quantization", self.quantize, QUANTIZATION_NAMES)
        name = "attn_implementation"
        if self.attn_implementation is not None and text(name, self.attn_implementation) not in ATTENTION:
            raise unknown_name(name, self.attn_implementation, ATTENTION)
        for name in ("trust_remote_code", "checkpointing", "compile", "use_proxy"):
            self._set(name, truth_value(name, getattr(self, name)))
        if self.prompt_template is not None:
            check_prompt_template(text("prompt_template", self.prompt_template))
        self._check_numbers()
        _ = self.chat  # wrong values show here

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_numbers(self) -> None:
        if whole("batch_size", self.batch_size) < 1:
            raise InputError(f"batch size {self.batch_size} is not positive")
        for name in ("memory_limit", "most_images", "max_pixels"):
            value = getattr(self, name)
            if value is not None and whole(name, value) < 1:
                raise InputError(f"{name} is a whole number from 1 up; got {value}")
        if self.max_pixels is not None and self.max_pixels < LEAST_PIXELS:
            raise InputError(f"max_pixels is at least {LEAST_PIXELS}; got {self.max_pixels}")
        rate = self.frames_per_second
        if rate is not None and not 0 < number("frames_per_second", rate) < math.inf:
            raise InputError(f"frames per second are a positive number; got {rate}")
        if self.model_name is not None:
            text("model_name", self.model_name)
        if not 1 <= whole("concurrency", self.concurrency) <= MOST_AT_ONCE:
            raise InputError(f"the concurrency is from 1 to {MOST_AT_ONCE}; got {self.concurrency}")
        if not 0 < number("timeout", self.timeout) < 1e6:
            raise InputError(f"the timeout is a number of seconds above 0; got {self.timeout}")
        if whole("retries", self.retries) < 0:
            raise InputError(f"retries is a whole number from 0 up; got {self.retries}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> LoadOptions:
        """The record with these options; Transformers' names of some are understood.

        Raises:
            InputError: an option that there is not, or the same one twice; or see the class.
        """
        return cls(**known_options(options, [one.name for one in fields(cls)]))

    @property
    def chat(self) -> ChatOptions:
        """The chat around every question that has no options of its own."""
        names = ("think", "system", "chat_template_kwargs", "max_thinking_tokens")
        return ChatOptions().changed(**{name: getattr(self, name) for name in names})

    def placed(self) -> LoadOptions:
        """The same with the device that None stands for, and a dtype.

        Raises:
            InputError: no such device on this machine.
        """
        device = check_device(self.device)
        return replace(self, device=device, dtype=self.dtype or ("float32" if device == "cpu" else "auto"))

    def refuse(self, names: Collection[str], why: str) -> None:
        """Raises InputError for the first of these options that was chosen."""
        for one in fields(self):
            if one.name in names and getattr(self, one.name) != one.default:
                spelled = one.metadata["option"].flag if "option" in one.metadata else None
                flag = spelled or f"--{one.name.replace('_', '-')}"
                raise InputError(f"{flag} {why}")


FOR_ENDPOINTS = ("model_name", "concurrency", "timeout", "use_proxy", "retries")
"""Options of an endpoint alone."""

FOR_LOADING = ("device", "dtype", "revision", "trust_remote_code", "quantize", "attn_implementation")
"""Options that come too late for a model that is loaded."""

FOR_MODELS_HERE = (
    *FOR_LOADING,
    *("checkpointing", "compile", "prompt_template", "max_pixels", "batch_size", "memory_limit"),
    *("most_images", "frames_per_second"),
)
"""Options of a model in this process that an endpoint has not."""


def check_prompt_template(template: str) -> None:
    """Raises InputError unless the template has {image} and {question} and nothing else in braces."""
    try:
        template.format(image="", question="")
        complete = "{image}" in template and "{question}" in template
    except (KeyError, IndexError, ValueError, AttributeError):
        complete = False
    if not complete:
        raise InputError(f"prompt template {template!r} must contain {{image}} and {{question}}, and no other braces")


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


def _unknown_option(name: str, valid: Collection[str]) -> str:
    if name in ELSEWHERE:
        return f"there is no option {name!r} here: {ELSEWHERE[name]}"
    near = difflib.get_close_matches(name, valid, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return (
        f"unknown option {name!r}{meant} (valid: {', '.join(sorted(valid))}); anything else that Transformers takes: "
        "load the model with it, and use Explainer(model, processor)"
    )


def _dtype_name(dtype: Any) -> str | None:
    """A key of `DTYPES`; None for the default.

    Raises:
        InputError: no dtype that models run in.
    """
    if dtype is None:
        return None
    said = str(dtype) if isinstance(dtype, str) or str(dtype).startswith("torch.") else ""
    if said.removeprefix("torch.") in DTYPES:
        return said.removeprefix("torch.")
    shown = said or f"a value of type {type(dtype).__name__}"
    raise unknown_name("dtype", shown[:60], DTYPES)


def check_device_name(device: Any) -> str | None:
    """A device as text, whether it is here or not; None for the best one.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps", "auto", a `torch.device`, or a GPU's number.

    Raises:
        InputError: no name of a device.
    """
    if device is None or device == "auto":
        return None if device is None else "auto"
    if isinstance(device, int) and not isinstance(device, bool) and 0 <= device < 1000:
        device = f"cuda:{device}"
    import torch  # not before it is needed: `wherelook --help` does without

    if isinstance(device, torch.device):
        device = str(device)
    if not isinstance(device, str):
        raise expected("device", "cpu, cuda, cuda:N, mps or auto (for a map of layers load the model yourself)", device)
    try:
        torch.device(device)
    except RuntimeError:
        raise InputError(f"unknown device {device!r}; expected cpu, cuda, cuda:N, mps or auto") from None
    return device


def check_device(device: Any) -> str:
    """A device that exists here; see `check_device_name`.

    Raises:
        InputError: no such device on this machine.
    """
    import torch

    name = check_device_name(device)
    if name is None:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "auto":
        return name
    wanted = torch.device(name)
    missing_cuda = wanted.type == "cuda" and (wanted.index or 0) >= torch.cuda.device_count()
    missing_mps = wanted.type == "mps" and not torch.backends.mps.is_available()
    if missing_cuda or missing_mps or wanted.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"device {name!r} is not available here: this machine has {', '.join(_devices())}")
    return name


def _devices() -> list[str]:
    import torch

    found = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return found + (["mps"] if torch.backends.mps.is_available() else [])
