"""A prompt as a model reads it, and what it answers: shared by models in this process and behind an address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from wherelook.canvas import Size
from wherelook.chat_options import ChatOptions
from wherelook.models.thinking import Marks


@dataclass(frozen=True)
class Prompt:
    """A question about an image, or several, as the model reads it.

    Attributes:
        text: the rendered prompt, image placeholders included.
        inputs: what the processor makes of it, and the tokens of `before`; batch of one, on the model's device.
        before: what stands between the prompt and the answer: a thought with its marks, the opening of a wrapper.
        thought_ids: the tokens of that.
        opened: marks of the thought inside which the prompt ends; None where the answer comes next.
        known: marks of a thought with which the model may begin, by its template or vocabulary.
        reasoning: the thought in `before`, without marks; None where there is none.
        notes: what a reader should know of how the prompt was made.
        chat: the chat around the question, for a model that writes the prompt elsewhere.
        sizes: (height, width) of each image; empty where nobody asks.
    """

    text: str
    inputs: Mapping[str, Tensor]
    before: str = ""
    thought_ids: tuple[int, ...] = ()
    opened: Marks | None = None
    known: Marks | None = None
    reasoning: str | None = None
    notes: tuple[str, ...] = ()
    chat: ChatOptions = field(default_factory=ChatOptions)
    sizes: tuple[Size, ...] = ()


@dataclass(frozen=True)
class Reply:
    """An answer, and the prompt that it follows.

    Attributes:
        prompt: the model's thought and the opening of a wrapper are part of it.
        ids: token ids of the answer.
        pieces: the text of each; "" for one that shows no character.
        special: which tokens are special ones or marks, that no reader sees.
        final: what the model itself marked as its final result inside the answer; None where it marked nothing.
        cut: whether the answer was cut when its budget was spent.
        pictured: the token for an image that the model began to write, where that ended the answer; else "".
    """

    prompt: Prompt
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    special: tuple[bool, ...]
    final: str | None = None
    cut: bool = False
    pictured: str = ""

    @property
    def judged(self) -> str:
        """What a judge reads: what the model marked as its final result, else the whole answer."""
        return self.text if self.final is None else self.final

    @property
    def text(self) -> str:
        """The answer as a reader sees it."""
        return "".join(self.pieces).strip()
