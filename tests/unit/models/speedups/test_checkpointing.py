"""Recomputing changes memory and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tools.families import build

from wherelook import check
from wherelook.models import VisionLanguageModel
from wherelook.models.speedups.checkpointing import recomputing

IMAGE = check.test_picture((48, 64))
BASELINE = Image.fromarray(np.full((48, 64, 3), 127, dtype=np.uint8))
MASKS = torch.linspace(0.2, 0.8, 2 * 30).reshape(2, 5, 6)


def gradient(model: VisionLanguageModel):
    prompt = model.encode(IMAGE, "what is it")
    score = model.score(prompt, BASELINE, model.tokenize_answer(prompt, "a cat"))
    found = (*score.gradient(MASKS), score.pixel_gradient((3, 4)))
    assert not any("forward" in vars(module) for module in model.model.modules())
    return found, model.plan.bytes_per_image


@pytest.mark.parametrize("family", ["llava", "llava_onevision", "internvl"])
def test_gradients_are_the_same(family):
    plain, _ = gradient(VisionLanguageModel(*build(family)))
    again, _ = gradient(VisionLanguageModel(*build(family), checkpointing=True))
    for first, second in zip(plain, again, strict=True):
        torch.testing.assert_close(second, first, rtol=1e-5, atol=1e-9)


def test_memory_falls_with_the_depth_of_the_model():
    """The small models above have two layers, of which recomputing holds one; the embedded one has nine."""
    _, whole = gradient(VisionLanguageModel.from_pretrained("embedded", device="cpu"))
    _, less = gradient(VisionLanguageModel.from_pretrained("embedded", device="cpu", checkpointing=True))
    assert less < 0.5 * whole


def test_every_layer_runs_twice_in_evaluation_mode():
    model, processor = build("llava")
    calls = []
    layer = model.get_decoder().layers[0]
    hook = layer.mlp.register_forward_pre_hook(lambda *_: calls.append(model.training))
    wrapped = VisionLanguageModel(model, processor, checkpointing=True)
    prompt = wrapped.encode(IMAGE, "what is it")
    score = wrapped.score(prompt, BASELINE, wrapped.tokenize_answer(prompt, "cat"))
    calls.clear()
    score.gradient(MASKS[:1])
    hook.remove()
    assert calls == [False, False]


def test_the_model_is_as_it_was_after_an_error():
    model, _ = build("llava")
    layer = model.get_decoder().layers[0]

    def fail():
        with recomputing(model):
            assert "forward" in vars(layer)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert "forward" not in vars(layer)
