"""Published Cambrian checkpoints: names and shapes of every size on the meta device, and a small one on disk."""

from __future__ import annotations

import copy
import json
import sys

import pytest
import torch
from safetensors.torch import save_file
from tools.families import build

from wherelook.errors import InputError
from wherelook.load_options import LoadOptions
from wherelook.models.huggingface.loading import load
from wherelook.models.ports.cambrian.configuration import TOWERS
from wherelook.models.ports.cambrian.convert import (
    SOURCES,
    convert,
    load_tower,
    main,
    make_config,
    own_name,
)
from wherelook.models.ports.cambrian.modeling import CambrianForConditionalGeneration
from wherelook.models.ports.checkpoint import (
    expected_weights,
    read_config,
    read_weights,
    rename_weights,
    weight_files,
    write_weights,
)

VISION = {
    "mm_projector_type": "sva",
    "mm_vision_tower_aux_list": ["siglip", "openai", "facebook", "clip-convnext"],
    "mm_vision_tower_aux_token_len_list": [576, 576, 576, 9216],
    "image_token_len": 576,
    "num_query_group": 1,
    "query_num_list": [576],
    "vision_hidden_size": 1024,
    "connector_depth": 3,
    "connector_only": False,
    "start_of_vision_sampler_layers": 0,
    "torch_dtype": "bfloat16",
}


def published(model_type: str, samplers: tuple[int, int], *sizes: int) -> dict:
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    names = (*names, "num_key_value_heads")
    return {
        **VISION,
        "model_type": model_type,
        "num_of_vision_sampler_layers": samplers[0],
        "stride_of_vision_sampler_layers": samplers[1],
        **dict(zip(names, sizes, strict=True)),
    }


PUBLISHED = {
    "8b": published("cambrian_llama", (10, 3), 128_256, 4096, 14_336, 32, 32, 8),
    "13b": published("cambrian_llama", (10, 4), 32_000, 5120, 13_824, 40, 40, 40),
    "34b": published("cambrian_llama", (9, 7), 64_000, 7168, 20_480, 60, 56, 8),
    "phi3-3b": {**published("cambrian_phi3", (10, 3), 32_064, 3072, 8192, 32, 32, 32), "pad_token_id": 32_000},
}


