"""An explanation is the same in every mode of PyTorch that the application may be in, and leaves the mode as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from tools.families import build

from wherelook import Explainer
from wherelook.attribution import METHODS
from wherelook.check import test_picture as make_picture
from wherelook.errors import InputError

PICTURE = make_picture((60, 100))
QUESTION = "What color is the ring?"
QUICK = {"answer": "The purple ring is left of the star.", "preset": "fast", "alpha": 0.0, "replay_steps": 2}
SHORT = {"cells": 8, "iterations": 1, "steps": 2, "start_steps": 2, "verify": 1, "rest": 1}
SOME = {"guided-igos": SHORT, "rise": {"masks": 8}, "relevancy": {}, "logit-lens": {}, "edges": {}, "random": {}}
"""A method of each kind: an optimizer, random masks, hooks, the inside of the model, no model at all."""


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


EXACT = {
    "inference": torch.inference_mode,
    "no-grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "device": lambda: torch.device("meta"),
    "deterministic": deterministic,
}
ROUNDED = {"bfloat16": lambda: default_dtype(torch.bfloat16), "float64": lambda: default_dtype(torch.float64)}
"""Transformers makes some tensors of its own in the default dtype: that moves the last digits."""


def state() -> list[object]:
    """What of PyTorch an application can set that an explanation could disturb."""
    return [
        torch.get_default_dtype(), torch.get_default_device(), torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Explainer(*build("llava"), identifier="tiny")


@pytest.fixture(scope="module")
def expected(explainer) -> dict:
    return {
        name: explainer.explain(PICTURE, QUESTION, method=name, settings=settings, **QUICK)
        for name, settings in SOME.items()
    }


@pytest.mark.parametrize("mode", [*EXACT.values(), *ROUNDED.values()], ids=[*EXACT, *ROUNDED])
def test_the_mode_changes_no_map(explainer, expected, mode, request):
    near = 1e-5 if request.node.callspec.id in ROUNDED else 0.0
    with mode():
        before = state()
        fresh = Explainer(explainer.model.model, explainer.model.processor, identifier="tiny")
        for name, settings in SOME.items():
            found = fresh.explain(PICTURE, QUESTION, method=name, settings=settings, **QUICK)
            assert np.abs(found.heatmap - expected[name].heatmap).max() <= near, name
            assert found.metrics == pytest.approx(expected[name].metrics, abs=near), name
            assert found.config["method"] in METHODS
        assert state() == before


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad], ids=["inference", "no-grad"])
def test_a_model_that_was_loaded_in_a_mode_has_gradients(mode):
    with mode():
        explainer = Explainer.from_pretrained("embedded", device="cpu")
    assert not any(parameter.is_inference() for parameter in explainer.model.model.parameters())
    with mode():
        made = explainer.explain(PICTURE, "What shape is it?", method="gradient", answer="a ring", alpha=0.0)
    assert made.status == "ok"


def test_weights_that_were_made_in_inference_mode_take_methods_without_gradients():
    with torch.inference_mode():
        model, processor = build("llava")
    explainer = Explainer(model, processor)
    assert explainer.explain(PICTURE, QUESTION, method="occlusion", **QUICK).status == "ok"
    for method in ("gradient", "relevancy", "guided-igos"):
        with pytest.raises(InputError, match=r"made inside torch.inference_mode\(\), and PyTorch passes no gradient"):
            explainer.explain(PICTURE, QUESTION, method=method, **QUICK)
