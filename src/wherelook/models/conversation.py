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
    length = conversation.prompt_length
    forced = conversation.answer[: max(selected)]
    inputs = {}
    for name, value in conversation.inputs.items():
        if name == "input_ids":
            extension = torch.tensor([forced], dtype=value.dtype, device=value.device)
            inputs[name] = torch.cat([value, extension], dim=1)
        elif value.dim() >= 2 and value.shape[:2] == (1, length):
            inputs[name] = torch.cat([value, _answer_values(name, value, len(forced))], dim=1)
        else:
            inputs[name] = value
    return inputs


def _answer_values(name: str, value: Tensor, count: int) -> Tensor:
    """What a per-token input says about `count` answer tokens that follow the prompt."""
    if value.dim() > 2:  # a cross-attention mask: the answer sees the images that the prompt's last token sees
        return value[:, -1:].expand(-1, count, *value.shape[2:])
    # Types of tokens: where the prompt is all of type 0 the answer is type 1 (prefix and suffix); where they tell
    # image tokens (1) from text (0) the answer is text.
    ones = name == "attention_mask" or (name == "token_type_ids" and not value.any())
    return torch.full((1, count), int(ones), dtype=value.dtype, device=value.device)
