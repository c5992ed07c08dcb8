"""Maps from inside the model: attention, and its gradient.

They need a score that is an `OpensInside` (wherelook.score), and image tokens whose place in the image is known, as
`grad_cam` and `logit_lens` do, which read hidden states. A token gets a value; a cell of the map gets the mean value of
the tokens that stand for it (`ImageTokens.paint`). With A_l the attention of layer l, mean over heads, from every
position of the language model's input to every one before it, q the positions that predict the selected tokens, and F
the summed log-probability of these:

attention           the mean over layers and q of A_l[q, image token].
rollout             A_L' ... A_1' with A' = (A + 1) / 2 (Abnar & Zuidema 2020, arXiv 2005.00928, section 3), read at
                    [q, image token], mean over q.
relative-attention  A_l[q, image token] divided by the same for a question that asks for no place in particular (Zhang
                    et al. 2025, arXiv 2502.17422, section 4): what every question attends to cancels.
relevancy           (1 + C_L) ... (1 + C_1) with C = the mean over heads of max(0, A * dF/dA) (Chefer et al. 2021,
                    arXiv 2103.15679, equations 5 and 6), read like rollout.

These say what the model computes with, not what its answer rests on: a token may be attended to because attention has
to go somewhere, and in deep layers a token may hold what was seen elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from wherelook.attribution.grids import to_saliency
from wherelook.canvas import Size, map_size
from wherelook.errors import InputError
from wherelook.score import (
    AnswerScore,
    Attention,
    Attribution,
    ImageTokens,
    ModelInside,
    OpensInside,
    Passes,
    Progress,
)

GENERAL_QUESTION = "Write a general description of the image."
"""What relative attention compares with: the paper's own words."""

ASK_AGAIN = 5
"""Passes that attention to another question costs."""


@dataclass(frozen=True)
class InsideSettings:
    """Attributes:
    cells: side of the map for a square image; its cells are square.
    """

    cells: int = 28

    def __post_init__(self) -> None:
        if not 1 <= self.cells <= 128:
            raise InputError(f"cells must be from 1 to 128, not {self.cells}")


@dataclass(frozen=True)
class LayerSettings(InsideSettings):
    """Of relative attention.

    Attributes:
        depth: which layer's attention is read, as a share of the layers below it; -1 for the mean over all. The paper
            takes layer 14 of 32 for LLaVA-1.5.
    """

    depth: float = 0.45

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth != -1 and not 0 <= self.depth < 1:
            raise InputError(f"depth must be at least 0 and below 1, or -1 for all layers, not {self.depth}")


# One reading of the model cannot be made cheaper: the presets of a method are the same.
PRESETS: dict[str, InsideSettings] = {"best": InsideSettings(), "fast": InsideSettings(), "paper": InsideSettings()}
RELATIVE_PRESETS: dict[str, LayerSettings] = {
    "best": LayerSettings(),
    "fast": LayerSettings(),
    "paper": LayerSettings(),
}


def passes(settings: InsideSettings, image_size: Size, *, forward: int = 1, backward: int = 0) -> Passes:
    """`forward` passes, and one of the vision side for every row and column, the image, and noise all over it."""
    return Passes(forward + sum(map_size(settings.cells, image_size)) + 2, backward)


def attention(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: InsideSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Raw attention. See the module's docstring; the arguments of all methods here are the same.

    Args:
        score: must be an `OpensInside`.
        image: not used.
        settings: see `InsideSettings`.
        seed: not used; nothing is random.
        progress: not used; it is one pass.

    Returns:
        The map, the largest value 1, with a note on how much reading attention moved the answer.

    Raises:
        InputError: the score does not open its model, or the model does not show what is read.
    """
    inside, tokens = open_inside(score, settings, "attention")
    read = inside.attention()
    values = _to_image(read.layers.mean(dim=0), read, tokens)
    return Attribution(to_saliency(tokens.paint(values)), notes=_notes(read))


def rollout(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: InsideSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Attention rollout (Abnar & Zuidema 2020). Arguments and errors: see `attention`."""
    inside, tokens = open_inside(score, settings, "attention")
    read = inside.attention()
    flow = roll_out(read.layers, read.predicting)
    return Attribution(to_saliency(tokens.paint(flow.mean(dim=0)[tokens.positions])), notes=_notes(read))


def relative_attention(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: LayerSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Attention divided by that to a general question (Zhang et al. 2025). Arguments and errors: see `attention`."""
    inside, tokens = open_inside(score, settings, "attention")
    asked, general = inside.attention(), inside.attention(question=GENERAL_QUESTION)
    ours, others = (_to_image(_layer(read.layers, settings.depth), read, tokens) for read in (asked, general))
    values = ours / others.clamp_min(torch.finfo(others.dtype).tiny)
    return Attribution(to_saliency(tokens.paint(values)), notes=_notes(asked))


def relevancy(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: InsideSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Gradient-weighted attention (Chefer et al. 2021). Arguments and errors: see `attention`.

    Its backward pass holds the attention of all layers and heads at once, which is what its memory is.
    """
    inside, tokens = open_inside(score, settings, "attention")
    read = inside.attention(weighted=True)
    relevance = propagate(read.layers, read.predicting)
    return Attribution(to_saliency(tokens.paint(relevance.mean(dim=0)[tokens.positions])), notes=_notes(read))


def roll_out(
    layers: Float[Tensor, "layers length length"], queries: Int[Tensor, " queries"]
) -> Float[Tensor, "queries length"]:
    """Rows `queries` of A_L' ... A_1' with A' = (A + 1) / 2: half of every layer's output is its input."""
    flow = functional.one_hot(queries, layers.shape[-1]).to(layers.dtype)
    for layer in layers.flip(0):  # from the last layer down, rows are enough
        flow = (flow @ layer + flow) / 2
    return flow


def propagate(
    layers: Float[Tensor, "layers length length"], queries: Int[Tensor, " queries"]
) -> Float[Tensor, "queries length"]:
    """Rows `queries` of (1 + C_L) ... (1 + C_1)."""
    relevance = functional.one_hot(queries, layers.shape[-1]).to(layers.dtype)
    for layer in layers.flip(0):
        relevance = relevance + relevance @ layer
    return relevance


def open_inside(score: AnswerScore, settings: InsideSettings, what: str) -> tuple[ModelInside, ImageTokens]:
    """What can be read inside the score's model, and where its image tokens lie on the map.

    Raises:
        InputError: the score does not open its model, or the places of image tokens are not known.
    """
    if not isinstance(score, OpensInside):
        raise InputError(
            f"this method reads {what} inside the model, which this model does not offer; methods that work on any "
            "model: guided-igos, igos+, occlusion, rise"
        )
    inside = score.inside()
    return inside, inside.image_tokens(map_size(settings.cells, score.canvas.size))


def _to_image(layer: Tensor, read: Attention, tokens: ImageTokens) -> Tensor:
    """(image tokens,): from the predicting positions to the image tokens, mean over the former."""
    return layer[read.predicting][:, tokens.positions].mean(dim=0)


def _layer(layers: Tensor, depth: float) -> Tensor:
    return layers.mean(dim=0) if depth == -1 else layers[math.floor(depth * len(layers))]


def _notes(read: Attention) -> tuple[str, ...]:
    return (
        "attention was read in a pass of its own, computed eagerly; "
        f"it moved the answer's log-probabilities by {read.difference:.1g} nats at most",
    )
