"""What a model reads but the pixels: the prompt, and after it the answer, teacher-forced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Conversation:
    """Everything the model reads but the pixels: the prompt, then the answer's tokens, teacher-forced.

    Attributes:
        inputs: the processor's tensors for the prompt that do not follow the image's pixels, `input_ids` of shape
            (1, length) among them.
        answer: token ids of the answer.
    """

    inputs: Mapping[str, Tensor]
    answer: tuple[int, ...]

    @property
    def prompt_length(self) -> int:
        return self.inputs["input_ids"].shape[1]


def teacher_forced_inputs(conversation: Conversation, selected: Sequence[int]) -> dict[str, Tensor]:
    """The prompt's tensors extended by the answer's tokens, up to but without the last selected one.

    A tensor with a value per prompt token grows with the answer: the attention mask by ones, others as `_answer_values`
    says.
    """
    return extended(conversation.inputs, conversation.answer[: max(selected)])


def extended(inputs: Mapping[str, Tensor], ids: Sequence[int]) -> dict[str, Tensor]:
    """A prompt's tensors with tokens of the reply after it."""
    length = inputs["input_ids"].shape[1]
    longer = {}
    for name, value in inputs.items():
        if name == "input_ids":
            extension = torch.tensor([list(ids)], dtype=value.dtype, device=value.device)
            longer[name] = torch.cat([value, extension], dim=1)
        elif value.dim() >= 2 and value.shape[:2] == (1, length):
            longer[name] = torch.cat([value, _answer_values(name, value, len(ids))], dim=1)
        else:
            longer[name] = value
    return longer


def _answer_values(name: str, value: Tensor, count: int) -> Tensor:
    """What a per-token input says about `count` answer tokens that follow the prompt."""
    if value.dim() > 2:  # a cross-attention mask: the answer sees the images that the prompt's last token sees
        return value[:, -1:].expand(-1, count, *value.shape[2:])
    # Types of tokens: where the prompt is all of type 0 the answer is type 1 (prefix and suffix), and what follows a
    # part of the reply has its type; where they tell image tokens (1) from text (0) the answer is text.
    suffix = not value.any() or bool(value[0, -1])
    ones = name == "attention_mask" or (name == "token_type_ids" and suffix)
    return torch.full((1, count), int(ones), dtype=value.dtype, device=value.device)
