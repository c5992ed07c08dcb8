"""Loads a model and its processor from a hub id or a folder; every way this fails is one line that says what to do."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import replace
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
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils.hub import cached_file
from transformers.utils.import_utils import is_torchvision_available
from transformers.utils.peft_utils import find_adapter_config_file

from wherelook.errors import InputError, WherelookError, how_to_install
from wherelook.load_options import LoadOptions, model_name
from wherelook.models import photos
from wherelook.models.endpoint.address import is_address
from wherelook.models.huggingface.model_folder import adapter_error, check_configuration, check_file, check_folder
from wherelook.models.huggingface.quantization import keep_differentiable, quantization_config, weightless
from wherelook.models.huggingface.sane_settings import check_config_numbers, check_no_kernels, check_processor_numbers
from wherelook.models.huggingface.weight_index import SAFE_INDEX, check_name, check_weights, read_index, read_json
from wherelook.models.ports import cambrian, minigemini
from wherelook.models.speedups.precision import bfloat16_pays
from wherelook.models.zoo import BUNDLED, MAKE_PHOTOS, PHOTOS, PREFIX, is_model, photos_folder, zoo_folder


def torch_dtype(name: str | None) -> torch.dtype | str:
    """The dtype of a name of `DTYPES`; "auto" is the checkpoint's."""
    return "auto" if name in (None, "auto") else getattr(torch, str(name))


HUB_ID = re.compile(r"\w[\w.\-]*/\w[\w.\-]*", re.ASCII)

__all__ = ["load", "load_configuration", "load_processor", "locate"]


