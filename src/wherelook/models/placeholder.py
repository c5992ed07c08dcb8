"""What stands for the image in a prompt that no chat template writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image
from torch import Tensor
from transformers.utils import logging

from wherelook.errors import InputError


def find_placeholder(process: Callable[[Image.Image, str], Mapping[str, Tensor]], tokenizer: Any, token: str) -> str:
    """`token`, or nothing where the model reads the image beside the text or the processor puts the token in itself.

    Args:
        process: (image, text) -> input tensors; called at most twice.
        tokenizer: the processor's.
        token: the image token.
    """
    index = tokenizer.convert_tokens_to_ids(token)
    if index is None or index == tokenizer.unk_token_id:
        return ""
    image = Image.new("RGB", (64, 64))
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # a processor may warn that the token is missing, which is what is tried here
    try:
        try:
            bare = process(image, "?")
        except InputError:
            return token
        try:
            placed = process(image, f"{token}?")
        except InputError:
            return ""
    finally:
        logging.set_verbosity(level)
    own, together = (int((inputs["input_ids"] == index).sum()) for inputs in (bare, placed))
    return "" if own and together == own + 1 else token
