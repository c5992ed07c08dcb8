"""Layers that wait on the disk: the same numbers, and inputs where the first layer runs."""

from __future__ import annotations

import warnings

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from wherelook import check
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.given import input_device
from wherelook.models.huggingface.loading import load_processor, locate

IMAGE = check.test_picture((224, 224))
PARTS = ("model.vision_tower", "model.multi_modal_projector", "model.language_model", "lm_head")
OFFLOADED = {
    "language on disk": dict(zip(PARTS, ("cpu", "cpu", "disk", "disk"), strict=True)),
    "vision on disk": dict(zip(PARTS, ("disk", "disk", "cpu", "cpu"), strict=True)),
    "all on disk": dict.fromkeys(PARTS, "disk"),
}


def results(model: VisionLanguageModel):
    prompt = model.encode(IMAGE, "What color is the circle?")
    answer = model.generate_ids(prompt, max_new_tokens=4)
    score = model.score(prompt, Image.new("RGB", IMAGE.size), answer)
    masks = 0.2 + 0.6 * torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    return answer, *score.gradient(masks)


@pytest.fixture(scope="module")
def expected():
    return results(VisionLanguageModel.from_pretrained("embedded", device="cpu"))


def offloaded(place: dict[str, str], folder, **options) -> VisionLanguageModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForImageTextToText.from_pretrained(
            locate("embedded"), device_map=place, offload_folder=folder, dtype=torch.float32
        )
    return VisionLanguageModel(model.eval(), load_processor(locate("embedded")), **options)


def on_disk(model: VisionLanguageModel) -> set[str]:
    named = model.model.named_parameters(remove_duplicate=False)
    return {name for name, parameter in named if parameter.device.type == "meta"}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", OFFLOADED)
def test_offloaded_layers_give_the_same_gradients(name, checkpointing, expected, tmp_path):
    model = offloaded(OFFLOADED[name], tmp_path, checkpointing=checkpointing)
    waiting = on_disk(model)
    assert len(waiting) > 10
    assert model.device == torch.device("cpu")
    answer, values, gradients = results(model)
    assert answer == expected[0]
    torch.testing.assert_close(values, expected[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradients, expected[2], rtol=1e-4, atol=1e-8)
    assert on_disk(model) == waiting
    assert all(parameter.requires_grad for parameter in model.model.parameters())


def test_recomputing_lets_go_of_fetched_weights(tmp_path):
    """Otherwise the graph of one image holds every fetched weight until the backward pass is over."""
    held = []
    for checkpointing in (False, True):
        model = offloaded(OFFLOADED["all on disk"], tmp_path, checkpointing=checkpointing)
        results(model)
        held.append(model.plan.bytes_per_image)
    weights = sum(parameter.numel() * 4 for parameter in model.model.parameters())
    assert held[0] > weights
    assert held[1] < weights / 2


def test_the_device_of_hooks_comes_first():
    embedding = torch.nn.Embedding(2, 2, device="meta")
    model = torch.nn.Module()
    model.get_input_embeddings = lambda: embedding
    assert input_device(model).type == "meta"

    class Hook:
        execution_device = None

    class Moving:
        execution_device = "cuda:1"

    embedding._hf_hook = Hook()
    assert input_device(model).type == "meta"
    embedding._hf_hook.hooks = [Hook(), Moving()]
    assert input_device(model) == torch.device("cuda", 1)
