"""Models and processors as users have them: wrapped, incomplete, of two models, in the wrong order."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from tools import families
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from wherelook import Explainer
from wherelook.check import test_picture as make_picture
from wherelook.errors import InputError, WherelookError
from wherelook.load_options import ATTENTION, ELSEWHERE, LoadOptions
from wherelook.models.huggingface.given import first_pass, take_model
from wherelook.models.huggingface.loading import load

PICTURE = make_picture((60, 100))
QUESTION = "What color is the ring?"
QUICK = {"answer": "The purple ring is left.", "preset": "fast", "alpha": 0.0, "replay_steps": 0}


@pytest.fixture(scope="module")
def pair():
    return families.build("llava")


@pytest.fixture(scope="module")
def other():
    return families.build("qwen2_vl")


class Adapter(nn.Module):
    """As peft wraps a model: what it does not know it asks the model for."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.base_model = model

    def get_base_model(self) -> nn.Module:
        return self.base_model

    def forward(self, *arguments, **options):
        return self.base_model(*arguments, **options)

    def __getattr__(self, name: str):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base_model"), name)


# ---- wrappers ----


def compiled(model: nn.Module) -> nn.Module:
    """torch.compile without its compiler, whose import takes seconds."""
    return torch.compile(model, backend="eager")


@pytest.mark.usefixtures("_as_users_run_it")
@pytest.mark.parametrize("wrap", [compiled, nn.DataParallel, Adapter], ids=["compile", "DataParallel", "adapter"])
def test_a_wrapped_model_is_the_model(pair, wrap):
    model, processor = pair
    expected = Explainer(model, processor).explain(PICTURE, QUESTION, method="gradient", **QUICK)
    wrapped = Explainer(wrap(model), processor).explain(PICTURE, QUESTION, method="gradient", **QUICK)
    assert [one.id for one in wrapped.tokens] == [one.id for one in expected.tokens]
    assert np.abs(wrapped.heatmap - expected.heatmap).max() < 1e-6


def test_wrappers_inside_wrappers(pair):
    assert take_model(nn.DataParallel(compiled(nn.DataParallel(pair[0])))) is pair[0]


# ---- what is no model, no processor ----


def pieces(pair):
    model, processor = pair
    text = LlamaConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
    translator = T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, vocab_size=9)
    return {
        "inner": ((model.model, processor), "is a LlavaModel, which writes no text: give the whole model"),
        "tower": ((model.model.vision_tower, processor), "is a CLIPVisionModel, which writes no text"),
        "translator": ((T5ForConditionalGeneration(translator), processor), "is an encoder-decoder model"),
        "module": ((nn.Linear(2, 2), processor), "is a Linear, which is none of Transformers"),
        "name": (("llava-hf/llava", processor), r"use Explainer.from_pretrained\('llava-hf/llava'\)"),
        "name-alone": (("llava-hf/llava",), r"use Explainer.from_pretrained\('llava-hf/llava'\)"),
        "nothing": ((None, processor), "is a value of type NoneType; expected an image-text-to-text model"),
        "swapped": ((processor, model), r"the order is Explainer\(model, processor\)"),
        "pipeline": (
            (types.SimpleNamespace(model=model, processor=processor),),
            r"use Explainer\(pipe.model, pipe.processor\)",
        ),
        "no-processor": ((model,), "needs the model's processor"),
        "tokenizer": ((model, processor.tokenizer), "is a tokenizer alone .*, which reads no images: expected AutoPro"),
        "image-processor": ((model, processor.image_processor), "is an image processor alone .*, which reads no text"),
        "model-twice": ((model, model), r"the processor is a model \(LlavaForConditionalGeneration\)"),
        "processor-name": ((model, "llava-hf/llava"), "the processor is a value of type str: expected AutoProcessor"),
        "text-only": ((LlamaForCausalLM(text), processor), "no pixels reach the model: is this its processor, and"),
    }


NAMES = [
    "inner", "tower", "translator", "module", "name", "name-alone", "nothing", "swapped", "pipeline", "no-processor",
    "tokenizer", "image-processor", "model-twice", "processor-name", "text-only",
]  # fmt: skip


@pytest.mark.usefixtures("_as_users_run_it")
@pytest.mark.parametrize("name", NAMES)
def test_what_was_given_is_named(pair, name):
    with torch.random.fork_rng():
        arguments, message = pieces(pair)[name]
    with pytest.raises(InputError, match=message) as raised:
        Explainer(*arguments).explain(PICTURE, QUESTION, **QUICK)
    assert "\n" not in str(raised.value)


# ---- two models' parts ----


def test_a_processor_of_another_family(pair, other):
    for model, processor in ((pair[0], other[1]), (other[0], pair[1])):
        with pytest.raises(WherelookError) as raised:
            Explainer(model, processor).explain(PICTURE, QUESTION, **QUICK)
        assert "\n" not in str(raised.value)


def test_a_processor_that_counts_other_image_tokens(pair):
    model, processor = families.build("llava")
    processor.patch_size *= 2
    for options in (QUICK, {"replay_steps": 0}):
        with pytest.raises(WherelookError, match=r"LlavaForConditionalGeneration cannot read this prompt .*: do model"):
            Explainer(model, processor).explain(PICTURE, QUESTION, **options)


