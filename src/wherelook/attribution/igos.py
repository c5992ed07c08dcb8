"""I-GOS: a mask whose removal destroys the answer, found along integrated gradients with a backtracking line search.

Qi, Khorram and Li 2020 (AAAI, arXiv 1905.00954). With F(X) the summed log-probability of the selected tokens (in the
paper the probability of a class) and Phi(M) = I*M + B*(1-M):

    min_M  J(M) = F(Phi(M)) + L1 mean|1-M| + L2 TV(M)

The direction G is the gradient of the two penalties plus the integrated gradient of F, the mean over s = 1/n .. 1 of
d/dM F(Phi(s*M)) with fresh noise on every path image. The step goes down from `step` by `decay` until the condition of
Armijo holds at the projected mask M' = clamp(M - step G, 0, 1):

    J(M') <= J(M) - armijo <G, M - M'>          (without the clamp: J(M) - armijo step |G|^2)

G is not the gradient at M, so the condition may never hold: then the smallest step is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wherelook.attribution.gradients import weighted_gradient
from wherelook.attribution.grids import to_saliency
from wherelook.attribution.total_variation import total_variation
from wherelook.canvas import Canvas, Size, map_size
from wherelook.errors import InputError
from wherelook.score import AnswerScore, Attribution, Noise, Passes, Progress


@dataclass(frozen=True)
class LineSearchSettings:
    """Every constant of I-GOS. The defaults are the "paper" preset.

    The paper states the size of the mask, 20 path points, 15 to 20 iterations and the form of objective and condition.
    The weights, the noise and the constants of the line search were taken from accounts of its published
    implementation and not checked against the paper.

    Attributes:
        cells: side of the mask for a square image.
        square: the mask is cells x cells whatever the image's shape [paper]; else its cells are square.
        iterations: steps of the optimizer.
        steps: path points n of the integrated gradients.
        l1: weight of mean|1-M|: small regions.
        tv: weight of the total variation, the mean over neighbors of |difference|^tv_power: smooth regions.
        tv_power: beta.
        noise: standard deviation of the noise on path images, in normalized pixel space.
        step: the first and largest step that the line search tries.
        decay: by which it is multiplied until the condition holds.
        floor: the smallest step, taken without the condition.
        armijo: share of the decrease promised by G that must be reached.
        relative: F is divided by its gap F(I) - F(B), and the step is made along G scaled to a largest component of 1:
            weights and steps then mean the same for every answer and model.
    """

    cells: int = 28
    square: bool = True
    iterations: int = 15
    steps: int = 20
    l1: float = 1.0
    tv: float = 20.0
    tv_power: float = 2.0
    noise: float = 0.2
    step: float = 1.0
    decay: float = 0.2
    floor: float = 1e-5
    armijo: float = 1e-4
    relative: bool = False

    def __post_init__(self) -> None:
        for name, most in (("cells", 512), ("iterations", 1000), ("steps", 1000)):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"{name} must be from 1 to {most}, not {getattr(self, name)}")
        if min(self.l1, self.tv, self.noise) < 0 or self.tv_power < 1:
            raise InputError("weights and noise must not be negative, tv_power at least 1")
        if not 1e-8 <= self.floor <= self.step:
            raise InputError("floor must be at least 1e-8 and at most step")
        if not 0 < self.decay <= 0.9 or not 0 <= self.armijo < 1:
            raise InputError("decay must be above 0 and at most 0.9, armijo from 0 to below 1")

    @property
    def step_sizes(self) -> tuple[float, ...]:
        """The steps to try, from the largest to `floor`."""
        above = math.ceil(math.log(self.floor / self.step) / math.log(self.decay) - 1e-9)
        return (*(self.step * self.decay**index for index in range(above)), self.floor)


PRESETS: dict[str, LineSearchSettings] = {
    "paper": LineSearchSettings(),
    # Steps well below 1: cells that reach 0 in the first step are no longer ranked among each other.
    "best": LineSearchSettings(
        square=False, iterations=10, steps=15, tv=0.5, noise=0.0, step=0.3, decay=0.4, floor=0.05, relative=True
    ),
    "fast": LineSearchSettings(
        square=False, iterations=3, steps=10, tv=0.5, noise=0.0, step=0.5, decay=0.4, floor=0.1, relative=True
    ),
}


def passes(settings: LineSearchSettings, image_size: Size) -> Passes:
    """The most passes of one run: path points with a gradient, and every step that a line search can try without."""
    backward = settings.steps * settings.iterations
    return Passes(backward + len(settings.step_sizes) * settings.iterations, backward)


def igos(
    score: AnswerScore,
    image: Float[Tensor, "3 height width"],
    settings: LineSearchSettings,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """I-GOS.

    Args:
        score: log-probabilities of the selected tokens as a function of masks.
        image: not used.
        settings: see `LineSearchSettings`.
        seed: of the noise on path images.
        progress: called after each iteration.

    Returns:
        The saliency 1 - M, scaled so that its largest value is 1, and the objective after each iteration.

    Raises:
        InputError: `relative`, and the answer is not less likely with the baseline.
    """
    size = (settings.cells, settings.cells) if settings.square else map_size(settings.cells, score.canvas.size)
    scale = float((score.original - score.baseline).sum()) if settings.relative else 1.0
    if not scale > 0:
        raise InputError("the answer is not less likely with the baseline image: there is nothing to optimize")
    generator, canvas = torch.Generator().manual_seed(seed), score.canvas

    def objective(mask: Tensor) -> float:
        return float(score(mask[None]).sum()) / scale + float(_penalty(mask, settings, canvas))

    mask = torch.ones(size, device=score.device, dtype=torch.float32)
    value = float(score.original.sum()) / scale  # a full mask has no penalty
    trace = []
    for iteration in range(settings.iterations):
        direction = _path_gradient(score, mask, settings, generator) / scale + _penalty_gradient(
            mask, settings, score.canvas
        )
        mask, value = backtrack(objective, mask, value, direction, settings)
        trace.append(value)
        if progress is not None:
            progress("optimize", iteration + 1, settings.iterations)
    return Attribution(to_saliency(1 - mask), tuple(trace))


def backtrack(
    objective: Callable[[Tensor], float],
    mask: Float[Tensor, "height width"],
    value: float,
    direction: Float[Tensor, "height width"],
    settings: LineSearchSettings,
) -> tuple[Float[Tensor, "height width"], float]:
    """The first mask along minus `direction` that meets the condition of Armijo, and the objective there.

    Args:
        objective: of a mask; called once for each step tried.
        mask: where to start.
        value: the objective at `mask`.
        direction: G of the module's docstring.
        settings: its steps are tried in turn; the last one is taken in any case.
    """
    top = float(direction.abs().max())
    unit = top if settings.relative and top > 0 else 1.0
    for step in settings.step_sizes:
        moved = (mask - step / unit * direction).clamp(0, 1)
        reached = objective(moved)
        if reached <= value - settings.armijo * float((direction * (mask - moved)).sum()):
            break
    return moved, reached


def _path_gradient(
    score: AnswerScore, mask: Tensor, settings: LineSearchSettings, generator: torch.Generator
) -> Tensor:
    path = torch.arange(1, settings.steps + 1, device=mask.device, dtype=torch.float32) / settings.steps
    noise = None
    if settings.noise > 0:
        seeds = torch.randint(2**62, (settings.steps,), generator=generator)
        noise = Noise(settings.noise, tuple(seeds.tolist()))
    # The inner derivative of s*M is s.
    return weighted_gradient(score, path[:, None, None] * mask, path / settings.steps, noise=noise)


def _penalty(mask: Tensor, settings: LineSearchSettings, canvas: Canvas) -> Tensor:
    return settings.l1 * (1 - mask).abs().mean() + settings.tv * total_variation(mask, settings.tv_power, canvas)


def _penalty_gradient(mask: Tensor, settings: LineSearchSettings, canvas: Canvas) -> Tensor:
    with torch.enable_grad():
        leaf = mask.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_penalty(leaf, settings, canvas), leaf)
    return gradient
