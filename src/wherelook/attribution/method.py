"""What is known of a method beside its function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wherelook.canvas import Size
from wherelook.score import Attribution, Passes


@dataclass(frozen=True, eq=False)
class Method:
    """A method and what a user wants to know before running it.

    Attributes:
        run: (score, image, settings, *, seed, progress) -> Attribution; see `igos_plus.igos_plus`.
        presets: settings by preset name: best, fast and paper, or some of them.
        passes: (settings, image size) -> the most passes that they cost.
        summary: one line.
        source: paper and equation.
        needs: what a model must offer beyond a score; "-" for nothing.
        fixed_masks: whether it asks for gradients at the same masks whatever the score says.
    """

    run: Callable[..., Attribution]
    presets: Mapping[str, Any]
    passes: Callable[[Any, Size], Passes]
    summary: str
    source: str
    needs: str = "-"
    fixed_masks: bool = False

    @property
    def forward_only(self) -> bool:
        """Whether log-probabilities are all that it asks for: no gradient, nothing inside the model."""
        return self.needs == "-" and self.passes(next(iter(self.presets.values())), (28, 28)).backward == 0
