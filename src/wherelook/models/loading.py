"""Loads a model and its processor from a hub id or a folder; every way this fails is one line that says what to do."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
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
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from wherelook.address import is_address
from wherelook.errors import InputError, WherelookError
from wherelook.models import cambrian, minigemini
from wherelook.models.quantization import keep_differentiable, quantization_config
from wherelook.models.zoo import BUNDLED, PREFIX, zoo_folder

HUB_ID = re.compile(r"\w[\w.\-]*/\w[\w.\-]*", re.ASCII)

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
    quantize: str | None = None,
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Loads an image-text-to-text model and its processor; weights from safetensors only.

    The model is in evaluation mode, and no weight asks for a gradient.

    Args:
        name: hub id, local folder, "embedded", "things", or zoo:NAME.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" to spread the layers over all devices; None takes the first
            accelerator, else the CPU.
        dtype: one of `DTYPES`; None takes the checkpoint's on an accelerator and float32 on the CPU.
        revision: branch, tag or commit on the hub.
        trust_remote_code: runs Python code that comes with the model.
        quantize: keeps the weights of linear layers in fewer bits: a name of `QUANTIZATIONS`. A checkpoint that was
            quantised before loads without it.

    Raises:
        InputError: unknown device, dtype or quantisation, no such model, a broken folder, not an image-text-to-text
            model, weights that are not safetensors or do not fit the model, or a package that the model's processor or
            its quantisation needs is missing.
    """
    device = check_device(device)
    if dtype is None:
        dtype = "float32" if device == "cpu" else "auto"
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r}; valid: {', '.join(DTYPES)}")
    place = locate(name)
    if revision is not None and Path(place).is_dir():
        raise InputError(f"--revision {revision!r} is for models on the hub; {name!r} is a folder")
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    config = load_configuration(name, **options)
    quantization = None
    if quantize is not None:
        own: Any = getattr(config, "dtype", None) if dtype == "auto" else DTYPES[dtype]
        quantization = quantization_config(quantize, config, device=device, dtype=own)
    part = "processor"
    try:
        processor = load_processor(place, **options)
        part = "weights"
        with torch.random.fork_rng(devices=[]):  # weights that the checkpoint lacks are drawn
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                place,
                config=config,
                dtype=DTYPES[dtype],
                device_map=device,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are in the report, and refused below
                quantization_config=quantization,
                key_mapping=cambrian.renamed_weights(config.model_type),
                **options,
            )
    except Exception as error:  # libraries raise every type, down to bare Exception, on damaged files
        raise explain_failure(name, part, error) from error
    model, report = loaded
    check_complete(name, report)
    keep_differentiable(model)
    return model.eval().requires_grad_(False), processor


