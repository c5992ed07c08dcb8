"""Loads a model and its processor from a hub id or a folder; every way this fails is one line that says what to do."""

from __future__ import annotations

import importlib.util
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedModel,
    ProcessorMixin,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from wherelook.types import InputError, WherelookError

EMBEDDED = "embedded"
"""The name of the small model that comes with the package."""

DTYPES = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load(
    name: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Loads an image-text-to-text model and its processor; weights from safetensors only.

    Args:
        name: hub id, local folder, or "embedded".
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" to spread the layers over all devices; None takes the first
            accelerator, else the CPU.
        dtype: one of `DTYPES`; None takes the checkpoint's on an accelerator and float32 on the CPU.
        revision: branch, tag or commit on the hub.
        trust_remote_code: runs Python code that comes with the model.

    Raises:
        InputError: unknown device or dtype, no such model, a broken folder, not an image-text-to-text model, weights
            that are not safetensors, or a package that the model's processor needs is missing.
    """
    device = check_device(device)
    if dtype is None:
        dtype = "float32" if device == "cpu" else "auto"
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r}; valid: {', '.join(DTYPES)}")
    place = locate(name)
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    transformers.utils.logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(place, **options)
        processor = load_processor(place, **options)
        model = AutoModelForImageTextToText.from_pretrained(
            place, config=config, dtype=DTYPES[dtype], device_map=device, use_safetensors=True, **options
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, AttributeError) as error:
        raise explain_failure(name, error) from error
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise InputError(
            f"model {name!r} has no processor for images and text (found {type(processor).__name__}): "
            "expected preprocessor_config.json and tokenizer files beside the weights"
        )
    return model.eval(), processor


def load_processor(place: str, **options: Any) -> ProcessorMixin:
    """A model's processor; without its video part where that alone needs torchvision, which is not installed.

    The image part of such a processor runs on Pillow and gives the same tensors.
    """
    try:
        return AutoProcessor.from_pretrained(place, **options)
    except ImportError as error:
        if "VideoProcessor requires the Torchvision library" not in str(error) or options.get("trust_remote_code"):
            raise
    settings, _ = ProcessorMixin.get_processor_dict(place, **options)
    name = settings.get("processor_class")
    config = AutoConfig.from_pretrained(place, **options)
    full: Any = getattr(transformers, name) if name else PROCESSOR_MAPPING[type(config)]

    class ImageOnly(full):  # type: ignore[misc, valid-type]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name == "video_processor":
                return type(None)
            return super().check_argument_for_proper_class(argument_name, argument)

    ImageOnly.__name__ = full.__name__  # processors choose their files by it
    parts = {
        "image_processor": AutoImageProcessor.from_pretrained(place, **options),
        "tokenizer": AutoTokenizer.from_pretrained(place, **options),
        "video_processor": None,
    }
    return ImageOnly.from_args_and_dict([parts[attribute] for attribute in full.get_attributes()], settings)


def check_device(device: str | None) -> str:
    """A device that exists here.

    Raises:
        InputError: no such device on this machine.
    """
    if device is None:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
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


def locate(name: str) -> str:
    """The folder of a model's name, or the name itself when it is a hub id.

    Raises:
        InputError: a path that is no model folder, or a name that is neither path nor hub id.
    """
    if name == EMBEDDED:
        return str(files("wherelook.models") / "embedded")
    path = Path(name).expanduser()
    try:
        exists = path.exists()
    except OSError:
        exists = False
    if exists:
        if not path.is_dir():
            raise InputError(f"model {name!r} is a file; expected a model folder (with config.json) or a hub id")
        if not (path / "config.json").is_file():
            raise InputError(f"model folder {name!r} has no config.json; expected a save_pretrained folder")
        return str(path)
    if not name.strip() or name.startswith((".", "/", "~")) or name.count("/") != 1 or "\x00" in name:
        raise InputError(f"no model folder {name!r}; expected a folder, a hub id 'owner/name', or 'embedded'")
    return name


def explain_failure(name: str, error: Exception) -> WherelookError:
    """One line for what Transformers raised while loading `name`."""
    text = " ".join(str(error).split())
    lower = text.lower()
    if "nms does not exist" in lower:
        return InputError(
            "the installed torchvision was built for another torch and breaks model loading: "
            "install a matching pair, or `pip uninstall torchvision` (it is optional for most models)"
        )
    if "torchvision" in lower and importlib.util.find_spec("torchvision") is None:
        return InputError(f"the processor of {name!r} needs torchvision: pip install torchvision")
    if "trust_remote_code" in lower or "contains custom code" in lower:
        return InputError(
            f"model {name!r} brings its own Python code, which is not run by default: read it, "
            "then pass --trust-remote-code"
        )
    if isinstance(error, ImportError):
        return InputError(f"model {name!r} needs a package that is missing: {text[:300]}")
    if "unrecognized configuration class" in lower:
        return InputError(f"model {name!r} is not an image-text-to-text model: {text[:160]}")
    if "safetensors" in lower and ("no file named" in lower or "does not appear" in lower):
        return InputError(f"model {name!r} has no safetensors weights; pickled weights are not loaded")
    if "not a local folder" in lower or "couldn't connect" in lower or "cannot find the requested" in lower:
        return InputError(
            f"model {name!r} is neither a local folder nor reachable on the Hugging Face hub: "
            "check the name, the network, and for gated models `hf auth login`"
        )
    if torch.cuda.is_available() and "out of memory" in lower:
        return WherelookError(f"model {name!r} does not fit: use --dtype bfloat16 or --device auto")
    return InputError(f"model {name!r} cannot be loaded: {text[:300]}")
