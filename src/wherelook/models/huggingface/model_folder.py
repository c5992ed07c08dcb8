"""What a folder or file is that holds no model that can be loaded here, and the way that works instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wherelook.errors import InputError
from wherelook.models.huggingface.weight_index import read_json

LOADED = "wherelook.Explainer(model, processor)"
SERVER = "serve it, and give its address (docs/endpoints.md)"
ORIGINAL = "the checkpoint that it was made from"

ADAPTER = (
    "{what} holds a PEFT adapter ({kind}) of {base}: merge it (`merge_and_unload` of peft, then save_pretrained of "
    "model and processor), or load both yourself and use " + LOADED
)

FORMATS = (
    ("*.gguf", f"holds GGUF weights (llama.cpp), which give no gradients: {SERVER}, or load {ORIGINAL}"),
    ("*.onnx", f"holds an ONNX export: load {ORIGINAL}"),
    ("onnx/*.onnx", f"holds an ONNX export: load {ORIGINAL}"),
    ("openvino_model*.xml", f"holds an OpenVINO export: load {ORIGINAL}"),
    ("*.mlpackage", f"holds a Core ML export: load {ORIGINAL}"),
    ("*.engine", f"holds TensorRT engines: load {ORIGINAL}"),
    ("*.nemo", "holds a NeMo checkpoint: convert it to Transformers' format"),
    ("consolidated*", "holds weights in the format of their authors: use the checkpoint converted for Transformers"),
    ("params.json", "holds weights in the format of their authors: use the checkpoint converted for Transformers"),
    ("weights*.npz", f"holds an MLX conversion: load {ORIGINAL}"),
    ("tf_model.h5", "holds TensorFlow weights: convert them with save_pretrained"),
    ("flax_model*.msgpack", "holds Flax weights: convert them with save_pretrained"),
)
"""A pattern of files that are no model here without others, and what the user is told."""

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json", "tokenizer_config.json", "tokenizer.json")
NO_MODEL = "expected a save_pretrained folder"


def check_folder(folder: Path, name: str) -> None:
    """Refuses a folder that holds no model, an adapter, or a model in another format, by name.

    Raises:
        InputError: says what it holds, and the way that works.
    """
    what = f"model folder {name!r}"
    if (folder / "adapter_config.json").is_file():
        raise adapter_error(what, read_json(folder / "adapter_config.json"))
    if (folder / "config.json").is_file():
        if not any(folder.glob("*.safetensors*")):
            _check_formats(folder, what)
        return
    if (folder / "model_index.json").is_file():
        raise InputError(f"{what} is a diffusers pipeline, which answers no questions: {NO_MODEL}")
    _check_formats(folder, what)
    inner = _models_below(folder)
    if inner:
        raise InputError(f"{what} has no config.json, but {str(inner[0])!r} below it has: name that")
    if not any(folder.iterdir()):
        raise InputError(f"{what} has no config.json: it is empty; {NO_MODEL}")
    if any((folder / file).is_file() for file in PROCESSOR_FILES):
        raise InputError(f"{what} has no config.json: it holds a processor or tokenizer without a model; {NO_MODEL}")
    raise InputError(f"{what} has no config.json; {NO_MODEL}")


def check_file(file: Path, name: str) -> InputError:
    """The error for a file where a folder is expected."""
    for pattern, message in FORMATS:
        if file.match(pattern):
            return InputError(f"model {name!r} is a file that {message}")
    return InputError(f"model {name!r} is a file; expected a model folder (with config.json) or a hub id")


def adapter_error(what: str, adapter: Mapping[str, Any]) -> InputError:
    """The error for an adapter; `adapter` is the content of its adapter_config.json."""
    base, kind = adapter.get("base_model_name_or_path"), adapter.get("peft_type")
    return InputError(
        ADAPTER.format(
            what=what,
            kind=kind if isinstance(kind, str) and len(kind) < 40 else "of unknown kind",
            base=repr(base[:100]) if isinstance(base, str) and base else "another model",
        )
    )


def check_configuration(config: Mapping[str, Any], name: str, *, remote_code: bool) -> None:
    """Refuses configurations of other software that Transformers would misread or not know.

    Args:
        config: the content of config.json.
        name: of the model.
        remote_code: whether code that comes with the model may be run.

    Raises:
        InputError: says what the model is, and the way that works.
    """
    own_code = remote_code and "auto_map" in config
    if "mm_vision_tower_aux_token_len_list" in config or config.get("mm_projector_type") == "sva":
        raise InputError(
            f"model {name!r} is a published Cambrian checkpoint: convert it with `python -m "
            "wherelook.models.ports.cambrian.convert CHECKPOINT OUT`"
        )
    if "mm_vision_tower_aux" in config and "mm_hidden_size_aux" in config:
        raise InputError(
            f"model {name!r} is a published Mini-Gemini checkpoint: convert it with `python -m "
            "wherelook.models.ports.minigemini.convert CHECKPOINT OUT`"
        )
    kind = config.get("model_type")
    original = "mm_vision_tower" in config or (str(kind).startswith(("llava_", "llava-")) and _foreign(kind))
    if original and not own_code:
        raise InputError(
            f"model {name!r} is in the format of the original LLaVA code ({kind!r:.60}): use the checkpoint converted "
            "for Transformers (llava-hf/... on the hub)"
        )
    layout = config.get("quantization")
    if isinstance(layout, Mapping) and "group_size" in layout and "quantization_config" not in config:
        raise InputError(f"model {name!r} is an MLX conversion: load {ORIGINAL}, or {SERVER}")
    if "_diffusers_version" in config:
        raise InputError(f"model {name!r} is a part of a diffusers pipeline, which answers no questions: {NO_MODEL}")


def _foreign(kind: Any) -> bool:
    """Whether Transformers does not know a `model_type`."""
    from transformers import CONFIG_MAPPING

    return kind not in CONFIG_MAPPING


def _check_formats(folder: Path, what: str) -> None:
    for pattern, message in FORMATS:
        if any(folder.glob(pattern)):
            raise InputError(f"{what} {message}")
    if any(file.name != "training_args.bin" for pattern in PICKLED for file in folder.glob(pattern)):
        raise InputError(
            f"{what} has no safetensors weights; pickled weights are not loaded: convert them with save_pretrained"
        )


def _models_below(folder: Path) -> list[Path]:
    """Folders with a config.json directly below, or in the snapshots of a hub cache; the newest first."""
    found = [path.parent for pattern in ("*/config.json", "snapshots/*/config.json") for path in folder.glob(pattern)]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