def published_shapes(config: dict, towers: tuple[int, ...] = (1152, 1024, 1536, 5760)) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a checkpoint, written down from the published ones."""
    width, inner, vision = config["hidden_size"], config["intermediate_size"], config["vision_hidden_size"]
    keys_width = width // config["num_attention_heads"] * config["num_key_value_heads"]
    shapes = {
        "model.embed_tokens.weight": (config["vocab_size"], width),
        "lm_head.weight": (config["vocab_size"], width),
        "model.norm.weight": (width,),
        "model.vision_query": (1, vision),
        "model.image_newline": (width,),
        "model.mm_projector.0.weight": (width, vision),
        "model.mm_projector.0.bias": (width,),
        "model.mm_projector.2.weight": (width, width),
        "model.mm_projector.2.bias": (width,),
    }
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        if config["model_type"].endswith("phi3"):
            shapes[f"{name}.self_attn.qkv_proj.weight"] = (width + 2 * keys_width, width)
            shapes[f"{name}.mlp.gate_up_proj.weight"] = (2 * inner, width)
        else:
            for part, rows in (("q", width), ("k", keys_width), ("v", keys_width)):
                shapes[f"{name}.self_attn.{part}_proj.weight"] = (rows, width)
            shapes |= {f"{name}.mlp.{part}_proj.weight": (inner, width) for part in ("gate", "up")}
        shapes[f"{name}.self_attn.o_proj.weight"] = (width, width)
        shapes[f"{name}.mlp.down_proj.weight"] = (width, inner)
        shapes |= {f"{name}.{norm}.weight": (width,) for norm in ("input_layernorm", "post_attention_layernorm")}
    for index, channels in enumerate(towers):
        name = f"model.mm_projector_aux_{index}"
        shapes[f"{name}.0.weight"] = (vision, channels)
        shapes[f"{name}.2.weight"] = (vision, vision)
        shapes |= {f"{name}.{part}": (vision,) for part in ("0.bias", "2.bias", "3.weight", "3.bias")}
    samplers = [(f"model.vision_sampler_0.layers.{layer}", vision) for layer in range(config["connector_depth"])]
    samplers += [
        (f"model.vision_sampler_layers.{index}.layers.0", width)
        for index in range(config["num_of_vision_sampler_layers"])
    ]
    side = int(config["image_token_len"] ** 0.5)
    for name, queries in samplers:
        shapes[f"{name}.proj_context.weight"] = (vision, vision)
        shapes[f"{name}.proj_in.weight"] = (vision, queries + vision)
        shapes[f"{name}.proj_out.linear_1.weight"] = (vision, vision)
        shapes[f"{name}.proj_out.linear_2.weight"] = (queries, vision)
        shapes |= {f"{name}.norm.{part}": (vision,) for part in ("weight", "bias")}
        window = int(config["mm_vision_tower_aux_token_len_list"][3] ** 0.5) // side
        shapes[f"{name}.pos_embed_3"] = (window**2, vision)
        attended = ["q_proj", *(f"{part}_proj_{index}" for part in "kv" for index in range(len(towers)))]
        for part in attended:
            shapes |= {f"{name}.cross_attn.{part}.0.{norm}": (vision,) for norm in ("weight", "bias")}
            shapes[f"{name}.cross_attn.{part}.1.weight"] = (vision, vision)
        shapes[f"{name}.cross_attn.o_proj.weight"] = (vision, vision)
    return shapes


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_name_and_shape_of_a_published_size_has_its_place(name):
    config = make_config(PUBLISHED[name], image_token_id=PUBLISHED[name]["vocab_size"])
    with torch.device("meta"):
        model = CambrianForConditionalGeneration(config)
        checkpoint = {key: torch.empty(shape) for key, shape in published_shapes(PUBLISHED[name]).items()}
    expected = expected_weights(model)
    renamed = rename_weights(checkpoint, own_name, expected, "Cambrian")
    assert len(renamed) == len(checkpoint)
    towers = tuple(f"model.{tower}_tower." for tower in TOWERS)
    assert renamed.keys() == {key for key in expected if not key.startswith(towers)}
    samplers = PUBLISHED[name]["num_of_vision_sampler_layers"], PUBLISHED[name]["stride_of_vision_sampler_layers"]
    assert config.language_layers == [samplers[1] * index for index in range(samplers[0])]
    assert config.vision_widths == [1152, 1024, 1536, 5760]
    assert config.vision_grids == [24, 24, 24, 96]


# ---- a small one on disk ----


def publish(name: str) -> str:
    """Our name of a tensor to the published one, written without the tables that are tested."""
    for ours, theirs in (
        (".feed_forward.linear_1.", ".0."),
        (".feed_forward.linear_2.", ".2."),
        ("model.projector.linear_1", "model.mm_projector.0"),
        ("model.projector.linear_2", "model.mm_projector.2"),
        ("model.image_query", "model.vision_query"),
        ("model.connector", "model.vision_sampler_0"),
        ("model.language_aggregators", "model.vision_sampler_layers"),
        ("model.language_model.", "model."),
        ("context_projection", "proj_context"),
        ("query_projection", "proj_in"),
        (".output.linear", ".proj_out.linear"),
        ("attention.query", "cross_attn.q_proj"),
        ("attention.output", "cross_attn.o_proj"),
        ("position_embeddings.", "pos_embed_"),
        ("attention.keys.", "cross_attn.k_proj_"),
        ("attention.values.", "cross_attn.v_proj_"),
    ):
        name = name.replace(ours, theirs)
    if name.startswith("model.vision_projectors."):
        name = name.replace("model.vision_projectors.", "model.mm_projector_aux_").replace(".norm.", ".3.")
    return name


def trunk_name(name: str) -> str:
    """Transformers' name of a ConvNeXt's tensor to OpenCLIP's."""
    for ours, theirs in (
        ("embeddings.patch_embeddings", "stem.0"),
        ("embeddings.layernorm", "stem.1"),
        ("encoder.", ""),
        ("downsampling_layer", "downsample"),
        (".layers.", ".blocks."),
        ("layer_scale_parameter", "gamma"),
        ("dwconv", "conv_dw"),
        ("layernorm", "norm"),
        ("pwconv1", "mlp.fc1"),
        ("pwconv2", "mlp.fc2"),
    ):
        name = name.replace(ours, theirs)
    return f"visual.trunk.{name}"


