"""The preset `paper` against the papers' equations, written out a second time in `published_igos`.

Without noise: the constants amplify small differences (docs/fidelity.md), and noise is drawn in another order.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from published_igos import CELLS, published_mask
from toy import ToyScore
from wherelook.attribution import METHODS
from wherelook.attribution.igos_plus import PRESETS, IgosPlusSettings

SIDE = 224
STORED = Path(__file__).with_name("published_masks.npz")
"""Masks of the independent implementation, averaged over 32 x 32 cells, by method and answer."""
AGREEMENT = 0.003
ANSWERS = (0, 1)


@cache
def network(answer: int) -> torch.nn.Module:
    """A small network with fixed random weights, in the place of a model that scores an answer."""
    with torch.random.fork_rng():
        torch.manual_seed(answer)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 16, stride=16), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(8 * 14 * 14, 4)
        ).requires_grad_(False)


def log_probability(images: Tensor, answer: int) -> Tensor:
    return 4 * functional.log_softmax(6 * network(answer)(images), dim=-1)[:, 0]


@cache
def pictures(answer: int) -> tuple[Tensor, Tensor]:
    """The image, in [0, 1], and what is left of it without detail. The answer is likelier with the image."""
    generator = torch.Generator().manual_seed(answer)
    coarse = torch.rand(1, 3, 9, 9, generator=generator)
    image = functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic", align_corners=False).clamp(0, 1)
    baseline = image.mean(dim=(2, 3), keepdim=True).expand_as(image)
    with torch.no_grad():
        scores = log_probability(torch.cat([image, baseline]), answer)
    return (image[0], baseline[0]) if scores[0] > scores[1] else (1 - image[0], 1 - baseline[0])


def product(method: str, answer: int, settings: IgosPlusSettings) -> Tensor:
    """Saliency by the package: a mask given to the score is upsampled as the model's input would be."""
    image, baseline = pictures(answer)

    def score(masks: Tensor) -> Tensor:
        size = (SIDE, SIDE)
        kept = functional.interpolate(masks[:, None], size=size, mode="bilinear", align_corners=False)
        return log_probability(baseline + kept * (image - baseline), answer)[:, None]

    return METHODS[method].run(ToyScore(score, image_size=(SIDE, SIDE)), image, settings).saliency


def as_saliency(mask: Tensor) -> Tensor:
    cells = functional.interpolate(1 - mask[None, None], size=(CELLS, CELLS), mode="area")[0, 0]
    return cells / cells.max()


@pytest.mark.parametrize("method", ["igos+", "igos++"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_the_paper_preset_gives_the_stored_masks_of_an_independent_implementation(method, answer):
    stored = torch.from_numpy(np.load(STORED)[f"{method}-{answer}"])
    found = product(method, answer, replace(PRESETS["paper"], noise=0.0))
    assert stored.min() < 0.5  # not flat
    assert float((found - stored).abs().max()) < AGREEMENT


def test_the_stored_masks_are_those_of_the_independent_implementation():
    image, baseline = pictures(0)
    mask = published_mask(lambda images: log_probability(images, 0), image, baseline, image, masks=1)
    np.testing.assert_allclose(as_saliency(mask).numpy(), np.load(STORED)["igos+-0"], atol=1e-3)


def test_with_cells_that_are_cells_the_mask_is_another_one():
    """What the setting is about: with each cell in the middle of its share of the image, maps differ visibly."""
    settings = replace(PRESETS["paper"], noise=0.0)
    stored = torch.from_numpy(np.load(STORED)["igos++-0"])
    other = product("igos++", 0, replace(settings, upsampling="cells"))
    assert float((other - stored).abs().max()) > 10 * AGREEMENT


def store() -> None:
    """python -c "import test_published; test_published.store()": makes the stored masks again."""
    found = {}
    for answer in ANSWERS:
        image, baseline = pictures(answer)
        for method, masks in (("igos+", 1), ("igos++", 2)):
            mask = published_mask(
                lambda images, answer=answer: log_probability(images, answer), image, baseline, image, masks=masks
            )
            found[f"{method}-{answer}"] = as_saliency(mask).numpy()
    np.savez_compressed(STORED, **found)
