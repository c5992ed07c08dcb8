"""What the layers share: the errors a user can meet, the score protocol that every method sees, small records.

Nothing here knows a model, a method or a file format.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wherelook.canvas import Canvas, Size

Status = Literal["ok", "not_visual", "weak_gap"]
"""ok: the heatmap means something. not_visual: no word of the answer is visually grounded. weak_gap: the selected words
drop too little without the image for mask optimization."""

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total)."""


class Cost:
    """Work done so far. A pass is one image through the model: a batch of eight counts as eight. Generating an answer
    is counted by its tokens, which share one pass over the image.

    Mutable on purpose: the score function adds to it, and everyone who holds it sees the total. Threads that share a
    model share its cost; each can read what it has spent itself.

    Attributes:
        forward, backward, generated_tokens: of all threads together.
    """

    def __init__(self) -> None:
        self.forward, self.backward, self.generated_tokens = 0, 0, 0
        self._lock = threading.Lock()
        self._own = threading.local()

    def __getstate__(self) -> dict[str, int]:
        """The totals: a copy, in this process or another, counts on from there, and its threads from nothing."""
        with self._lock:
            return {
                "forward": self.forward,
                "backward": self.backward,
                "generated_tokens": self.generated_tokens,
            }

    def __setstate__(self, totals: dict[str, int]) -> None:
        self.__init__()  # type: ignore[misc]
        self.__dict__.update(totals)

    def add(self, *, forward: int = 0, backward: int = 0, generated_tokens: int = 0) -> None:
        """Counts work of the calling thread."""
        spent = self.of_this_thread()
        with self._lock:
            self.forward += forward
            self.backward += backward
            self.generated_tokens += generated_tokens
        self._own.spent = Spent(
            spent.forward + forward, spent.backward + backward, spent.generated_tokens + generated_tokens
        )
        report = getattr(self._own, "report", None)
        if report is not None:
            report()

    @contextlib.contextmanager
    def watched(self, report: Callable[[], None]) -> Iterator[None]:
        """Inside, `report` is called whenever the calling thread has spent something."""
        before = getattr(self._own, "report", None)
        self._own.report = report
        try:
            yield
        finally:
            self._own.report = before

    def of_this_thread(self) -> Spent:
        """What the calling thread has spent so far."""
        return getattr(self._own, "spent", Spent())


@dataclass(frozen=True)
class Spent:
    """What was spent so far; see `Cost`."""

    forward: int = 0
    backward: int = 0
    generated_tokens: int = 0


@dataclass(frozen=True)
class Passes:
    """Images through the model: `forward` of them, `backward` of these with a gradient."""

    forward: int = 0
    backward: int = 0


@dataclass(frozen=True)
class Token:
    """One token of the answer.

    Attributes:
        text: the characters this token adds to the decoded answer (spaces included).
        id: its id in the model's vocabulary.
        log_prob: log p(token | image, question, earlier tokens), nats.
        log_prob_baseline: the same with the baseline image.
        llr: log_prob - log_prob_baseline, nats.
        selected: whether the explanation is about this token.
        word: index of the word it belongs to; None for punctuation, white space and special tokens.
        flips: whether the baseline image makes the model prefer another token here.
    """

    text: str
    id: int
    log_prob: float
    log_prob_baseline: float
    llr: float
    selected: bool
    word: int | None = None
    flips: bool = False


@dataclass(frozen=True)
class Noise:
    """Gaussian noise added to the blended pixels, in the model's normalized pixel space.

    Attributes:
        standard_deviation: in units of that space.
        seeds: one per mask, so that the noise does not depend on how the masks are batched.
        relative: whether the standard deviation is instead a share of the range from black to white in that space.
    """

    standard_deviation: float
    seeds: tuple[int, ...]
    relative: bool = False


class AnswerScore(Protocol):
    """The one function that attribution methods and metrics see.

    A mask M of shape (h, w) with values in [0, 1] blends the image I with the baseline B inside the model's own input
    space, Phi(M) = I*M + B*(1-M): 1 keeps the image, 0 shows the baseline. The score is the log-probability of each
    selected answer token given Phi(M), the question and the earlier tokens.

    Attributes:
        original: log-probabilities for the untouched image, M = 1; nats, shape (tokens,).
        baseline: log-probabilities for the baseline alone, M = 0; nats, shape (tokens,).
        canvas: the explained image, or several side by side, which a mask covers.
        cost: counts every forward and backward.
    """

    canvas: Canvas
    cost: Cost

    @property
    def original(self) -> Float[Tensor, " tokens"]: ...

    @property
    def baseline(self) -> Float[Tensor, " tokens"]: ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, masks: Float[Tensor, "masks height width"]) -> Float[Tensor, "masks tokens"]:
        """Log-probabilities, float32. Differentiable with respect to `masks` where autograd is recording."""
        ...

    def gradient(
        self, masks: Float[Tensor, "masks height width"], *, noise: Noise | None = None
    ) -> tuple[Float[Tensor, "masks tokens"], Float[Tensor, "masks height width"]]:
        """Log-probabilities and, for each mask, the gradient of their sum over tokens with respect to it.

        Memory is bounded by one micro-batch, however many masks are given.
        """
        ...