@pytest.fixture(scope="module")
def tiny():
    """A model whose ConvNeXt has the published depths and widths divided by 48, as its configuration is not read."""
    return build("cambrian")


@pytest.fixture
def checkpoint(tiny, tmp_path):
    """A checkpoint of the tiny model as it would have been published, and a folder for each encoder."""
    model, processor = tiny
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    state = model.state_dict()
    towers = tuple(f"model.{tower}_tower." for tower in TOWERS)
    own = {publish(name): value.clone() for name, value in state.items() if not name.startswith(towers)}
    own["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(8)
    names = sorted(own)
    torch.save({name: own[name] for name in names[::2]}, folder / "pytorch_model-00001-of-00002.bin")
    torch.save({name: own[name] for name in names[1::2]}, folder / "pytorch_model-00002-of-00002.bin")
    config, text = model.config, model.config.text_config
    content = {
        **VISION,
        "model_type": "llava_llama",
        "mm_vision_tower_aux_token_len_list": [side**2 for side in config.vision_grids],
        "image_token_len": config.image_grid**2,
        "query_num_list": [config.image_grid**2],
        "vision_hidden_size": config.vision_hidden_size,
        "connector_depth": config.connector_layers,
        "num_of_vision_sampler_layers": config.language_aggregators,
        "stride_of_vision_sampler_layers": config.language_stride,
        "torch_dtype": "float32",
        **{name: value for name, value in text.to_dict().items() if isinstance(value, int | float | str)},
    }
    content["model_type"] = "llava_llama"
    (folder / "config.json").write_text(json.dumps(content))
    tokenizer = copy.deepcopy(processor.tokenizer)
    tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 6], "temperature": 0.6}))
    sources = {}
    for tower in TOWERS:
        sources[tower] = str(tmp_path / tower)
        if tower == "convnext":
            (tmp_path / tower).mkdir()
            prefix = "model.convnext_tower."
            trunk = {
                trunk_name(name.removeprefix(prefix)): value.contiguous()
                for name, value in state.items()
                if name.startswith(prefix)
            }
            trunk |= {"visual.trunk.head.norm.weight": torch.ones(16), "logit_scale": torch.ones(1)}
            save_file(trunk, tmp_path / tower / "open_clip_model.safetensors")
        else:
            getattr(model.model, f"{tower}_tower").save_pretrained(tmp_path / tower)
    return folder, sources


