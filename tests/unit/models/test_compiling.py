"""Compiled layers compute what they did; what cannot be compiled is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from families import build
from wherelook.models import VisionLanguageModel
from wherelook.models.compiling import compile_layers
from wherelook.types import InputError


def run(model) -> torch.Tensor:
    hidden = torch.linspace(-1, 1, 5 * model.config.text_config.hidden_size).reshape(1, 5, -1)
    return model.get_decoder()(inputs_embeds=hidden, use_cache=False).last_hidden_state


def test_compiled_layers_compute_the_same():
    """The tracer alone; its graphs are run as they are. What the C++ compiler makes of them takes a minute to test."""
    expected = run(build("llava")[0])
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    model, _ = build("llava")
    compile_layers(model, backend=backend)
    with torch.no_grad():
        found = run(model)
    torch._dynamo.reset()
    assert graphs
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_what_is_not_compiled():
    model, _ = build("llava")
    model.is_quantized = True
    with pytest.raises(InputError, match="--compile is for whole weights: leave it or --quantize out"):
        compile_layers(model)
    model.is_quantized = False
    model._hf_hook = SimpleNamespace()
    with pytest.raises(InputError, match="--compile is for a model on one device"):
        compile_layers(model)
    with pytest.raises(InputError, match="--compile finds no layers in Linear"):
        compile_layers(torch.nn.Linear(1, 1, device="meta"))
    with pytest.raises(InputError, match="--compile and --checkpointing exclude each other"):
        VisionLanguageModel.from_pretrained("embedded", compiled=True, checkpointing=True)
