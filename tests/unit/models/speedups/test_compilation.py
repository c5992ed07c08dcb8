"""Compiled layers give the same numbers, and the model is as it was."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from PIL import Image
from tools.families import build
from torch._dynamo.exc import BackendCompilerFailed

from wherelook.check import test_picture as make_picture
from wherelook.errors import InputError, WherelookError
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.internals import find_decoder

# Dynamo looks at the gradients of a layer's inputs.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")

PICTURE = make_picture((60, 100))
GRAY = Image.fromarray(np.full((60, 100, 3), 127, np.uint8))
GRAPHS: list[torch.fx.GraphModule] = []


def noting(graph: torch.fx.GraphModule, _: object) -> object:
    """A backend that runs what was captured as it is: no compiler of another language is needed."""
    GRAPHS.append(graph)
    return graph.forward


@pytest.fixture
def with_backend(monkeypatch):
    """Makes `torch.compile` use another backend."""

    def use(backend) -> None:
        torch._dynamo.reset()
        GRAPHS.clear()
        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))

    yield use
    torch._dynamo.reset()


def score_of(name: str, **options: bool):
    model = VisionLanguageModel(*build(name), **options)
    prompt = model.encode(PICTURE, "What color is the ring?")
    return model, model.score(prompt, GRAY, model.tokenize_answer(prompt, "The ring is purple."))


def masks(count: int) -> torch.Tensor:
    return torch.rand(count, 6, 10, generator=torch.Generator().manual_seed(count))


def test_values_and_gradients_are_the_same(with_backend):
    with_backend(noting)
    _, plain = score_of("llava")
    model, score = score_of("llava", compile=True, checkpointing=True)
    torch.testing.assert_close(score(masks(3)), plain(masks(3)), atol=1e-5, rtol=1e-5)
    for found, expected in zip(score.gradient(masks(3)), plain.gradient(masks(3)), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    known = len(GRAPHS)
    assert known
    score.select([1])(masks(2))  # another answer, and another number of masks, compile nothing anew
    assert len(GRAPHS) == known
    assert not any("forward" in module.__dict__ for module in model.model.modules())


def test_the_language_models_last_layer_stays_as_it_is(with_backend):
    with_backend(noting)
    model, _ = score_of("llava", compile=True)
    layers = find_decoder(model.model).layers
    assert set(layers[:-1]) < set(model._layers)
    assert layers[-1] not in model._layers


def test_answers_are_generated_by_the_model_as_it_is(with_backend):
    with_backend(noting)
    model, _ = score_of("llava", compile=True)
    model.generate_ids(model.encode(PICTURE, "Why?"), max_new_tokens=3)
    assert not GRAPHS


def test_a_compiler_that_fails_is_reported(with_backend):
    def broken(*_):
        raise RuntimeError("no compiler\nhere")

    with_backend(broken)
    model, score = score_of("llava", compile=True)
    with pytest.raises(
        WherelookError, match=r"^torch\.compile failed: .*no compiler here.*; leave it out \(--compile\)$"
    ):
        score(masks(1))
    assert not any("forward" in module.__dict__ for module in model.model.modules())
    assert issubclass(BackendCompilerFailed, torch._dynamo.exc.TorchDynamoException)


def test_what_cannot_be_compiled_is_refused():
    model, processor = build("llava")
    model._old_forward = model.forward  # what accelerate leaves where layers lie on several devices
    with pytest.raises(
        InputError, match=r"torch\.compile does not go with a model whose layers lie on several devices"
    ):
        VisionLanguageModel(model, processor, compile=True)
