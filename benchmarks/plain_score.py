"""The score function as the published procedure computes it: the yardstick of `speed.py`, for nothing else.

One image per forward, logits for every position of the whole sequence, the graphs of all path images held until one
backward. The values are the same as `HuggingFaceScore`'s.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wherelook.models.huggingface.score import HuggingFaceScore
from wherelook.models.huggingface.teacher_forcing import teacher_forced_inputs
from wherelook.models.speedups.patching import frozen
from wherelook.score import Noise


class PlainScore(HuggingFaceScore):
    """`HuggingFaceScore` without its economies."""

    @classmethod
    def like(cls, score: HuggingFaceScore) -> PlainScore:
        """The plain score of the same tokens."""
        plain = cls(
            score.model,
            score.conversation,
            score.image_pixels,
            score.baseline_pixels,
            score.geometry,
            selected=score.selected,
            plan=score.plan,
            cost=score.cost,
            known=score.known,
        )
        whole = range(1, len(score.conversation.answer) + 1)  # one past the end: every answer token is fed
        plain._inputs = teacher_forced_inputs(score.conversation, whole)
        return plain

    def _logits(self, masks: Tensor, noise: Noise | None) -> Tensor:
        inputs = self._inputs | self.blend(masks, noise)
        self.cost.add(forward=len(masks))
        logits = self.model(**inputs, **self._options).logits
        everywhere = torch.log_softmax(logits.float(), dim=-1)
        return everywhere[:, self._positions]  # log_softmax of log-probabilities changes nothing

    def _evaluate(self, masks: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            rows = [self._logits(mask[None].to(self.device), None) for mask in masks]
        logits = torch.cat(rows)
        return self._gather(logits), logits.argmax(dim=-1)

    def gradient(self, masks: Tensor, *, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        leaf = masks.detach().to(self.device).requires_grad_()
        with torch.enable_grad(), frozen(self.model):
            rows = [
                self._log_probabilities(
                    leaf[index : index + 1],
                    None if noise is None else Noise(noise.standard_deviation, (noise.seeds[index],)),
                )
                for index in range(len(leaf))
            ]
            values = torch.cat(rows)
            (gradients,) = torch.autograd.grad(values.sum(), leaf)
        self.cost.add(backward=len(leaf))
        return values.detach(), gradients
