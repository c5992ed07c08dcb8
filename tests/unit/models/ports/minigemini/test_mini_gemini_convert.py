"""Converting published Mini-Gemini checkpoints: every key and shape at full size, and whole folders of a small one."""

from __future__ import annotations

import json
import re
import sys
from functools import partial

import pytest
import torch
from safetensors.torch import save_file
from tools import families
from tools.families.parts import make_tokenizer
from torch import Tensor
from transformers import AutoProcessor

from wherelook.check import test_picture as make_picture
from wherelook.errors import InputError
from wherelook.load_options import LoadOptions
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.loading import load
from wherelook.models.ports import checkpoint
from wherelook.models.ports.conversations import CONVERSATIONS, chat_template, conversation_for
from wherelook.models.ports.minigemini.convert import KEYS, convert, main, translate_config
from wherelook.models.ports.minigemini.modeling import MiniGeminiForConditionalGeneration

# What the published config.json files say: language model, then what all share, then HD.
LANGUAGE = {
    "2b": {"architectures": ["MGMGemmaForCausalLM"], "vocab_size": 256000, "hidden_size": 2048, "head_dim": 256,
           "intermediate_size": 16384, "num_hidden_layers": 18, "num_attention_heads": 8, "num_key_value_heads": 1},
    "7b": {"architectures": ["MGMLlamaForCausalLM"], "vocab_size": 32000, "hidden_size": 4096,
           "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32},
    "13b": {"architectures": ["MiniGeminiLlamaForCausalLM"], "vocab_size": 32000, "hidden_size": 5120,
            "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 40},
    "8b": {"architectures": ["MGMLlamaForCausalLM"], "vocab_size": 128256, "hidden_size": 4096, "rope_theta": 500000.0,
           "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8},
    "8x7b": {"architectures": ["MGMMixtralForCausalLM"], "vocab_size": 32000, "hidden_size": 4096,
             "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
             "num_local_experts": 8},
    "34b": {"architectures": ["MGMLlamaForCausalLM"], "vocab_size": 64000, "hidden_size": 7168,
            "intermediate_size": 20480, "num_hidden_layers": 60, "num_attention_heads": 56, "num_key_value_heads": 8},
}  # fmt: skip
SHARED = {"mm_vision_tower_aux": "openclip-convnext-large-d-320", "mm_hidden_size": 1024, "mm_hidden_size_aux": 2880,
          "image_size_aux": 768, "image_aspect_ratio": "pad", "mm_projector_type": "mlp2x_gelu",
          "mm_vision_select_layer": -2, "torch_dtype": "bfloat16"}  # fmt: skip
HD = {"image_size_aux": 1536, "image_grid": 2, "image_global": True}
CLIP = {"width": 1024, "inner": 4096, "layers": 24, "side": 336, "patch": 14}
CONVNEXT = {"widths": [192, 384, 768, 1536], "depths": [3, 3, 27, 3]}

SMALL_CLIP = {"width": 32, "inner": 64, "layers": 2, "side": 32, "patch": 8}
SMALL_CONVNEXT = {"widths": [8, 8, 16, 16], "depths": [1, 1, 2, 1]}
SMALL_TOWERS = {
    "vision_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
                      "image_size": 32, "patch_size": 8, "projection_dim": 32},
    "high_resolution_config": {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 2, 1]},
}  # fmt: skip


def rename_weights(weights: dict[str, Tensor], expected: dict[str, torch.Size]) -> dict[str, Tensor]:
    return checkpoint.rename_weights(weights, partial(checkpoint.rename, table=KEYS), expected, "Mini-Gemini")


def layers(shapes: dict[str, list[int]], name: str, *sizes: int) -> None:
    """A layer with weight and bias."""
    shapes[f"{name}.weight"] = list(sizes)
    shapes[f"{name}.bias"] = [sizes[0]]


def clip_shapes(width: int, inner: int, layers_: int, side: int, patch: int) -> dict[str, list[int]]:
    """As OpenAI's CLIP names them."""
    shapes: dict[str, list[int]] = {
        "embeddings.class_embedding": [width],
        "embeddings.patch_embedding.weight": [width, 3, patch, patch],
        "embeddings.position_embedding.weight": [(side // patch) ** 2 + 1, width],
    }
    layers(shapes, "pre_layrnorm", width)
    for index in range(layers_):
        name = f"encoder.layers.{index}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            layers(shapes, f"{name}.self_attn.{part}", width, width)
        layers(shapes, f"{name}.layer_norm1", width)
        layers(shapes, f"{name}.mlp.fc1", inner, width)
        layers(shapes, f"{name}.mlp.fc2", width, inner)
        layers(shapes, f"{name}.layer_norm2", width)
    layers(shapes, "post_layernorm", width)
    return {f"vision_model.{name}": shape for name, shape in shapes.items()}


def convnext_shapes(widths: list[int], depths: list[int]) -> dict[str, list[int]]:
    """As timm and OpenCLIP name them."""
    shapes: dict[str, list[int]] = {}
    layers(shapes, "stem.0", widths[0], 3, 4, 4)
    layers(shapes, "stem.1", widths[0])
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            layers(shapes, f"stages.{stage}.downsample.0", widths[stage - 1])
            layers(shapes, f"stages.{stage}.downsample.1", width, widths[stage - 1], 2, 2)
        for block in range(depth):
            name = f"stages.{stage}.blocks.{block}"
            shapes[f"{name}.gamma"] = [width]
            layers(shapes, f"{name}.conv_dw", width, 1, 7, 7)
            layers(shapes, f"{name}.norm", width)
            layers(shapes, f"{name}.mlp.fc1", 4 * width, width)
            layers(shapes, f"{name}.mlp.fc2", width, 4 * width)
    return shapes


def language_shapes(config: dict) -> dict[str, list[int]]:
    width, inner = config["hidden_size"], config["intermediate_size"]
    channels = config.get("head_dim", width // config["num_attention_heads"])
    queries, keys = config["num_attention_heads"] * channels, config["num_key_value_heads"] * channels
    shapes = {"model.embed_tokens.weight": [config["vocab_size"], width], "model.norm.weight": [width]}
    for index in range(config["num_hidden_layers"]):
        name = f"model.layers.{index}"
        shapes |= {f"{name}.{norm}_layernorm.weight": [width] for norm in ("input", "post_attention")}
        shapes |= {f"{name}.self_attn.q_proj.weight": [queries, width]}
        shapes |= {f"{name}.self_attn.{part}_proj.weight": [keys, width] for part in "kv"}
        shapes |= {f"{name}.self_attn.o_proj.weight": [width, queries]}
        if experts := config.get("num_local_experts"):
            shapes[f"{name}.block_sparse_moe.gate.weight"] = [experts, width]
            for expert in range(experts):
                shapes |= {
                    f"{name}.block_sparse_moe.experts.{expert}.{part}.weight": [width, inner]
                    if part == "w2"
                    else [inner, width]
                    for part in ("w1", "w2", "w3")
                }
        else:
            shapes |= {f"{name}.mlp.{part}_proj.weight": [inner, width] for part in ("gate", "up")}
            shapes |= {f"{name}.mlp.down_proj.weight": [width, inner]}
    if "Gemma" not in config["architectures"][0]:
        shapes["lm_head.weight"] = [config["vocab_size"], width]
    return shapes


def published_shapes(config: dict, clip: dict, convnext: dict, *, towers: bool = True) -> dict[str, list[int]]:
    """Every tensor of a published checkpoint."""
    low, high, text = clip["width"], sum(convnext["widths"]), config["hidden_size"]
    shapes = language_shapes(config)
    layers(shapes, "model.mm_projector.0", text, low)
    layers(shapes, "model.mm_projector.2", text, text)
    for name, width in (("query", low), ("aux", high), ("val", high)):
        layers(shapes, f"model.vlm_uni_{name}_projector.0", width)
        layers(shapes, f"model.vlm_uni_{name}_projector.1", low, width)
    if towers:
        renamed = {"layers_": clip["layers"], **{key: value for key, value in clip.items() if key != "layers"}}
        shapes |= {f"model.vision_tower.vision_tower.{name}": shape for name, shape in clip_shapes(**renamed).items()}
        shapes |= {f"model.vision_tower_aux.vision_{name}": s for name, s in convnext_shapes(**convnext).items()}
    return shapes


@pytest.mark.parametrize("hd", [False, True], ids=["plain", "hd"])
@pytest.mark.parametrize("name", LANGUAGE)
def test_every_tensor_of_a_published_model_has_its_place(name, hd):
    """At full size, without memory: each published tensor goes to another one of the same shape; none is left over."""
    config = {**LANGUAGE[name], **SHARED, **(HD if hd else {})}
    with torch.device("meta"):
        weights = {key: torch.empty(shape) for key, shape in published_shapes(config, CLIP, CONVNEXT).items()}
    native = translate_config(config)
    with torch.device("meta"):
        expected = checkpoint.expected_weights(MiniGeminiForConditionalGeneration(native))
    renamed = rename_weights(weights, expected)
    assert renamed.keys() == expected.keys()
    assert len(renamed) == len(weights)
    assert (native.image_grid, native.image_global, native.views) == ((2, True, 5) if hd else (1, False, 1))
    assert native.text_config.num_hidden_layers == LANGUAGE[name]["num_hidden_layers"]
    if name == "8b":
        assert native.text_config.rope_parameters["rope_theta"] == 500000.0


PLACES = {
    "model.vlm_uni_query_projector.0.weight": "model.mining.query.0.weight",
    "model.vlm_uni_aux_projector.1.bias": "model.mining.key.1.bias",
    "model.vlm_uni_val_projector.1.bias": "model.mining.value.1.bias",
    "model.mm_projector.2.bias": "model.multi_modal_projector.linear_2.bias",
    "model.vision_tower_aux.vision_stem.1.bias": "model.high_resolution_tower.embeddings.layernorm.bias",
    "model.vision_tower_aux.vision_stages.2.blocks.26.mlp.fc2.bias": (
        "model.high_resolution_tower.encoder.stages.2.layers.26.pwconv2.bias"
    ),
    "model.vision_tower_aux.vision_stages.3.blocks.0.norm.weight": (
        "model.high_resolution_tower.encoder.stages.3.layers.0.layernorm.weight"
    ),
    "model.norm.weight": "model.language_model.norm.weight",
}


def test_names_that_are_easily_mixed_up():
    expected = {name: torch.Size([1]) for name in PLACES.values()}
    weights = {name: torch.full([1], float(index)) for index, name in enumerate(PLACES)}
    renamed = rename_weights(weights, expected)
    assert {name: float(value) for name, value in renamed.items()} == {
        name: float(index) for index, name in enumerate(PLACES.values())
    }


# ---- whole folders ----

SMALL = {
    "llama": {"architectures": ["MGMLlamaForCausalLM"], "hidden_size": 32, "intermediate_size": 48,
              "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1},
}  # fmt: skip
SMALL_SETTINGS = {"mm_hidden_size": 32, "mm_hidden_size_aux": 48, "image_size_aux": 128, "torch_dtype": "float32",
                  "eos_token_id": 2, "model_type": "mgm"}  # fmt: skip
SMALL["mixtral"] = {**SMALL["llama"], "architectures": ["MGMMixtralForCausalLM"], "num_local_experts": 3}
SMALL["gemma"] = {**SMALL["llama"], "architectures": ["MGMGemmaForCausalLM"], "head_dim": 16}


def random_weights(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) * 0.2 for name, shape in shapes.items()}


def make_checkpoint(folder, *, kind="llama", towers=True, pickled=False, **changes):
    """A small published checkpoint in two weight files."""
    tokenizer = make_tokenizer(adds_begin=True)
    tokenizer.chat_template = None
    folder.mkdir()
    tokenizer.save_pretrained(folder)
    config = {**SMALL[kind], **SHARED, **SMALL_SETTINGS, "vocab_size": len(tokenizer), **changes}
    (folder / "config.json").write_text(json.dumps(config))
    weights = random_weights(published_shapes(config, SMALL_CLIP, SMALL_CONVNEXT, towers=towers))
    names = sorted(weights)
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        shard = {name: weights[name] for name in part}
        if pickled:
            torch.save(shard, folder / f"pytorch_model-{number:05d}-of-00002.bin")
        else:
            save_file(shard, folder / f"model-{number:05d}-of-00002.safetensors")
    return weights


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("hd", [False, True], ids=["plain", "hd"])
def test_a_converted_folder_loads_and_answers(kind, hd, tmp_path):
    changes = {"image_grid": 2, "image_global": True} if hd else {}
    weights = make_checkpoint(tmp_path / "published", kind=kind, **changes)
    convert(tmp_path / "published", tmp_path / "out", **SMALL_TOWERS)
    model, processor = load(str(tmp_path / "out"), LoadOptions(device="cpu"))
    assert torch.equal(model.model.mining.key[1].weight, weights["model.vlm_uni_aux_projector.1.weight"])
    assert torch.equal(model.get_input_embeddings().weight, weights["model.embed_tokens.weight"])
    head = weights["model.embed_tokens.weight" if kind == "gemma" else "lm_head.weight"]
    assert torch.equal(model.lm_head.weight, head)
    if kind == "mixtral":
        expert = model.model.language_model.layers[1].mlp.experts.gate_up_proj[2]
        names = [f"model.layers.1.block_sparse_moe.experts.2.{part}.weight" for part in ("w1", "w3")]
        assert torch.equal(expert, torch.cat([weights[name] for name in names]))
    wrapped = VisionLanguageModel(model, processor)
    prompt = wrapped.encode(make_picture((60, 90)), "What is it?")
    assert int((prompt.inputs["input_ids"] == processor.image_token_id).sum()) == (80 if hd else 16)
    assert wrapped.generate_ids(prompt, max_new_tokens=3)
    assert processor.image_token_id == model.config.image_token_id == len(processor.tokenizer) - 1


def test_pickled_weights_and_towers_of_their_own_repositories(tmp_path):
    make_checkpoint(tmp_path / "whole")
    make_checkpoint(tmp_path / "published", towers=False, pickled=True)
    clip, convnext = tmp_path / "clip", tmp_path / "convnext"
    clip.mkdir()
    convnext.mkdir()
    shapes = {"layers_": 2, **{key: value for key, value in SMALL_CLIP.items() if key != "layers"}}
    low = random_weights(clip_shapes(**shapes))
    torch.save(
        {**low, "logit_scale": torch.ones(()), "text_model.norm.weight": torch.ones(2)}, clip / "pytorch_model.bin"
    )
    high = {f"visual.trunk.{name}": value for name, value in random_weights(convnext_shapes(**SMALL_CONVNEXT)).items()}
    save_file({**high, "visual.trunk.head.norm.weight": torch.ones(16)}, convnext / "open_clip_model.safetensors")
    convert(tmp_path / "published", tmp_path / "out", vision_tower=clip, high_resolution_tower=convnext, **SMALL_TOWERS)
    model, _ = load(str(tmp_path / "out"), LoadOptions(device="cpu"))
    stem = model.model.high_resolution_tower.embeddings.patch_embeddings.weight
    assert torch.equal(stem, high["visual.trunk.stem.0.weight"])
    state = model.state_dict()
    found = next(value for name, value in state.items() if name.endswith("embeddings.class_embedding"))
    assert torch.equal(found, low["vision_model.embeddings.class_embedding"])


def test_the_command_says_in_one_line_what_is_wrong(tmp_path, monkeypatch, capsys):
    make_checkpoint(tmp_path / "published")
    monkeypatch.setattr(sys, "argv", ["convert", str(tmp_path / "published"), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert capsys.readouterr() == (
        "",
        "error: the towers have 32 and 48 channels; expected 1024 and 2880 "
        "(CLIP ViT-L/14-336 and OpenCLIP ConvNeXt-L in all published models)\n",
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mm_vision_tower_aux": None}, "is not of a published Mini-Gemini: it has no mm_vision_tower_aux"),
        ({"image_aspect_ratio": "anyres"}, "says image_aspect_ratio is 'anyres'; only 'pad' is supported"),
        ({"architectures": ["MGMPhiForCausalLM"]}, "unknown language model ['MGMPhiForCausalLM']; known: mixtral,"),
        ({"mm_hidden_size_aux": 5760}, "the towers have 32 and 5760 channels; expected 32 and 48"),
        ({"image_size_aux": 100}, "image_size_aux is 100; expected a multiple of 16"),
        ({"image_global": True}, "image_global needs an image_grid of 2 or more"),
        ({"intermediate_size": 64}, "has shape (48, 32); its config.json says (64, 32)"),
        ({"num_hidden_layers": 1}, "'model.layers.1."),
    ],
)
def test_checkpoints_that_are_something_else(changes, message, tmp_path):
    make_checkpoint(tmp_path / "published")
    path = tmp_path / "published" / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    with pytest.raises(InputError, match=re.escape(message)):
        convert(tmp_path / "published", tmp_path / "out", **SMALL_TOWERS)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["published"]


class Unpickled:
    """What a weight file must not bring to life."""

    def __reduce__(self):
        return (exec, ("raise SystemExit(99)",))


def damage(folder, kind: str) -> None:
    first = folder / "model-00001-of-00002.safetensors"
    if kind == "lost":
        first.unlink()
    elif kind == "cut":
        first.write_bytes(first.read_bytes()[:1000])
    elif kind == "none":
        for path in folder.glob("*.safetensors"):
            path.unlink()
    elif kind == "code":
        damage(folder, "none")
        torch.save({"model.norm.weight": Unpickled()}, folder / "pytorch_model.bin")
    elif kind == "config":
        (folder / "config.json").write_text("{")
    elif kind == "tokenizer":
        for path in folder.glob("tokenizer*"):
            path.unlink()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("lost", "the checkpoint (lacks|does not hold)"),
        ("cut", "cannot be read as tensors alone"),
        ("none", r"has no weights: expected \*model\*.safetensors or \*model\*.bin"),
        ("code", "cannot be read as tensors alone"),
        ("config", "config.json' cannot be read"),
        ("tokenizer", "the tokenizer in .* cannot be read"),
    ],
)
def test_damaged_checkpoints(kind, message, tmp_path):
    make_checkpoint(tmp_path / "published")
    damage(tmp_path / "published", kind)
    with pytest.raises(InputError, match=message):
        convert(tmp_path / "published", tmp_path / "out", **SMALL_TOWERS)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["published"]


def test_a_tower_that_is_not_there_is_asked_for(tmp_path):
    make_checkpoint(tmp_path / "published", towers=False)
    with pytest.raises(InputError, match="the weights of its vision_tower: give its folder with --vision-tower"):
        convert(tmp_path / "published", tmp_path / "out", **SMALL_TOWERS)


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists already: name a folder to make"):
        convert(tmp_path / "published", tmp_path / "out")
    with pytest.raises(InputError, match="unknown conversation 'x'; valid: vicuna, gemma, llama-3, mistral, chatml"):
        convert(tmp_path / "published", tmp_path / "new", conversation="x")


# ---- conversations ----

PROMPTS = {
    "vicuna": "questions. USER: <image>\nWhat's it? ASSISTANT:",
    "gemma": "<start_of_turn>user\n<image>\nWhat's it?<end_of_turn>\n<start_of_turn>model\n",
    "llama-3": "user<|end_header_id|>\n\n<image>\nWhat's it?<|eot_id|><|start_header_id|>system<|end_header_id|>\n\n",
    "mistral": "[INST] <image>\nWhat's it? [/INST]",
    "chatml": "<|im_start|>user\n<image>\nWhat's it?<|im_end|><|im_start|>assistant\n",
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_prompts_end_where_the_answer_begins(name, tmp_path):
    _, processor = families.build("mini_gemini")
    processor.chat_template = chat_template(CONVERSATIONS[name])
    processor.save_pretrained(tmp_path)
    question = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What's it?"}]}
    for one in (processor, AutoProcessor.from_pretrained(tmp_path)):
        prompt = one.apply_chat_template([question], add_generation_prompt=True, tokenize=False)
        assert prompt.endswith(PROMPTS[name])
        turns = [question, {"role": "assistant", "content": "A fox."}, {"role": "user", "content": "Sure?"}]
        longer = one.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        answered = prompt + CONVERSATIONS[name].reply.replace("{}", "A fox.")
        assert longer.startswith(answered)
        assert "Sure?" in longer.removeprefix(answered)


def test_each_language_model_has_its_conversation():
    sizes = {"2b": "gemma", "7b": "vicuna", "13b": "vicuna", "8b": "llama-3", "8x7b": "mistral", "34b": "chatml"}
    for name, expected in sizes.items():
        config = translate_config({**LANGUAGE[name], **SHARED}).text_config
        assert conversation_for(config.model_type, config.vocab_size) == expected, name