def test_a_converted_checkpoint_has_every_tensor_in_its_place(tiny, checkpoint, tmp_path, monkeypatch):
    folder, sources = checkpoint
    whole = tiny[0].config.convnext_config.to_dict()
    monkeypatch.setitem(
        sys.modules["wherelook.models.ports.cambrian.configuration"].PUBLISHED_TOWERS,
        "convnext",
        {name: whole[name] for name in ("hidden_sizes", "depths", "layer_norm_eps")},
    )
    convert(folder, tmp_path / "out", sources)
    model, processor = load(str(tmp_path / "out"), LoadOptions(device="cpu"))
    assert type(model) is CambrianForConditionalGeneration
    assert model.state_dict().keys() == tiny[0].state_dict().keys()
    for name, value in tiny[0].state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert processor.image_token_id == model.config.image_token_id == tiny[0].config.image_token_id
    assert processor.image_processor.image_grid == model.config.image_grid
    assert model.generation_config.eos_token_id == sorted({5, 6, processor.tokenizer.eos_token_id})
    with pytest.raises(InputError, match="out' exists already: name a folder to make"):
        convert(folder, tmp_path / "out", sources)
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Why?"}]}]
    assert processor.apply_chat_template(messages, add_generation_prompt=True) == "USER: <image>\nWhy? ASSISTANT:"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"model.vision_sampler_0.layers.0.gate": torch.zeros(1)}, "a tensor 'model.vision_sampler_0.layers.0.gate'"),
        (
            {"model.image_newline": torch.zeros(3)},
            r"'model.image_newline' has shape \(3,\); its config.json says \(32,\)",
        ),
        ({"model.image_newline": None}, "lacks 1 tensors, such as model.image_newline: download it again"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tiny, damage, message, tmp_path):
    state, expected = tiny[0].state_dict(), expected_weights(tiny[0])
    weights = {publish(name): value for name, value in state.items() if "_tower." not in name} | damage
    weights = {name: value for name, value in weights.items() if value is not None}
    towers = {name: value for name, value in state.items() if "_tower." in name}
    with pytest.raises(InputError, match=message):
        write_weights(
            [towers, rename_weights(weights, own_name, expected, "Cambrian")], expected, torch.float32, tmp_path
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mm_projector_type": "mlp2x_gelu"}, "has mm_projector_type 'mlp2x_gelu'; expected 'sva', Cambrian's"),
        ({"image_token_len": None}, r"has query_num_list \[576\]; expected one group of as many queries"),
        ({"query_num_list": [576, 144]}, r"has query_num_list \[576, 144\]; expected one group of as many queries"),
        ({"model_type": "cambrian_cohere"}, "has model_type 'cambrian_cohere'; expected one that ends with phi3 or"),
    ],
)
def test_configurations_of_other_models_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        make_config({**PUBLISHED["8b"], **change}, image_token_id=0)


def test_folders_that_are_no_checkpoint_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*config.json: expected the folder of a checkpoint"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"config.json' holds a list; expected an object"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"config.json' names no model_type"):
        read_config(tmp_path)
    with pytest.raises(InputError, match="has no weights: expected"):
        weight_files(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"not weights")
    with pytest.raises(InputError, match=r"model.bin' is damaged, or cannot be read as tensors"):
        read_weights(tmp_path / "model.bin")
    with pytest.raises(InputError, match="damaged"):
        load_tower("convnext", str(tmp_path))


def test_pickled_code_is_not_run(tmp_path):
    class Harmful:
        def __reduce__(self):
            return print, ("harm",)

    torch.save({"model.norm.weight": Harmful()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="damaged, or cannot be read as tensors"):
        read_weights(tmp_path / "pytorch_model.bin")


def test_the_command_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["convert", str(tmp_path), str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err.startswith(f"error: cannot read {tmp_path / 'config.json'}: expected the folder of")
    assert set(SOURCES) == set(TOWERS)


@pytest.mark.parametrize("gone", ["tokenizer", "siglip", "convnext"])
def test_parts_that_are_missing_are_named(checkpoint, tmp_path, gone):
    folder, sources = checkpoint
    if gone == "tokenizer":
        for path in folder.glob("tokenizer*"):
            path.unlink()
    else:
        sources = {**sources, gone: str(tmp_path / "nothing")}
    with pytest.raises(InputError, match=str(folder) if gone == "tokenizer" else str(tmp_path / "nothing")):
        convert(folder, tmp_path / "out", sources)
