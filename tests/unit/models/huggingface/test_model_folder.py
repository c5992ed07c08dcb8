"""Folders that hold no model that can be loaded: each is named for what it is, with the way that works."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file
from tools import families

from processes import Command
from wherelook.errors import InputError
from wherelook.load_options import LoadOptions
from wherelook.models.huggingface.loading import load
from wherelook.models.huggingface.model_folder import check_folder

CONFIG = {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"]}
TEXT = {
    "model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "vocab_size": 9,
}  # fmt: skip
ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "llava-hf/llava-1.5-7b-hf"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("llava")
    model, processor = families.build("llava")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def make(folder: Path, files: dict[str, object]) -> Path:
    """A folder of these files: objects as JSON, text and bytes as they are, None as an empty file."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        path.write_bytes(data)
    return folder


KINDS = {
    "empty": ({}, "has no config.json: it is empty"),
    "adapter": (
        {"adapter_config.json": ADAPTER, "adapter_model.safetensors": None},
        r"holds a PEFT adapter \(LORA\) of 'llava-hf/llava-1.5-7b-hf': merge it \(`merge_and_unload` .* or load both "
        r"yourself and use wherelook.Explainer\(model, processor\)",
    ),
    "adapter-pickled": ({"adapter_config.json": {}, "adapter_model.bin": None}, "adapter .* of another model: merge"),
    "adapter-broken": ({"adapter_config.json": b"{"}, "adapter_config.json' cannot be read as JSON"),
    "gguf": ({"model-Q4_K_M.gguf": None, "mmproj.gguf": None}, "holds GGUF weights .* give its address"),
    "gguf-config": ({"config.json": CONFIG, "model.gguf": None}, "holds GGUF weights"),
    "onnx": ({"config.json": CONFIG, "onnx/decoder.onnx": None}, "holds an ONNX export: load the checkpoint that"),
    "openvino": ({"config.json": CONFIG, "openvino_model.xml": None}, "holds an OpenVINO export"),
    "tensorflow": ({"config.json": CONFIG, "tf_model.h5": None}, "holds TensorFlow weights: convert"),
    "flax": ({"config.json": CONFIG, "flax_model.msgpack": None}, "holds Flax weights: convert"),
    "authors": ({"params.json": {}, "consolidated.safetensors": None}, "in the format of their authors"),
    "authors-pickled": ({"params.json": {}, "consolidated.00.pth": None}, "in the format of their authors"),
    "mlx": (
        {"config.json": CONFIG | {"quantization": {"group_size": 64, "bits": 4}}, "model.safetensors": None},
        "is an MLX conversion: load the checkpoint that it was made from, or serve it",
    ),
    "mlx-npz": ({"config.json": CONFIG, "weights.npz": None}, "holds an MLX conversion"),
    "pickled": ({"config.json": CONFIG, "pytorch_model.bin": None}, "pickled weights are not loaded: convert them"),
    "pickled-no-config": ({"checkpoint.pth": None}, "pickled weights are not loaded: convert them"),
    "diffusers": ({"model_index.json": {}, "unet/config.json": {}}, "is a diffusers pipeline, which answers no"),
    "diffusers-part": (
        {"config.json": {"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.30"}},
        "is a part of a diffusers pipeline",
    ),
    "processor": (
        {"preprocessor_config.json": {}, "tokenizer.json": {}},
        "it holds a processor or tokenizer without a model",
    ),
    "above": ({"checkpoint-500/config.json": CONFIG}, "has no config.json, but '.*checkpoint-500' below it has: name"),
    "cache": ({"snapshots/abc/config.json": CONFIG, "blobs/1": None}, "but '.*snapshots/abc' below it has: name that"),
    "other": ({"notes.txt": None}, "has no config.json; expected a save_pretrained folder"),
    "llava-original": (
        {"config.json": {"model_type": "llava_llama", "mm_vision_tower": "x"}},
        r"is in the format of the original LLaVA code \('llava_llama'\): use the checkpoint converted for Transformers",
    ),
    "llava-old-original": ({"config.json": CONFIG | {"mm_vision_tower": "x"}}, "the original LLaVA code"),
    "llava-mistral": ({"config.json": {"model_type": "llava_mistral"}}, "the original LLaVA code"),
    "llava-qwen": ({"config.json": {"model_type": "llava_qwen"}}, "the original LLaVA code"),
    "cambrian": (
        {"config.json": {"model_type": "llava_llama", "mm_projector_type": "sva", "mm_vision_tower": "x"}},
        "is a published Cambrian checkpoint: convert it with `python -m wherelook.models.ports.cambrian.convert",
    ),
    "mini-gemini": (
        {"config.json": {"model_type": "mini_gemini", "mm_vision_tower_aux": "x", "mm_hidden_size_aux": 2880}},
        "is a published Mini-Gemini checkpoint: convert it with `python -m wherelook.models.ports.minigemini.convert",
    ),
    "text-only": ({"config.json": TEXT}, r"\(LlamaConfig\): it is a language model, which reads text alone"),
    "encoder": ({"config.json": {"model_type": "clip"}}, r"\(CLIPConfig\): it is an encoder, or a model for another"),
    "translation": ({"config.json": {"model_type": "t5"}}, r"\(T5Config\): it is an encoder-decoder model"),
    "encoder-decoder": (
        {"config.json": {"model_type": "florence2"}},
        r"\(Florence2Config\) is an encoder-decoder model; only decoder models are supported",
    ),
    "unknown": ({"config.json": {"model_type": "new"}}, "pip install --upgrade transformers"),
    "no-type": ({"config.json": {}}, "names no model_type"),
    "own-code": (
        {"config.json": {"model_type": "llava_qwen2", "mm_vision_tower": "x", "auto_map": {"AutoConfig": "a.B"}}},
        "the original LLaVA code",
    ),
    "kernel": (
        {"config.json": CONFIG | {"text_config": {"model_type": "llama", "attn_implementation": "someone/kernel"}}},
        r"asks for code from a hub \(text_config.attn_implementation = 'someone/kernel'\).*pass --trust-remote-code",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "message"), KINDS.values(), ids=KINDS.keys())
