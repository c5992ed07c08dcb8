"""What stands for the image in a prompt where no chat template says so."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from PIL import Image
from torch import Tensor
from transformers.utils import logging

from wherelook.errors import InputError

_LOGGING = threading.Lock()


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
    bare, placed = (_try(process, text) for text in ("?", f"{token}?"))
    if bare is None:
        return token
    if placed is None:
        return ""
    own, together = (int((inputs["input_ids"] == index).sum()) for inputs in (bare, placed))
    return "" if own and together == own + 1 else token


MARKERS = re.compile(
    r"(?:(?:image|vision|img)_(?P<a>start|bos)|(?P<b>boi)|(?P<c>start|begin)_(?:of_)?(?:image|img))_token(?:_id|_index)?"
)
"""Names under which processors and configurations keep the token before an image."""

ENDS = {"start": "end", "begin": "end", "bos": "eos", "boi": "eoi"}
USUAL = ("<|vision_start|>", "<|vision_end|>")
"""Markers that some models have and neither their processor nor their configuration names."""


def find_markers(
    process: Callable[[Image.Image, str], Mapping[str, Tensor]], processor: Any, config: Any, token: str
) -> tuple[str, str]:
    """The tokens that a model expects before and after an image, if it has them and its processor writes neither.

    Args:
        process: (image, text) -> input tensors; called at most once.
        processor: it, its tokenizer and the configuration may name the tokens.
        config: of the model.
        token: the image token.
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    owners = [owner for owner in (processor, tokenizer, config) if owner is not None]
    for pair in [*_named_markers(owners), USUAL]:
        begin, end = (_as_token(tokenizer, token) for token in pair)
        if begin is not None and end is not None:
            inputs = _try(process, f"{token}?")
            ids = [] if inputs is None else inputs["input_ids"].flatten().tolist()
            written = tokenizer.convert_tokens_to_ids(begin) in ids
            return ("", "") if written else (begin, end)
    return "", ""


def _named_markers(owners: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """The tokens before and after an image that these objects name, as text or id."""
    for owner in owners:
        for name in dir(owner):
            if found := MARKERS.fullmatch(name):
                start = found["a"] or found["b"] or found["c"]
                yield getattr(owner, name, None), getattr(owner, name.replace(start, ENDS[start]), None)


def _as_token(tokenizer: Any, value: Any) -> str | None:
    """A token of the vocabulary, given as text or id."""
    if isinstance(value, int):
        value = tokenizer.convert_ids_to_tokens(value) if 0 <= value < len(tokenizer) else None
    known = isinstance(value, str) and tokenizer.convert_tokens_to_ids(value) not in (None, tokenizer.unk_token_id)
    return value if known else None


def _try(process: Callable[[Image.Image, str], Mapping[str, Tensor]], text: str) -> Mapping[str, Tensor] | None:
    """What `process` makes of a small image and a text; None where it refuses them."""
    with _quiet():
        try:
            return process(Image.new("RGB", (64, 64)), text)
        except InputError:
            return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A processor may warn that the token is missing, which is what is tried here.

    How much is logged is one setting for the process: one thread at a time changes it, and finds it as it was.
    """
    with _LOGGING:
        level = logging.get_verbosity()
        logging.set_verbosity_error()
        try:
            yield
        finally:
            logging.set_verbosity(level)
