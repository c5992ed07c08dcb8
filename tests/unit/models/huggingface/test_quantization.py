"""8 and 4 bits on a CPU: what is quantized, gradients, and what is said when it cannot be done."""

from __future__ import annotations

import importlib.util
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from tools import families

from wherelook import check
from wherelook.errors import InputError
from wherelook.evaluation.conditions import shuffled_weights
from wherelook.load_options import LoadOptions
from wherelook.metrics.map_similarity import rank_correlation
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface import quantization
from wherelook.models.huggingface.loading import load
from wherelook.models.huggingface.quantization import quantization_config, quantization_of

IMAGE = check.test_picture((224, 224))
BASELINE = Image.fromarray(np.full((224, 224, 3), 127, dtype=np.uint8))
installed = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="needs bitsandbytes: pip install 'wherelook[quantized]'"
)


@pytest.fixture(autouse=True)
def _levels_of_loggers():
    yield
    for name in ("bitsandbytes.autograd._functions", "bitsandbytes.backends.cpu.ops"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def gradient(model: VisionLanguageModel) -> torch.Tensor:
    prompt = model.encode(IMAGE, "What color is the circle?")
    score = model.score(prompt, BASELINE, model.tokenize_answer(prompt, "The circle is red."))
    masks = 0.2 + 0.6 * torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    return score.gradient(masks)[1][0]


@installed
@pytest.mark.parametrize(("name", "least"), [("int8", 0.9), ("int4", 0.8)])
def test_gradients_rank_cells_as_whole_weights_do(name, least):
    whole = gradient(VisionLanguageModel.from_pretrained("embedded", device="cpu"))
    model = VisionLanguageModel.from_pretrained("embedded", device="cpu", quantize=name)
    assert model.description["quantization"] == name
    assert rank_correlation(gradient(model).abs(), whole.abs(), grid=(8, 8)) > least
    assert not any(parameter.grad is not None for parameter in model.model.parameters())


@installed
@pytest.mark.parametrize("name", ["int8", "int4"])
def test_shuffled_weights_change_scores_and_come_back(name):
    model = VisionLanguageModel.from_pretrained("embedded", device="cpu", quantize=name)
    prompt = model.encode(IMAGE, "What color is the circle?")
    answer = model.tokenize_answer(prompt, "The circle is red.")

    def scores() -> torch.Tensor:
        return model.score(prompt, BASELINE, answer).original

    with model.evaluation():
        before = scores()
        with shuffled_weights(model.model, "all weights"):
            assert float(before.sum() - scores().sum()) > 5  # another model: the answer has become unlikely
        assert torch.equal(scores(), before)
    assert model.identity()["quantization"] == name


@installed
def test_rows_that_are_no_whole_blocks_stay_whole_on_a_cpu():
    model, _ = load("embedded", LoadOptions(device="cpu", quantize="int4"))
    kinds = {name: (type(module).__name__, module.in_features) for name, module in model.named_modules()
             if isinstance(module, torch.nn.Linear)}  # fmt: skip
    assert {kind for kind, width in kinds.values() if width % 64} == {"Linear"}
    assert {kind for name, (kind, width) in kinds.items() if width % 64 == 0 and name != "lm_head"} == {"Linear4bit"}
    assert kinds["lm_head"][0] == "Linear"


@installed
def test_a_checkpoint_that_was_quantized_loads_as_it_is(tmp_path):
    model, processor = load("embedded", LoadOptions(device="cpu", quantize="int8"))
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, _ = load(str(tmp_path), LoadOptions(device="cpu"))
    assert quantization_of(again) == "int8 checkpoint"
    with pytest.raises(InputError, match=r"quantized already \(bitsandbytes\) .*: leave --quantize out"):
        load(str(tmp_path), LoadOptions(device="cpu", quantize="int4"))


def test_whole_weights_have_no_quantization():
    model, processor = families.build("llava")
    assert quantization_of(model) is None
    assert VisionLanguageModel(model, processor).description["quantization"] is None


def test_what_cannot_be_quantized(monkeypatch):
    config = families.build("llava")[0].config
    with pytest.raises(InputError, match="unknown quantization 'int3'; valid: int8, int4"):
        quantization_config("int3", config, device="cpu", dtype=None)
    with pytest.raises(InputError, match="--quantize needs cpu or cuda, not mps: use --dtype bfloat16 instead"):
        quantization_config("int8", config, device="mps", dtype=None)
    monkeypatch.setattr(quantization.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="--quantize needs bitsandbytes: pip install 'bitsandbytes"):
        quantization_config("int8", config, device="cpu", dtype=None)
