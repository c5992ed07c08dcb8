"""The model on packed sequences: attention by slots, the loss, and the answers that come out right."""

from __future__ import annotations

import numpy as np
import torch
from architecture import Architecture
from samples import IGNORE, LABELS, SLOT_LENGTHS, SLOTS, TEXT_LENGTH, Batch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import AttentionInterface, PreTrainedModel

from wherelook.data.scenes import KINDS


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Causal attention in which every slot sees the prefix and itself, but no other slot.

    Equal to attention over the whole sequence with a block mask, at a third of the work.

    Args:
        query, key, value: (batch, heads, prefix + TEXT_LENGTH, channels), rotated to their positions.
    """
    batch, heads, length, channels = query.shape
    prefix_length = length - TEXT_LENGTH
    prefix = slice(0, prefix_length)
    prefix_key, prefix_value = key[:, :, prefix].transpose(2, 3), value[:, :, prefix]
    # Plain products beat the fused kernel by far at these lengths, above all backward.
    query = query * scaling
    scores = query[:, :, prefix] @ prefix_key
    later = torch.ones(prefix_length, prefix_length, dtype=torch.bool).triu(1)
    weights = scores.masked_fill(later, float("-inf")).softmax(dim=-1)
    outputs = [weights @ prefix_value]
    start = prefix_length
    for count, size in SLOTS:
        stop = start + count * size
        slots = (batch, heads, count, size, channels)
        own_query, own_key, own_value = (x[:, :, start:stop] for x in (query, key, value))
        towards_prefix = (own_query @ prefix_key).view(batch, heads, count, size, prefix_length)
        towards_self = own_query.reshape(slots) @ own_key.reshape(slots).transpose(3, 4)
        later = torch.ones(size, size, dtype=torch.bool).triu(1)
        towards_self = towards_self.masked_fill(later, float("-inf"))
        scores = torch.cat((towards_prefix, towards_self), dim=-1)
        weights = scores.softmax(dim=-1)
        from_prefix = weights[..., :prefix_length].reshape(batch, heads, count * size, prefix_length) @ prefix_value
        from_self = weights[..., prefix_length:] @ own_value.reshape(slots)
        outputs.append(from_prefix + from_self.view(batch, heads, count * size, channels))
        start = stop
    return torch.cat(outputs, dim=2).transpose(1, 2), None


AttentionInterface.register("packed", packed_attention)
_SLOT_OF_TOKEN = torch.from_numpy(np.repeat(np.arange(len(SLOT_LENGTHS)), SLOT_LENGTHS))


class PatchHeads(nn.Module):
    """What a patch shows, read off its features. Used in training alone; never part of the model that is saved."""

    def __init__(self, width: int, world: str) -> None:
        super().__init__()
        self.sizes = (*map(len, LABELS[world]), 2, 2)
        self.linear = nn.Linear(width, sum(self.sizes))

    def forward(self, features: torch.Tensor, patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and the accuracy of each head at patches that hold a center (of all for the last two)."""
        loss, accuracy = features.new_zeros((), dtype=torch.float32), []
        centers = patches[..., 4] == 1
        for index, scores in enumerate(self.linear(features).float().split(self.sizes, dim=-1)):
            wanted = patches[..., index]
            loss = loss + cross_entropy(scores.flatten(0, 1), wanted.flatten(), ignore_index=IGNORE)
            counted = centers if index < 3 else wanted != IGNORE
            accuracy.append((scores.argmax(-1) == wanted)[counted].float().mean())
        return loss, torch.stack(accuracy)


def positions(architecture: Architecture) -> torch.Tensor:
    """(..., 1, 1 + image tokens + TEXT_LENGTH): every slot counts on from the prefix."""
    prefix = architecture.prefix_positions(1 + architecture.image_tokens)
    slots = torch.cat([prefix.max() + 1 + torch.arange(int(size)) for size in SLOT_LENGTHS])
    return torch.cat((prefix, slots.expand(*prefix.shape[:-1], -1)), dim=-1)


def answer_logits(
    architecture: Architecture, model: PreTrainedModel, features: torch.Tensor, batch: Batch
) -> torch.Tensor:
    """(answer tokens, vocabulary): of every place whose label is an answer's token, row by row."""
    language_model = model.model.language_model
    embedded = language_model.embed_tokens(batch.tokens)
    images = architecture.embed_image(model, features).to(embedded.dtype)
    prefix_length = 1 + images.shape[1]
    embedded = torch.cat((embedded[:, :1], images, embedded[:, prefix_length:]), dim=1)
    # Any 4-D mask keeps Transformers from building one; `packed_attention` does not read it.
    mask = torch.zeros((1, 1, 1, 1), dtype=embedded.dtype)
    hidden = language_model(
        inputs_embeds=embedded,
        attention_mask=mask,
        position_ids=positions(architecture),
        use_cache=False,
        **architecture.language_inputs(model, features),
    ).last_hidden_state
    return model.lm_head(hidden[batch.labels != IGNORE]).float()


def answer_loss(
    architecture: Architecture,
    model: PreTrainedModel,
    features: torch.Tensor,
    batch: Batch,
    kind_weights: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss per answer, and which answers are exactly right.

    An answer is right when the likeliest token is the right one everywhere; greedy generation would then write it.

    Returns:
        The loss, and bool (batch, slots).
    """
    logits = answer_logits(architecture, model, features, batch)
    labels = batch.labels[:, 1 + architecture.image_tokens :]
    scored, slots = labels != IGNORE, _SLOT_OF_TOKEN.to(labels.device)
    weights = kind_weights[batch.kinds.clamp(min=0)][:, slots][scored]
    losses = cross_entropy(logits, labels[scored], reduction="none")
    wrong = torch.zeros(labels.shape, dtype=torch.bool)
    wrong[scored] = logits.argmax(-1) != labels[scored]
    wrong_slots = torch.zeros(batch.kinds.shape, dtype=torch.long).index_add_(1, slots, wrong.long())
    return (losses * weights).sum() / (batch.kinds != IGNORE).sum(), wrong_slots == 0


def kind_counts(kinds: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(kinds, 2): right answers and all answers."""
    return torch.stack(
        [torch.stack((right[kinds == index].sum(), (kinds == index).sum())) for index in range(len(KINDS))]
    )