def load(name: str, options: LoadOptions) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Loads an image-text-to-text model and its processor; weights from safetensors only.

    The model is in evaluation mode, and no weight asks for a gradient. Everything that can be seen to be wrong without
    the weights is found before they are read.

    Args:
        name: hub id, local folder, "photos", "embedded", "things", or zoo:NAME.
        options: its device, dtype, revision, trust_remote_code, quantize and attn_implementation are followed.

    Raises:
        InputError: a device that is not here, no such model, a broken folder, not an image-text-to-text
            model, an adapter, weights that are not safetensors, not inside the folder or do not fit the model, or a
            package that the model's processor or its quantization needs is missing.
    """
    chosen = options.placed()
    name = model_name(name)
    place = locate(name)
    local = Path(place).is_dir()
    if chosen.revision is not None and local:
        raise InputError(f"--revision {chosen.revision!r} is for models on the hub; {name!r} is a folder")
    passed: dict[str, Any] = {"revision": chosen.revision, "trust_remote_code": chosen.trust_remote_code}
    config = load_configuration(name, **passed)
    check_answers(name, config, trust_remote_code=chosen.trust_remote_code)
    short = getattr(config, "dtype", None) == torch.bfloat16
    if short and options.dtype is None and chosen.device == "cpu" and bfloat16_pays():
        chosen = replace(chosen, dtype="bfloat16")
    quantization = None
    if chosen.quantize is not None:
        own: Any = getattr(config, "dtype", None) if chosen.dtype == "auto" else torch_dtype(chosen.dtype)
        quantization = quantization_config(chosen.quantize, config, device=chosen.device, dtype=own)
    if not local:  # what was checked is what is read, should the branch move meanwhile
        passed["revision"] = getattr(config, "_commit_hash", None) or chosen.revision
    part = "processor"
    try:
        processor = load_processor(place, **passed)
        check_processor_numbers(processor, name)
        part = "weights"
        check_weight_files(place, config, passed["revision"])
        if chosen.attn_implementation is not None:
            passed["attn_implementation"] = chosen.attn_implementation
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):  # weights that are missing are drawn
            loaded: Any = AutoModelForImageTextToText.from_pretrained(
                place,
                config=config,
                dtype=torch_dtype(chosen.dtype),
                device_map=chosen.device,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are in the report, and refused below
                quantization_config=quantization,
                key_mapping=cambrian.renamed_weights(config.model_type),
                **passed,
            )
    except WherelookError:
        raise
    except Exception as error:  # libraries raise every type, down to bare Exception, on damaged files
        if part == "weights" and not _can_be_built(config):
            part = "config.json"
        raise explain_failure(name, part, error) from error
    model, report = loaded
    check_complete(name, report)
    keep_differentiable(model)
    return model.eval().requires_grad_(False), processor


def load_configuration(name: str, **options: Any) -> PreTrainedConfig:
    """A model's configuration; `options` as for Transformers.

    Raises:
        InputError: there is none, it cannot be read, it is an adapter's or other software's, or its sizes are
            impossible.
    """
    cambrian.register()
    minigemini.register()
    photos.register()
    place = locate(name)
    trusted = bool(options.get("trust_remote_code"))
    try:
        adapter = None if Path(place).is_dir() else find_adapter_config_file(place, revision=options.get("revision"))
        if adapter is not None:
            raise adapter_error(f"repository {name!r}", read_json(Path(adapter)))
        content, _ = PreTrainedConfig.get_config_dict(place, **options)
        check_configuration(content, name, remote_code=trusted)
        check_config_numbers(content, name)
        if not trusted:
            check_no_kernels(content, name)
        result: PreTrainedConfig = AutoConfig.from_pretrained(place, **options)
        return result
    except WherelookError:
        raise
    except Exception as error:  # as above
        raise explain_failure(name, "config.json", error) from error


def check_answers(name: str, config: PreTrainedConfig, *, trust_remote_code: bool) -> None:
    """Refuses a model that reads no images, writes no answers, or reads and writes apart.

    Raises:
        InputError: says what the model is.
    """
    if trust_remote_code and getattr(config, "auto_map", None):
        return  # its own code says what it is
    kind = type(config).__name__
    if type(config) not in AutoModelForImageTextToText._model_mapping:
        what = "an encoder, or a model for another task"
        if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not hasattr(config, "vision_config"):
            what = "a language model, which reads text alone"
        elif getattr(config, "is_encoder_decoder", False):
            what = "an encoder-decoder model"
        raise InputError(
            f"model {name!r} is not an image-text-to-text model ({kind}): it is {what}; `wherelook models` lists the "
            "families that are"
        )
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(f"model {name!r} ({kind}) is an encoder-decoder model; only decoder models are supported")


def check_weight_files(place: str, config: PreTrainedConfig, revision: str | None) -> None:
    """Refuses weights that are not safetensors of this model, by their names, before one of them is opened.

    Raises:
        InputError: see `wherelook.models.huggingface.weight_index`.
    """
    named = getattr(config, "transformers_weights", None)
    if Path(place).is_dir():
        check_weights(Path(place), named=named)
        return
    if named is not None:
        check_name(str(named), Path(place, "config.json"), (".safetensors", ".safetensors.index.json"))
    index = str(named) if str(named).endswith(".index.json") else SAFE_INDEX
    found = cached_file(
        place,
        index,
        revision=revision,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    if found is not None:
        read_index(Path(found))


def _can_be_built(config: PreTrainedConfig) -> bool:
    """Whether a configuration describes a model at all, whatever its weights."""
    try:
        weightless(config)
    except Exception:  # of any type: what Transformers makes of impossible settings
        return False
    return True


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
    except Exception as error:  # a missing video part ends in errors of several types, a recursion among them
        if is_torchvision_available() or options.get("trust_remote_code"):
            raise
        try:
            processor = load_image_only_processor(place, **options)
        except Exception:
            raise error from None
    if not hasattr(processor, "tokenizer") or not hasattr(processor, "image_processor"):
        raise InputError(
            f"found {type(processor).__name__}, which is no processor for images and text: expected "
            "preprocessor_config.json or processor_config.json, and tokenizer files, beside the weights"
        )
    result: ProcessorMixin = processor
    return result


def load_image_only_processor(place: str, **options: Any) -> ProcessorMixin:
    """A processor whose video part is left out. Its image part runs on Pillow and gives the same tensors."""
    settings, _ = ProcessorMixin.get_processor_dict(place, **options)
    name = settings.get("processor_class")
    config = AutoConfig.from_pretrained(place, **options)
    full: Any = getattr(transformers, name) if name else PROCESSOR_MAPPING[type(config)]

    if "video_processor" not in full.get_attributes():
        raise TypeError(f"{full.__name__} has no video part to leave out")

    class ImageOnly(full):  # type: ignore[misc]  # a class that is found at run time
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
    result: ProcessorMixin = ImageOnly.from_args_and_dict(
        [parts[attribute] for attribute in full.get_attributes()], settings
    )
    return result


def quiet() -> None:
    """No progress bars of Transformers and the hub in this process, for output that is not a terminal."""
    transformers.utils.logging.disable_progress_bar()


def locate(name: str) -> str:
    """The folder of a model's name, or the name itself when it is a hub id.

    Raises:
        InputError: a path that is no model folder, a name that is neither path nor hub id, or no such model in the zoo.
    """
    if name in BUNDLED or name.startswith(PREFIX):
        return str(zoo_folder(name.removeprefix(PREFIX)))
    if name == PHOTOS:
        if not is_model(photos_folder()):
            raise InputError(f"the model {PHOTOS!r} is not made yet: {MAKE_PHOTOS}")
        return str(photos_folder())
    path = Path(name).expanduser()
    try:
        exists = bool(name.strip()) and path.exists()
    except OSError:  # a name too long for the file system
        exists = False
    if exists:
        if not path.is_dir():
            raise check_file(path, name)
        try:
            check_folder(path, name)
        except OSError as error:
            raise InputError(f"model folder {name!r} cannot be read: {error.strerror or error}") from None
        return str(path)
    if is_address(name):
        raise InputError(
            f"{name[:200]!r} is the address of an endpoint, which `wherelook explain`, `run` and `evaluate` can ask"
        )
    if not HUB_ID.fullmatch(name):
        raise InputError(
            f"no model folder {name[:200]!r}; expected a folder, a hub id 'owner/name', 'photos', 'embedded' or "
            "'things'; `wherelook zoo` lists more"
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
        "model {name} is quantized with bitsandbytes, which is missing or too old: " + how_to_install("quantized"),
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
    if part == "config.json" and "JSON" not in text:
        return InputError(f"the config.json of model {name!r} describes no model that can be built: {short}")
    if isinstance(error, ImportError):
        return InputError(f"model {name!r} needs a package that is missing: {short}")
    return InputError(f"the {part} of model {name!r} cannot be used: {short}")