def test_what_a_folder_is(files, message, tmp_path):
    with pytest.raises(InputError, match=message) as raised:
        load(str(make(tmp_path, files)), LoadOptions(device="cpu"))
    assert "\n" not in str(raised.value)
    assert str(tmp_path) in str(raised.value)


@pytest.mark.parametrize("own", [{"adapter_config.json": ADAPTER}, {"adapter_config.json": ADAPTER, "x.bin": None}])
def test_an_adapter_beside_a_whole_model_is_not_ignored(folder, own, tmp_path):
    """Without peft Transformers loads the base model, and no one is told."""
    make(Path(shutil.copytree(folder, tmp_path / "model")), own)
    with pytest.raises(InputError, match=r"holds a PEFT adapter \(LORA\)"):
        load(str(tmp_path / "model"), LoadOptions(device="cpu"))


def test_files_beside_the_weights_that_do_not_matter(folder, tmp_path):
    files = dict.fromkeys(["pytorch_model.bin", "model.gguf", "onnx/model.onnx", "training_args.bin", "tf_model.h5"])
    place = make(Path(shutil.copytree(folder, tmp_path / "model")), files)
    (place / "pytorch_model.bin.index.json").write_text("{broken")
    model, _ = load(str(place), LoadOptions(device="cpu"))
    assert isinstance(model, transformers.LlavaForConditionalGeneration)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.gguf", r"is a file that holds GGUF weights \(llama.cpp\), which give no gradients: serve it"),
        ("model.onnx", "is a file that holds an ONNX export"),
        ("model.safetensors", r"is a file; expected a model folder \(with config.json\) or a hub id"),
    ],
)
def test_what_a_file_is(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(InputError, match=message):
        load(str(tmp_path / name), LoadOptions(device="cpu"))


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr("wherelook.models.huggingface.loading.check_folder", _refuse)
    with pytest.raises(InputError, match=r"model folder .* cannot be read: Permission denied"):
        load(str(tmp_path), LoadOptions(device="cpu"))


def _refuse(*_):
    raise PermissionError(13, "Permission denied")


def test_a_model_needs_no_other_file_to_be_one(tmp_path):
    save_file({"x": torch.zeros(1)}, make(tmp_path, {"config.json": CONFIG}) / "model.safetensors")
    check_folder(tmp_path, "x")


# ---- parts of the processor ----


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (["processor_config.json"], "has no preprocessor_config.json or processor_config.json"),
        (["tokenizer.json", "tokenizer_config.json"], "expected tokenizer.json"),
        (["tokenizer.json", "tokenizer_config.json", "processor_config.json", "chat_template.jinja"], "has no"),
    ],
)
def test_a_model_without_its_processor(folder, tmp_path, gone, message):
    place = Path(shutil.copytree(folder, tmp_path / "model"))
    for name in gone:
        (place / name).unlink()
    with pytest.raises(InputError, match=message):
        load(str(place), LoadOptions(device="cpu"))


WITHOUT_VIDEO = """
import json, sys
from pathlib import Path
import transformers
from wherelook.check import test_picture
from tools import families
from wherelook.models.huggingface import loading

transformers.utils.logging.set_verbosity_error()
assert not transformers.utils.is_torchvision_available()
for name in sys.argv[2:]:
    folder = Path(sys.argv[1], name)
    folder.mkdir()
    model, processor = families.build(name)
    model.config.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(processor.chat_template)
    own = ("image_seq_length", "patch_size", "num_additional_image_tokens", "vision_feature_select_strategy")
    settings = {key: getattr(processor, key) for key in own if hasattr(processor, key)}
    settings["processor_class"] = type(processor).__name__
    (folder / "processor_config.json").write_text(json.dumps(settings))
    loaded = loading.load_processor(str(folder))
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]
    text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    asked = {"text": [text], "images": [test_picture((90, 120))], "return_tensors": "pt"}
    first, second = processor(**asked), loaded(**asked)
    assert set(first) == set(second), name
    assert all((first[key] == second[key]).all() for key in first), name
    print(name)
"""


def test_without_torchvision_and_video_settings_images_still_work(tmp_path):
    """In a process of its own: the tests have a torchvision."""
    names = ["internvl", "qwen3_vl", "llava_next_video"]
    (tmp_path / "work").mkdir()
    done = Command((tmp_path, *names), tmp_path / "work", program=WITHOUT_VIDEO)
    _, output, errors = done.wait(300)
    assert output.split() == names, errors[-2000:]