def test_a_tokenizer_with_words_that_the_model_has_not():
    model, processor = families.build("llava")
    with torch.random.fork_rng():
        model.resize_token_embeddings(300)
    with pytest.raises(InputError, match=r"makes the token '.*' with the id \d+, and the model knows 300: the proces"):
        Explainer(model, processor).explain(PICTURE, QUESTION, **QUICK)


# ---- options of loading ----

OPTIONS = [
    ({"devise": "cpu"}, r"unknown option 'devise'; did you mean 'device'\? \(valid: attn_implementation, batch_size"),
    ({"max_memory": {}}, r"unknown option 'max_memory' .*: load the model with it, and use Explainer\(model"),
    ({"torch_dtype": "float32", "dtype": "float32"}, "torch_dtype and dtype are the same option: give dtype alone"),
    ({"device_map": {"": 0}}, "device is cpu, cuda, cuda:N, mps or auto .*; got a value of type dict"),
    ({"dtype": "half"}, "unknown dtype 'half'; valid: auto, float32, bfloat16, float16"),
    ({"dtype": torch.int8}, "unknown dtype 'torch.int8'; valid: auto"),
    ({"dtype": 16}, "unknown dtype 'a value of type int'; valid: auto"),
    ({"device": "tpu"}, "unknown device 'tpu'"),
    ({"device": True}, "device is cpu, cuda, .*; got True"),
    ({"attn_implementation": "flash"}, "unknown attn_implementation 'flash'; valid: eager, sdpa, flash_attention_2"),
    ({"attn_implementation": "someone/kernel"}, "unknown attn_implementation 'someone/kernel'"),
    ({"quantize": "int2"}, "unknown quantization 'int2'; valid: int8, int4"),
    ({"quantize": 4}, "quantize is text; got 4"),
    ({"revision": ""}, "the revision is empty"),
    ({"revision": 3}, "revision is text; got 3"),
    ({"trust_remote_code": "yes"}, "trust_remote_code is True or False; got 'yes'"),
    ({"batch_size": 0}, "batch size 0 is not positive"),
    ({"batch_size": 2.5}, "batch_size is a whole number; got 2.5"),
    ({"memory_limit": "4GB"}, "memory_limit is a whole number; got '4GB'"),
    ({"memory_limit": -1}, "memory_limit is a whole number from 1 up; got -1"),
    ({"compile": 1}, "compile is True or False; got 1"),
    ({"prompt_template": "{image}"}, r"must contain \{image\} and \{question\}"),
    ({"prompt_template": 3}, "prompt_template is text; got 3"),
    ({"think": 3}, "think is 'on', 'off' or None; got 3"),
    ({"system": ["be brief"]}, "system is the text of a system message"),
    ({"frames_per_second": "2"}, "frames_per_second is a number; got '2'"),
    *(({name: True}, f"there is no option '{name}' here: ") for name in ELSEWHERE),
]  # fmt: skip


@pytest.mark.usefixtures("_as_users_run_it")
@pytest.mark.parametrize(("options", "message"), OPTIONS)
def test_options_are_checked_before_anything_is_loaded(options, message, monkeypatch):
    monkeypatch.setattr(
        "wherelook.models.huggingface.loading.load_configuration", lambda *_, **__: pytest.fail("was loaded")
    )
    with pytest.raises(InputError, match=message) as raised:
        Explainer.from_pretrained("embedded", **options)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("_as_users_run_it")
@pytest.mark.parametrize("name", [3, ["embedded"], b"embedded"])
def test_names_of_models_are_text_or_paths(name):
    with pytest.raises(InputError, match="model is a folder, a hub id or an address"):
        Explainer.from_pretrained(name)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"torch_dtype": torch.bfloat16, "device_map": "cpu"}, ("cpu", "bfloat16")),
        ({"dtype": "torch.float16", "device": torch.device("cpu")}, ("cpu", "float16")),
        ({"dtype": "auto", "device_map": "auto"}, ("auto", "auto")),
        ({"device": "cpu"}, ("cpu", "float32")),
    ],
)
def test_names_and_values_that_users_know(given, expected):
    chosen = LoadOptions.of(given).placed()
    assert (chosen.device, chosen.dtype) == expected


@pytest.mark.parametrize("name", ["eager", "sdpa"])
def test_the_implementation_of_attention_is_used_and_recorded(name):
    explainer = Explainer.from_pretrained("embedded", device="cpu", attn_implementation=name)
    assert name in ATTENTION
    assert explainer.model.description["attention"] == name
    assert load("embedded", LoadOptions(device="cpu", attn_implementation=name))[0].config._attn_implementation == name


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_runs_out_is_not_taken_for_a_wrong_processor(error):
    with pytest.raises(RuntimeError) as raised, first_pass(nn.Identity()):
        raise error
    assert raised.value is error
    with pytest.raises(WherelookError, match="do model and processor belong together"), first_pass(nn.Identity()):
        raise RuntimeError("shapes do not fit")