@runtime_checkable
class PixelGradient(Protocol):
    """What a score offers that can also be differentiated by the pixels themselves, not only by a mask over them."""

    def pixel_gradient(self, grid: Size, *, noise: Noise | None = None) -> Float[Tensor, "height width"]:
        """Magnitude of the gradient of the summed log-probabilities by the pixels of the untouched image.

        The gradient is in nats per change from black to white. Its magnitude is added up over channels, and over the
        places that fall into each cell of a grid of (height, width) on the image. Channels add up, where Simonyan et
        al. take the largest: patches laid out flat do not tell which of their numbers belong together.

        Args:
            grid: rows and columns of the result.
            noise: one copy of the image per seed; the gradient is averaged over them before its magnitude is taken.
        """
        ...


@dataclass(frozen=True)
class ImageTokens:
    """Which tokens the language model reads stand for the image, and what part of it each one stands for.

    Attributes:
        positions: of the image tokens in the language model's input, ascending.
        weights: each token's share of each cell of a grid on the image; not negative, a token's shares add up to 1. A
            token that no single place moves has none.
    """

    positions: Int[Tensor, " image_tokens"]
    weights: Float[Tensor, "image_tokens height width"]

    def paint(self, values: Float[Tensor, " image_tokens"]) -> Float[Tensor, "height width"]:
        """For each cell the mean value of its tokens, where a token that stands for less of the image counts more.

        A mean and not a sum: a place that a thumbnail and a tile both show would be salient for that alone.
        """
        total = self.weights.sum(dim=0)
        painted = torch.einsum("t,thw->hw", values.to(self.weights), self.weights)
        # Cells that no token stands for, such as what a processor crops off, stay zero.
        return torch.where(total > 0, painted / total.clamp_min(torch.finfo(total.dtype).tiny), 0.0)


@dataclass(frozen=True)
class Attention:
    """Attention inside the language model, for the untouched image.

    Attributes:
        layers: for every layer that attends, from the first to the last, one number for each query (row) and key: the
            mean over heads of the probability, or of max(0, probability * its gradient).
        predicting: positions whose output predicts the selected tokens.
        difference: nats; how far any selected token's log-probability was moved by reading attention, at most.
    """

    layers: Float[Tensor, "layers length length"]
    predicting: Int[Tensor, " tokens"]
    difference: float


@dataclass(frozen=True)
class States:
    """Hidden states of the language model at the image tokens, and the gradient of the summed log-probabilities."""

    values: Float[Tensor, "image_tokens channels"]
    gradients: Float[Tensor, "image_tokens channels"]


@dataclass(frozen=True)
class Readout:
    """What image tokens would say if the language model's head read them (the logit lens).

    Attributes:
        logits: for each text token between the image and the last selected token, its logit at each image token.
        ids: vocabulary ids of these text tokens.
        selected: rows of `logits` that belong to the selected tokens of the answer; earlier rows came before them.
    """

    logits: Float[Tensor, "text_tokens image_tokens"]
    ids: tuple[int, ...]
    selected: tuple[int, ...]


@runtime_checkable
class ModelInside(Protocol):
    """What can be read inside a model while it scores the selected tokens of an answer for the untouched image.

    Depth is a share of the language model's layers: 0 is what enters the first one, 1 what leaves the last one.
    """

    def image_tokens(self, grid: Size) -> ImageTokens:
        """Measured once per grid of (height, width); costs a forward of the vision side per row and per column.

        Raises:
            InputError: no token of the language model's input stands for the image.
        """
        ...

    def attention(self, *, weighted: bool = False, question: str | None = None) -> Attention:
        """One forward, in which attention is computed in a form that shows its probabilities.

        Args:
            weighted: probabilities are multiplied by their gradient, which takes a backward.
            question: asked instead of the one that was answered. The only selected token is then the first of the
                answer. Four forwards more see that the image tokens are the same, and measure the difference.

        Raises:
            InputError: the model does not show its attention probabilities, or the other question moves the image.
        """
        ...

    def states(self, depth: float, positions: Int[Tensor, " image_tokens"]) -> States:
        """Hidden states at `positions` (of image tokens); one forward and backward."""
        ...

    def readout(self, depth: float, positions: Int[Tensor, " image_tokens"]) -> Readout:
        """Hidden states at `positions` (of image tokens) through the last norm and the head; one forward."""
        ...


@runtime_checkable
class OpensInside(Protocol):
    """What a score offers whose model can be read inside."""

    def inside(self) -> ModelInside: ...


@dataclass(frozen=True)
class Attribution:
    """What a method returns.

    Attributes:
        saliency: (h, w) float32 on the CPU, in [0, 1], 1 = most salient.
        trace: the objective after each iteration, for methods that iterate.
        notes: what a reader of the map should know.
    """

    saliency: Float[Tensor, "height width"]
    trace: tuple[float, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
