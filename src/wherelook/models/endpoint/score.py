"""The score function of one answer on an endpoint: an image for each mask is sent, log-probabilities come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Never

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from wherelook.canvas import Canvas
from wherelook.errors import InputError
from wherelook.models.endpoint.protocols import ScoredToken
from wherelook.score import Cost, Noise

PIXELS = "image"
"""Name of the only tensor that follows the image: its pixels, as they are sent."""

Picture = UInt8[Tensor, "1 3 height width"]
Read = Callable[[list[Tensor]], list[tuple[ScoredToken, ...]]]
"""Pictures (1, 3, height, width) to the answer's tokens with each of them."""

NO_GRADIENT = "an endpoint shows log-probabilities, but no gradient and nothing inside its model"


@dataclass(frozen=True)
class _Ends:
    """The answer's tokens with the image and with the baseline."""

    image: tuple[ScoredToken, ...]
    baseline: tuple[ScoredToken, ...]


@dataclass(eq=False, repr=False)
class EndpointScore:
    """An `AnswerScore` (see wherelook.score) without a gradient. The blend is made of pixels and rounded to 256 levels.

    Args:
        read: asks the endpoint about some pictures, several at a time.
        image_pixels: {"image": pixels of the image}.
        baseline_pixels: the same of the baseline, at the same size.
        selected: positions in the answer of the tokens to score, ascending.
        cost: counts a forward for each picture; `read` adds to it.
        known: the tokens with image and baseline, if they are known already.
    """

    device = torch.device("cpu")

    read: Read
    image_pixels: Mapping[str, Picture]
    baseline_pixels: Mapping[str, Picture]
    _: KW_ONLY
    selected: Sequence[int]
    cost: Cost
    known: _Ends | None = None

    def __post_init__(self) -> None:
        height, width = self.image_pixels[PIXELS].shape[-2:]
        self.canvas = Canvas(((height, width),))
        self.selected = tuple(self.selected)

    @property
    def original(self) -> Float[Tensor, " tokens"]:
        return self._values([self._ends().image])[0]

    @property
    def baseline(self) -> Float[Tensor, " tokens"]:
        return self._values([self._ends().baseline])[0]

    def flips(self) -> list[bool]:
        """For each token: whether the model chooses it with the image and another one with the baseline."""
        ends = self._ends()
        return [ends.image[place].chosen and not ends.baseline[place].chosen for place in self.selected]

    def select(self, selected: Sequence[int]) -> EndpointScore:
        """The score of some of the tokens, given as positions in the answer."""
        return replace(self, selected=selected)

    def with_baseline(self, baseline_pictures: Mapping[str, Picture]) -> EndpointScore:
        """The score of the same tokens on the same image against another baseline; the image is not scored again."""
        (bare,) = self.read([baseline_pictures[PIXELS]])
        return replace(self, baseline_pixels=baseline_pictures, known=_Ends(self._ends().image, bare))

    def __call__(self, masks: Float[Tensor, "masks height width"]) -> Float[Tensor, "masks tokens"]:
        """See `AnswerScore`; nothing is differentiable here."""
        if torch.is_grad_enabled() and masks.requires_grad:
            raise InputError(NO_GRADIENT)
        return self._values(self.read([self.blend(mask[None])[PIXELS] for mask in masks]))

    def gradient(self, masks: Float[Tensor, "masks height width"], *, noise: Noise | None = None) -> Never:
        """Raises InputError: there is none."""
        raise InputError(NO_GRADIENT)

    def blend(self, masks: Float[Tensor, "masks height width"]) -> dict[str, Tensor]:
        """{"image": (masks, 3, height, width) uint8}: B + M (I - B) with the mask interpolated between cell centers."""
        image, base = self.image_pixels[PIXELS].float(), self.baseline_pixels[PIXELS].float()
        kept = functional.interpolate(
            masks[:, None].detach().cpu().float(), size=self.canvas.size, mode="bilinear", align_corners=False
        )
        return {PIXELS: (base + kept * (image - base)).round().clamp(0, 255).to(torch.uint8)}

    def _ends(self) -> _Ends:
        if self.known is None:
            self.known = _Ends(*self.read([self.image_pixels[PIXELS], self.baseline_pixels[PIXELS]]))
        return self.known

    def _values(self, rows: Sequence[Sequence[ScoredToken]]) -> Tensor:
        """(rows, tokens) float32 log-probabilities of the selected tokens."""
        return torch.tensor([[row[place].log_prob for place in self.selected] for row in rows], dtype=torch.float32)
