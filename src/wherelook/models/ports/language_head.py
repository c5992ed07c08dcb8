"""What the ported models do with their language model's output, as Transformers' own ones do."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import PreTrainedModel
from transformers.models.llava.modeling_llava import LlavaCausalLMOutputWithPast


def causal_output(
    model: PreTrainedModel, outputs: Any, labels: Tensor | None, logits_to_keep: int | Tensor
) -> LlavaCausalLMOutputWithPast:
    """Logits, and with `labels` the loss.

    Args:
        model: with `lm_head` and a `text_config`.
        outputs: a `LlavaModelOutputWithPast`, of the model without its head.
        labels: (batch, kept places) ids of the tokens, -100 where none counts.
        logits_to_keep: how many last places get logits (0: all), or which.
    """
    head: Any = model.lm_head
    kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
    logits = head(outputs.last_hidden_state[:, kept])
    loss = None
    if labels is not None:
        loss = model.loss_function(logits=logits, labels=labels, vocab_size=model.config.text_config.vocab_size)
    return LlavaCausalLMOutputWithPast(
        loss=loss,
        logits=logits,
        past_key_values=outputs.past_key_values,
        hidden_states=outputs.hidden_states,
        attentions=outputs.attentions,
        image_hidden_states=outputs.image_hidden_states,
    )
