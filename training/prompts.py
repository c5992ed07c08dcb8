"""What the trained models share in text: special tokens, the chat template, the tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, END, USER, ASSISTANT, IMAGE = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<image>"

# Images come first whatever the order in the message: the model saw no other order in training.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '<|assistant|>' }}{% else %}{{ '<|user|>' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def build_tokenizer(questions: Iterable[str], answers: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that keeps every word of the questions and answers whole.

    Merges go on until nothing is left to merge, so each word becomes one token: as it stands in the texts, and
    the answers' words also with and without the space before them.
    """
    pieces: set[str] = set()
    for text in questions:
        pieces.update(re.findall(r" ?\w+", text))
    for text in answers:
        for word in re.findall(r"\w+", text):
            pieces.update((word, " " + word))
        pieces.update(re.findall(r" ?\w+", text))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=50_000,
        min_frequency=1,
        special_tokens=[PAD, END, USER, ASSISTANT, IMAGE],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(pieces), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, IMAGE],
        clean_up_tokenization_spaces=False,
        model_max_length=512,
        padding_side="left",
    )
