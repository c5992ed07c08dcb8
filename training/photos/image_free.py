"""Writes the answers in `image_free.json`: what SmolLM2 alone says to questions that need no image.

They keep the language model's own knowledge alive in training. The questions of `wherelook.data.scenes.facts`, which
measure that, are not among them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch

from wherelook.data.scenes import facts
from wherelook.models.photos.assemble import join

FILE = Path(__file__).parent / "image_free.json"
LONGEST, BATCH = 32, 16


def first_sentence(answer: str) -> str | None:
    """The first sentence of an answer, if it came to an end."""
    found = re.match(r"[^.!?\n]*[.!?]", answer)
    return found and found[0]


@torch.no_grad()
def main() -> None:
    model, processor = join()
    tokenizer, kept = processor.tokenizer, []
    measured = {text for text, _ in facts()}
    asked = [text for text, _ in json.loads(FILE.read_text(encoding="utf-8")) if text not in measured]
    for first in range(0, len(asked), BATCH):
        questions = asked[first : first + BATCH]
        texts = [f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n" for text in questions]
        given = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        ids = model.generate(**given, max_new_tokens=LONGEST)[:, given.input_ids.shape[1] :]
        for text, answer in zip(questions, tokenizer.batch_decode(ids, skip_special_tokens=True), strict=True):
            if (sentence := first_sentence(answer)) is not None:
                kept.append((text, sentence))
    FILE.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(kept)} of {len(asked)} questions answered in a sentence")


if __name__ == "__main__":
    main()
