"""The tokens of one answer, one after another, without paying twice for what they share.

A forward tells the log-probabilities of all tokens of an answer at once. A method that chooses its masks without
looking at the score asks for the same ones for every token: what it was told for the first is kept for the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.canvas import Size
from wherelook.errors import InputError
from wherelook.models.endpoint.score import NO_GRADIENT
from wherelook.models.huggingface.internals import Inside
from wherelook.models.huggingface.score import HuggingFaceScore
from wherelook.models.protocol import ModelScore
from wherelook.score import Cost, Noise

LIMIT = 2**28
"""Bytes that are kept, at most: log-probabilities of any method, and gradients of some thousand masks and tokens."""


class ScoreMemory:
    """What is known of the tokens of an answer for every batch of masks that was asked about.

    Args:
        score: of these tokens.
        together: positions in the answer of tokens whose gradients will be asked for at the same masks: a forward then
            serves all of them. Every other gradient is computed alone.
        limit: bytes to keep; what is found after that is found again each time.
    """

    def __init__(self, score: ModelScore, *, together: Sequence[int] = (), limit: int = LIMIT) -> None:
        self.score = score
        self.together = tuple(together)
        self.limit = limit
        self.bytes = 0
        self._joint = score.select(together) if together else score
        self._known: dict[tuple[object, ...], tuple[Tensor, ...]] = {}

    def select(self, selected: Sequence[int]) -> RememberingScore:
        """The score of some of the tokens, given as positions in the answer."""
        return RememberingScore(self, selected)

    def values(self, masks: Float[Tensor, "masks height width"]) -> Float[Tensor, "masks tokens"]:
        """Log-probabilities of all tokens."""
        (values,) = self._recall(_key(masks), lambda: (self.score(masks),))
        return values

    def gradients(
        self, masks: Float[Tensor, "masks height width"], noise: Noise | None
    ) -> tuple[Float[Tensor, "masks tokens"], Float[Tensor, "masks tokens height width"]]:
        """Log-probabilities of the tokens of `together`, and the gradient of each."""
        key = (*_key(masks), noise, "gradients")
        values, gradients = self._recall(key, lambda: _white_box(self._joint).token_gradients(masks, noise=noise))
        return values, gradients

    def _recall(self, key: tuple[object, ...], find: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """What is known under `key`, else what `find` finds; kept on the CPU as long as there is room."""
        if key in self._known:
            return tuple(tensor.to(self.score.device) for tensor in self._known[key])
        found = find()
        size = sum(tensor.nbytes for tensor in found)
        if self.bytes + size <= self.limit:
            self.bytes += size
            self._known[key] = tuple(tensor.cpu() for tensor in found)
        return found


class RememberingScore:
    """An `AnswerScore`, a `PixelGradient` and an `OpensInside` of some tokens that asks a `ScoreMemory` first.

    Only what the memory does not know costs passes. The gradient of several tokens together is always computed, as are
    gradients by pixels and what is read inside the model.
    """

    def __init__(self, memory: ScoreMemory, selected: Sequence[int]) -> None:
        self.own = memory.score.select(selected)
        self.canvas = self.own.canvas
        self.cost: Cost = self.own.cost
        self._memory = memory
        self._columns = [memory.score.selected.index(position) for position in selected]
        joint = len(selected) == 1 and selected[0] in memory.together
        self._joint_column = memory.together.index(selected[0]) if joint else None

    @property
    def device(self) -> torch.device:
        return self.own.device

    @property
    def original(self) -> Float[Tensor, " tokens"]:
        return self.own.original

    @property
    def baseline(self) -> Float[Tensor, " tokens"]:
        return self.own.baseline

    def __call__(self, masks: Float[Tensor, "masks height width"]) -> Float[Tensor, "masks tokens"]:
        """See `AnswerScore`."""
        if torch.is_grad_enabled() and masks.requires_grad:
            return self.own(masks)
        return self._memory.values(masks)[:, self._columns]

    def gradient(
        self, masks: Float[Tensor, "masks height width"], *, noise: Noise | None = None
    ) -> tuple[Float[Tensor, "masks tokens"], Float[Tensor, "masks height width"]]:
        """See `AnswerScore`."""
        if self._joint_column is None:
            return self.own.gradient(masks, noise=noise)
        values, gradients = self._memory.gradients(masks, noise)
        return values[:, [self._joint_column]], gradients[:, self._joint_column].clone()

    def pixel_gradient(self, grid: Size, *, noise: Noise | None = None) -> Float[Tensor, "height width"]:
        """See `PixelGradient`."""
        return _white_box(self.own).pixel_gradient(grid, noise=noise)

    def inside(self) -> Inside:
        """See `OpensInside`."""
        return _white_box(self.own).inside()


def _white_box(score: ModelScore) -> HuggingFaceScore:
    """The score, if it is of a model in this process."""
    if not isinstance(score, HuggingFaceScore):
        raise InputError(NO_GRADIENT)
    return score


def _key(masks: Tensor) -> tuple[object, ...]:
    """Equal for equal masks alone: their shape, their type, and a hash of their bytes."""
    values = masks.detach().cpu().contiguous()
    return tuple(values.shape), values.dtype, hashlib.sha256(values.numpy().tobytes()).digest()
