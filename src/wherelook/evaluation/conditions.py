"""What is changed before the same words of the same answer are explained again: how far does a map move?

Sanity checks (Adebayo et al. 2018, arXiv 1810.03292) change what a map should depend on: weights, shuffled in stages,
the image, the question. Stability changes what it should not depend on: the seed, a little noise, the question's words.
Each such map is a row of its own, under its condition; `wherelook.analysis.sanity` compares it with the plain one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from wherelook.answer import AnsweredQuestion, ask
from wherelook.arguments import FLIP_FLOOR
from wherelook.attribution import find_method
from wherelook.config import ExplainConfig
from wherelook.data.images import LoadedImage, load_image
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.method_spec import MethodSpec
from wherelook.models import ModelScore

OTHER_SEED = "other seed"
"""Nothing is changed but the seed: how much a method agrees with itself. Of both kinds."""

NOISE, PARAPHRASE = "noise", "paraphrase"
STABILITY = (OTHER_SEED, NOISE, PARAPHRASE)

WEIGHT_STAGES = ("language, upper half", "language", "vision", "all weights")
OTHER_IMAGE, BLANK_IMAGE, OTHER_QUESTION = "other image", "blank image", "other question"
SANITY = (OTHER_SEED, *WEIGHT_STAGES, OTHER_IMAGE, BLANK_IMAGE, OTHER_QUESTION)

CONDITIONS = tuple(dict.fromkeys((*STABILITY, *SANITY)))
"""In the order in which they are made: weights are shuffled once for all samples of a task."""

Picture = Callable[[LoadedImage], UInt8[np.ndarray, "height width 3"]]

TOGETHER = 8
"""Samples whose maps are made under one condition at a time."""

GRAY = 127
NOISE_LEVEL = 8.0
"""Standard deviation of the image noise for stability, of 255: a person hardly sees it."""


@dataclass(frozen=True)
class Changed:
    """An answered question after a change.

    Attributes:
        score: of the tokens to explain.
        guide: the image, see `AnsweredQuestion.guide`.
        more_seed: what is added to the method's seed.
    """

    score: ModelScore
    guide: Float[Tensor, "3 height width"]
    more_seed: int = 0


def change(
    condition: str,
    answered: AnsweredQuestion,
    *,
    seed: int,
    paraphrase: str | None,
    partner: LoadedImage | AnsweredQuestion | None,
) -> Changed | None:
    """The answer's words under a condition; None where nothing of its words is left to explain then.

    Args:
        condition: one of `CONDITIONS`; those of weights are changed already, see `shuffled_weights`.
        answered: with the words that are explained.
        seed: of the noise, and of noise baselines.
        paraphrase: the question in other words, for `PARAPHRASE`.
        partner: the other image for `OTHER_IMAGE`; for `OTHER_QUESTION` one with its answer.
    """
    if condition == OTHER_SEED:
        return Changed(answered.selected_score(), answered.guide, 1)
    if condition == PARAPHRASE:
        return None if paraphrase is None else _rephrased(answered, paraphrase)
    if condition == NOISE:
        shaken = _again(answered, _noisy(seed), seed)
        return Changed(shaken.selected_score(), shaken.guide) if shaken.relevance.status == "ok" else None
    if condition == OTHER_QUESTION:
        assert isinstance(partner, AnsweredQuestion)
        config = ExplainConfig(tokens="all", baseline=answered.baseline)
        other = ask(answered.model, shown(answered), partner.question, config, repeated=partner.reply, blind=False)
        return Changed(other.selected_score(), other.guide)
    changed = _again(answered, _other_picture(condition, partner), seed)
    return Changed(changed.score.select(answered.selected), changed.guide)


def changed_map(changed: Changed, method: MethodSpec, seed: int) -> Float[Tensor, "rows columns"] | None:
    """The map; None where there is nothing to explain."""
    run = find_method(method.method).run
    try:
        return run(changed.score, changed.guide, method.settings, seed=seed + changed.more_seed).saliency
    except InputError:
        return None


def shown(answered: AnsweredQuestion) -> LoadedImage | list[LoadedImage]:
    """The image of a question, or its images, to be asked about again."""
    return list(answered.images) if len(answered.images) > 1 else answered.image


def _again(answered: AnsweredQuestion, picture: Picture, seed: int) -> AnsweredQuestion:
    """The same answer to the same question about changed images, with the baseline that its words were found with."""
    images = [load_image(picture(image)) for image in answered.images]
    config = replace(answered.config, baseline=answered.baseline, baseline_image=answered.baseline_image, seed=seed)
    shown = images if len(images) > 1 else images[0]
    return ask(answered.model, shown, answered.question, config, repeated=answered.reply, blind=False)


def _other_picture(condition: str, partner: LoadedImage | AnsweredQuestion | None) -> Picture:
    """What is shown in place of an image; under conditions of weights itself."""
    if condition == BLANK_IMAGE:
        return lambda image: np.full_like(image.pixels, GRAY)
    if condition == OTHER_IMAGE:
        assert isinstance(partner, LoadedImage)
        lent = partner.picture
        return lambda image: np.asarray(lent.resize((image.size[1], image.size[0])))
    return lambda image: image.pixels


def _noisy(seed: int) -> Picture:
    draw = np.random.default_rng(seed)
    return lambda image: np.clip(image.pixels + draw.normal(0, NOISE_LEVEL, image.pixels.shape), 0, 255).astype(
        np.uint8
    )


def _rephrased(answered: AnsweredQuestion, paraphrase: str) -> Changed | None:
    """None where the paraphrase cannot be asked, or leaves nothing to explain."""
    try:
        score = answered.asked(paraphrase)
    except WherelookError:  # the paraphrase is at fault, not the map
        return None
    if float((score.original - score.baseline).sum()) < FLIP_FLOOR:
        return None
    return Changed(score, answered.guide)


@contextlib.contextmanager
def shuffled_weights(model: nn.Module, stage: str, *, seed: int = 0) -> Iterator[None]:
    """Every weight tensor of a part of the model with its numbers in random order inside; restored after.

    Shuffling keeps the distribution of each tensor, so that signals neither die nor explode, and needs no knowledge of
    how the model was initialized.

    Args:
        model: of Transformers.
        stage: one of `WEIGHT_STAGES`.
        seed: of the order.
    """
    chosen = _parameters(model, stage)
    kept = [parameter.detach().clone() for parameter in chosen]
    generator = torch.Generator().manual_seed(seed)
    try:
        with torch.no_grad():
            for parameter in chosen:
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
        yield
    finally:
        with torch.no_grad():
            for parameter, before in zip(chosen, kept, strict=True):
                parameter.copy_(before)


def _parameters(model: nn.Module, stage: str) -> list[nn.Parameter]:
    find: Any = getattr(model, "get_decoder", lambda: None)
    decoder = find()
    language = {id(parameter) for parameter in decoder.parameters()} if decoder is not None else set()
    everything = list(model.parameters())
    if decoder is None or len(language) == len(everything):
        if stage == "all weights":
            return everything
        raise WherelookError(f"{type(model).__name__} does not tell its language model from its vision part")
    if stage == "language, upper half":
        layers = max((part for part in decoder.modules() if isinstance(part, nn.ModuleList)), key=len)
        return [parameter for layer in layers[len(layers) // 2 :] for parameter in layer.parameters()]
    if stage == "language":
        return [parameter for parameter in everything if id(parameter) in language]
    if stage == "vision":
        return [parameter for parameter in everything if id(parameter) not in language]
    return everything
