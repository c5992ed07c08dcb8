"""What an explanation needs of a model, whoever made it: in this process, behind an address, or of another package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from wherelook.chat_options import ChatOptions
from wherelook.geometry import BlendError
from wherelook.models.reply import Prompt, Reply
from wherelook.score import AnswerScore, Cost

Pictures = Image.Image | Sequence[Image.Image]
"""One image, or several in the order of the prompt."""


@runtime_checkable
class ModelScore(AnswerScore, Protocol):
    """An `AnswerScore` of all tokens of an answer, of which some can be selected, and whose baseline can be changed.

    Attributes:
        selected: positions of its tokens in the answer.
        baseline_pixels: the baseline as the model reads it.
    """

    @property
    def selected(self) -> Sequence[int]: ...

    @property
    def baseline_pixels(self) -> Mapping[str, Tensor]: ...

    def select(self, positions: Sequence[int]) -> ModelScore:
        """The score of these tokens of the answer."""
        ...

    def with_baseline(self, pixels: Any, /) -> ModelScore:
        """The same with another baseline, as `Model.pixels` gives it."""
        ...

    def flips(self) -> list[bool]:
        """Whether the baseline makes the model prefer another token, for each selected one."""
        ...

    def blend(self, masks: Float[Tensor, "masks height width"]) -> dict[str, Tensor]:
        """Image (mask 1) and baseline (mask 0) blended, as the model reads it."""
        ...


@runtime_checkable
class Model(Protocol):
    """A model that answers questions about images, and tells how likely an answer is.

    Attributes:
        identifier: how results call it.
        cost: what it has spent.
        device: where it runs; the CPU for one elsewhere.
        forward_only: whether it tells log-probabilities alone: no gradients, nothing inside.
        weights: its modules, where they are in reach; else None.
    """

    identifier: str
    cost: Cost

    @property
    def device(self) -> torch.device: ...

    @property
    def chat(self) -> ChatOptions:
        """The chat around every question that has no options of its own."""
        ...

    @property
    def forward_only(self) -> bool: ...

    @property
    def weights(self) -> torch.nn.Module | None: ...

    @property
    def description(self) -> dict[str, Any]:
        """What a result says about the model: id, revision, class, dtype and more."""
        ...

    @property
    def execution(self) -> dict[str, Any]:
        """What a repetition needs beside it to get the same digits."""
        ...

    def identity(self) -> dict[str, Any]:
        """What results depend on: equal models have equal ones."""
        ...

    def forget(self) -> None:
        """Forgets what earlier answers taught, such as sizes of batches: digits then depend on no earlier answer."""
        ...

    def evaluation(self) -> AbstractContextManager[None]:
        """Inside, the model gives the same answer to the same question."""
        ...

    def encode(self, image: Pictures, question: str, chat: ChatOptions | None = None) -> Prompt:
        """Question and image as the model reads them."""
        ...

    def with_thought(self, prompt: Prompt, thought: str) -> Prompt:
        """The prompt with a given thought behind it."""
        ...

    def reply(self, prompt: Prompt, *, max_new_tokens: int = 64, max_thinking_tokens: int | None = None) -> Reply:
        """The greedy answer."""
        ...

    def place(self, prompt: Prompt, answer: str, *, max_thinking_tokens: int | None = None) -> Reply:
        """A given answer behind the prompt."""
        ...

    def repeat(self, prompt: Prompt, reply: Reply) -> Reply:
        """Another prompt's thought and answer behind this one, token for token."""
        ...

    def answer_text(self, prompt: Prompt, *, max_new_tokens: int = 64) -> str:
        """The greedy answer as text; "" for an empty one."""
        ...

    def pixels(self, prompt: Prompt, image: Pictures) -> dict[str, Tensor]:
        """Other images of the same sizes, as the model reads them in this prompt."""
        ...

    def score(self, prompt: Prompt, baseline: Pictures, answer: Sequence[int]) -> ModelScore:
        """The score of an answer's tokens."""
        ...

    def stand_ins(self, prompt: Prompt, image: Pictures) -> list[Image.Image]:
        """Smaller images that the model reads as it reads these; the images themselves where they are not large."""
        ...

    def check_blend(self, image: Pictures, baseline: Pictures) -> BlendError:
        """How far a mask over the image is from a mask over what the model reads."""
        ...

    def size_notes(self, prompt: Prompt) -> tuple[str, ...]:
        """What a reader should know of the images' sizes."""
        ...
