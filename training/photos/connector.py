"""The connector before any training: the classifier's names are told to the language model in its own words."""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerBase

from wherelook.data.scenes.photographs import everyday
from wherelook.models.photos.modeling import PhotosForConditionalGeneration
from wherelook.models.photos.tower import CLASSES

CLASS_STRENGTH = 0.3
"""Of the class's own name ("beagle") beside the everyday one ("dog")."""


def set_connector(model: PhotosForConditionalGeneration, tokenizer: PreTrainedTokenizerBase) -> None:
    """Each class is told by the mean embedding of its everyday name's words, and a part of that of its own name."""
    words = model.get_input_embeddings().weight.detach()

    def told(text: str) -> torch.Tensor:
        return words[tokenizer(" " + text, add_special_tokens=False).input_ids].mean(0)

    projector = model.model.multi_modal_projector
    with torch.no_grad():
        names = torch.stack([told(noun.name) + CLASS_STRENGTH * told(noun.kind) for noun in everyday().values()])
        colors = torch.zeros(projector.linear_1.in_features - CLASSES, words.shape[1])
        projector.linear_1.weight.copy_(torch.cat([names, colors]).T)
        projector.linear_2.weight.copy_(torch.eye(words.shape[1]))
        for layer in (projector.linear_1, projector.linear_2):
            layer.bias.zero_()
