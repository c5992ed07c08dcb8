"""Mosaics and their questions in one sequence each: the image once, and each question sees the image and itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerBase

from wherelook.data.scenes.mosaics import Mosaic
from wherelook.models.photos.assemble import IMAGE
from wherelook.models.photos.modeling import sentences
from wherelook.models.photos.tower import regions

Pairs = Sequence[tuple[str, str]]
"""Questions with their answers."""


@dataclass
class Packed:
    """Mosaics and their questions, each in one sequence.

    Attributes:
        pixels: (batch, 3, side, side).
        ids: (batch, length); `image` at the image's tokens.
        positions: (batch, length): where each token stands, as if its question were alone.
        mask: bool (batch, 1, length, length): what each token sees.
        labels: (batch, length): the next token where it is part of an answer, else -100.
    """

    pixels: torch.Tensor
    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor

    def to(self, device: torch.device) -> Packed:
        return Packed(**{name: value.to(device) for name, value in vars(self).items()})


def pack(items: Sequence[tuple[torch.Tensor, Pairs]], tokenizer: PreTrainedTokenizerBase) -> Packed:
    """Packs (pixels, questions with answers) of each mosaic."""

    def encode(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False).input_ids

    prefix = encode("<|im_start|>user\n" + sentences(IMAGE))
    rows = []
    for _, questions in items:
        ids, places, group, labels = list(prefix), list(range(len(prefix))), [0] * len(prefix), [-100] * len(prefix)
        for number, (question, answer) in enumerate(questions, start=1):
            asked = encode(f"{question}<|im_end|>\n<|im_start|>assistant\n")
            told = encode(f"{answer}<|im_end|>")
            own = asked + told
            ids += own
            places += range(len(prefix), len(prefix) + len(own))
            group += [number] * len(own)
            labels += [-100] * (len(asked) - 1) + told + [-100]
        rows.append((ids, places, group, labels))
    length = -(-max(len(row[0]) for row in rows) // 32) * 32
    ids, places, group, labels = (
        torch.tensor([list(row[part]) + [fill] * (length - len(row[part])) for row in rows])
        for part, fill in enumerate((0, 0, -1, -100))
    )
    earlier = torch.ones(length, length, dtype=torch.bool).tril()
    seen = (group[:, None, :] == 0) | (group[:, None, :] == group[:, :, None])
    return Packed(torch.stack([pixels for pixels, _ in items]), ids, places, (seen & earlier)[:, None], labels)


def to_pixels(mosaic: Mosaic) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(mosaic.image)).permute(2, 0, 1).float()
    return (pixels - 127.0) / 128.0


def answer_loss(model: nn.Module, batch: Packed) -> torch.Tensor:
    """Cross-entropy of each of the answers' tokens, in order, with a gradient for what is trained."""
    tower = model.model.vision_tower
    with torch.no_grad():
        features = regions(tower.encoder(batch.pixels))
        colors = regions(torch.cat([batch.pixels, batch.pixels.square()], dim=1))
    seen = model.model.multi_modal_projector(tower.describe(features, colors))
    embedded = model.get_input_embeddings()(batch.ids)
    at = (batch.ids == model.config.image_token_id)[..., None]
    embedded = embedded.masked_scatter(at, seen.to(embedded.dtype))
    hidden = model.model.language_model(
        inputs_embeds=embedded, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
    ).last_hidden_state
    told = batch.labels >= 0
    logits = model.lm_head(hidden[told])
    return cross_entropy(logits, batch.labels[told], reduction="none")
