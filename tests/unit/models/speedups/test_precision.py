"""Convolutions are exact while a score is computed, and PyTorch's setting is left as it was."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch.backends import cudnn

from wherelook import check
from wherelook.models import VisionLanguageModel
from wherelook.models.speedups import precision
from wherelook.models.speedups.precision import EXACT, bfloat16_pays, exact_convolutions


@pytest.fixture(autouse=True)
def _as_if_there_were_a_cuda_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def test_without_a_cuda_device_the_setting_is_left_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = cudnn.conv.fp32_precision
    with exact_convolutions():
        assert cudnn.conv.fp32_precision == before


def test_the_setting_is_restored_by_the_last_one_out():
    before = cudnn.conv.fp32_precision
    assert before != EXACT
    with exact_convolutions():
        with exact_convolutions():
            assert cudnn.conv.fp32_precision == EXACT
        assert cudnn.conv.fp32_precision == EXACT
    assert cudnn.conv.fp32_precision == before


def test_the_setting_is_restored_after_an_error():
    before = cudnn.conv.fp32_precision
    with pytest.raises(ZeroDivisionError), exact_convolutions():
        _ = 1 / 0
    assert cudnn.conv.fp32_precision == before


def test_scores_and_gradients_are_computed_inside():
    model = VisionLanguageModel.from_pretrained("embedded", device="cpu")
    image = check.test_picture((64, 64))
    prompt = model.encode(image, "What color is the circle?")
    score = model.score(prompt, Image.new("RGB", image.size), model.tokenize_answer(prompt, "The circle is red."))
    seen = set()
    hook = model.model.register_forward_pre_hook(lambda *_: seen.add(cudnn.conv.fp32_precision))
    masks = torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(0))
    for compute in (score, score.gradient, lambda _: score.pixel_gradients()):
        compute(masks)
    hook.remove()
    assert seen == {EXACT}


@pytest.mark.parametrize(("seconds", "pays"), [(1.0, False), (0.7, False), (0.66, True), (0.2, True)])
def test_bfloat16_pays_from_one_and_a_half_times_the_speed_on(seconds, pays, monkeypatch):
    taken = {torch.float32: 1.0, torch.bfloat16: seconds}
    monkeypatch.setattr(precision, "_seconds", taken.__getitem__)
    bfloat16_pays.cache_clear()
    assert bfloat16_pays() is pays
    bfloat16_pays.cache_clear()
