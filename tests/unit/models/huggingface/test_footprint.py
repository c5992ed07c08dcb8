"""What weights need, from shapes alone."""

from __future__ import annotations

import pytest
import torch
from tools import families

from wherelook.errors import InputError
from wherelook.load_options import LoadOptions
from wherelook.models.huggingface import footprint as module
from wherelook.models.huggingface.footprint import Footprint, footprint, weight_bytes
from wherelook.models.huggingface.loading import load


def test_bytes_are_those_of_the_loaded_weights():
    model, _ = load("embedded", LoadOptions(device="cpu"))
    expected = sum(parameter.nbytes for parameter in model.parameters())
    found = footprint("embedded", LoadOptions(device="cpu"))
    assert found.weights == expected
    assert found.warning is None
    assert footprint("embedded", LoadOptions(device="cpu", dtype="bfloat16")).weights == expected // 2


def test_fewer_bits():
    model, _ = families.build("llava")
    head = model.get_output_embeddings()
    layers = [part for part in model.modules() if isinstance(part, torch.nn.Linear) and part is not head]
    linear = sum(layer.weight.numel() for layer in layers)
    whole = weight_bytes(model, torch.float32)
    assert weight_bytes(model, torch.float32, "int8") == whole - 3 * linear
    assert weight_bytes(model, torch.float32, "int4") == int(whole - 4 * linear + (0.5 + 4 / 64) * linear)


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (80, None),
        (90, "the weights need 90.0 GB and only just fit: cuda has 100.0 GB free"),
        (110, "the weights need 110.0 GB and do not fit: cuda has 100.0 GB free"),
    ],
)
def test_warning(weights, text):
    found = Footprint(weights * 10**9, 100 * 10**9, "cuda").warning
    assert found is None if text is None else found.startswith(text)


def test_where_it_cannot_be_told(monkeypatch):
    assert footprint("embedded", LoadOptions(device="auto")) is None
    assert footprint("embedded", LoadOptions(device="cpu", trust_remote_code=True)) is None
    with pytest.raises(InputError, match="no model folder 'nothing'"):
        footprint("nothing", LoadOptions(device="cpu"))

    def fail(config):
        raise ValueError("no such class")

    monkeypatch.setattr(module, "weightless", fail)
    assert footprint("embedded", LoadOptions(device="cpu")) is None
