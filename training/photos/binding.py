"""Does the model know which name belongs to which place?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pack_mosaics import answer_loss, pack, to_pixels
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from wherelook.data.scenes import TUNING_SEEDS
from wherelook.data.scenes.mosaics import make_mosaic
from wherelook.data.scenes.photographs import Photograph
from wherelook.data.scenes.questions import with_article

SEED = TUNING_SEEDS[900_000]


@torch.no_grad()
def binding(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, photographs: Sequence[Photograph], pairs: int
) -> str:
    """In how many pairs of photographs A | B each name is likelier at its own place, such as "51 of 58".

    log p(A | left?) + log p(B | right?) against log p(B | left?) + log p(A | right?): the language model's preference
    for one of the names cancels. Chance is a half.
    """
    right = count = 0
    for seed in range(SEED, SEED + pairs):
        mosaic = make_mosaic(photographs, seed, layout=("beside", "above")[seed % 2], budget={})
        nouns = [panel.noun for panel in mosaic.panels]
        if nouns[0].name == nouns[1].name:
            continue
        phrases = [with_article(noun.name, noun.form) for noun in nouns]
        places = [panel.place for panel in mosaic.panels]
        questions = [
            (f"What is {places[at]}?", f"There is {phrases[which]} {places[at]}.")
            for at, which in ((0, 0), (1, 1), (0, 1), (1, 0))
        ]
        batch = pack([(to_pixels(mosaic), questions)], tokenizer).to(model.device)
        losses = answer_loss(model, batch).double().cpu().numpy()
        lengths = [len(tokenizer(f"{a}<|im_end|>", add_special_tokens=False).input_ids) for _, a in questions]
        totals = [part.sum() for part in np.split(losses, np.cumsum(lengths)[:-1])]
        right += totals[0] + totals[1] < totals[2] + totals[3]
        count += 1
    return f"{right} of {count}"