def load_configuration(name: str, **options: Any) -> PreTrainedConfig:
    """A model's configuration; `options` as for Transformers.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    cambrian.register()
    minigemini.register()
    place = locate(name)
    try:
        return AutoConfig.from_pretrained(place, **options)
    except Exception as error:  # as above
        raise explain_failure(name, "config.json", error) from error


def check_complete(name: str, report: Mapping[str, Any]) -> None:
    """Refuses a checkpoint that leaves weights at random values, which Transformers only warns about.

    Args:
        name: the model's name, for the message.
        report: Transformers' loading information.

    Raises:
        InputError: tensors of the model are missing from the checkpoint, or have another shape there.
    """
    bad = sorted(report["missing_keys"]) + sorted(key for key, *_ in report["mismatched_keys"])
    if bad:
        raise InputError(
            f"the weights of model {name!r} do not fit its config.json: {len(bad)} tensors are missing or of another "
            f"shape and would stay random, such as {bad[0]}; the download may be incomplete"
        )


def load_processor(place: str, **options: Any) -> ProcessorMixin:
    """A model's processor; without its video part where that alone needs torchvision, which is not installed.

    Raises:
        InputError: the files make no processor for images and text.
        Exception: what Transformers raises on missing or damaged files.
    """
    try:
        processor = AutoProcessor.from_pretrained(place, **options)
    except ImportError as error:
        if "VideoProcessor requires the Torchvision library" not in str(error) or options.get("trust_remote_code"):
            raise
        processor = load_image_only_processor(place, **options)
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise InputError(
            f"found {type(processor).__name__}, which is no processor for images and text: expected "
            "preprocessor_config.json or processor_config.json, and tokenizer files, beside the weights"
        )
    return processor


def load_image_only_processor(place: str, **options: Any) -> ProcessorMixin:
    """A processor whose video part is left out. Its image part runs on Pillow and gives the same tensors."""
    settings, _ = ProcessorMixin.get_processor_dict(place, **options)
    name = settings.get("processor_class")
    config = AutoConfig.from_pretrained(place, **options)
    full: Any = getattr(transformers, name) if name else PROCESSOR_MAPPING[type(config)]

    class ImageOnly(full):
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


def quiet() -> None:
    """No progress bars of Transformers and the hub in this process, for output that is not a terminal."""
    transformers.utils.logging.disable_progress_bar()


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
        InputError: a path that is no model folder, a name that is neither path nor hub id, or no such model in the zoo.
    """
    if name in BUNDLED or name.startswith(PREFIX):
        return str(zoo_folder(name.removeprefix(PREFIX)))
    path = Path(name).expanduser()
    try:
        exists = bool(name.strip()) and path.exists()
    except OSError:  # a name too long for the file system
        exists = False
    if exists:
        if not path.is_dir():
            raise InputError(f"model {name!r} is a file; expected a model folder (with config.json) or a hub id")
        if not (path / "config.json").is_file():
            raise InputError(f"model folder {name!r} has no config.json; expected a save_pretrained folder")
        return str(path)
    if is_address(name):
        raise InputError(
            f"{name[:200]!r} is the address of an endpoint, which `wherelook explain`, `run` and `evaluate` can ask"
        )
    if not HUB_ID.fullmatch(name):
        raise InputError(
            f"no model folder {name[:200]!r}; expected a folder, a hub id 'owner/name', 'embedded' or 'things'; "
            "`wherelook zoo` lists more"
        )
    return name


# Part of what a library says when loading fails (a regular expression), and what the user is told.
REASONS = (
    (
        "trust_remote_code|contains custom code",
        "model {name} brings its own Python code, which is not run by default: read it, then pass --trust-remote-code",
    ),
    (
        r"unrecognized configuration class .*?(\w+)'>",
        "model {name} is not an image-text-to-text model ({found}): `wherelook models` lists the families that are",
    ),
    (
        "bitsandbytes",
        "model {name} is quantised with bitsandbytes, which is missing or too old: pip install 'wherelook[quantized]'",
    ),
    (
        "does not recognize this architecture",
        "model {name} is of a family that the installed Transformers does not know: pip install --upgrade transformers",
    ),
    (
        "`model_type` key",
        "the config.json of model {name} names no model_type; expected a save_pretrained folder",
    ),
    (
        "backend tokenizer",
        "model {name} has no tokenizer that can be loaded: expected tokenizer.json; "
        "for a tokenizer.model: pip install sentencepiece tiktoken",
    ),
    (
        "load image processor",
        "model {name} has no preprocessor_config.json or processor_config.json beside its weights",
    ),
    (
        "(?:no file named|does not appear).*safetensors|safetensors.*(?:no file named|does not appear)",
        "model {name} has no safetensors weights; pickled weights are not loaded: convert them with save_pretrained",
    ),
    (
        "error while deserializing",
        "the weights of model {name} are damaged or incomplete ({text}): download them again",
    ),
    (
        "not a local folder|couldn't connect|cannot find the requested|not a valid git identifier",
        "model {name} is neither a local folder nor to be had from the Hugging Face hub: check the name, the revision "
        "and the network, and for gated models `hf auth login`",
    ),
)


def explain_failure(name: str, part: str, error: Exception) -> WherelookError:
    """One line for what a library raised while loading a model.

    Args:
        name: the model's name.
        part: what was being loaded: config.json, processor or weights.
        error: what was raised.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    short = text if len(text) <= 300 else f"{text[:300].rstrip()} ..."
    if isinstance(error, torch.OutOfMemoryError):
        return WherelookError(f"model {name!r} does not fit: use --dtype bfloat16 or --device auto")
    if "torchvision" in text.lower() and importlib.util.find_spec("torchvision") is None:
        return InputError(f"the processor of {name!r} needs torchvision: pip install torchvision")
    for pattern, message in REASONS:
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            return InputError(message.format(name=repr(name), text=short, found=found[found.lastindex or 0]))
    if isinstance(error, ImportError):
        return InputError(f"model {name!r} needs a package that is missing: {short}")
    return InputError(f"the {part} of model {name!r} cannot be used: {short}")
