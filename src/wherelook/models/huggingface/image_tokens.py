"""Which tokens stand for an image, or mark where one begins and ends: no question and no answer holds one of them.

A model puts features of its image in the place of such a token, and fails where there is one without an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

PICTURED = re.compile(
    r"(?:.*_)?(?:image|img|vision|visual|video|vid|frame|audio|boi|eoi|boa|eoa|media|patch|tile|slice|context_image)"
    r"(?:_.*)?_token(?P<kind>s|_ids?|_index|_indices)?"
)
"""Names under which processors, tokenizers and configurations keep such tokens: as text, or as id."""

REPLACED = re.compile(r"(?:context_)?(?:image|video|audio)_token_(?:id|index)")
"""Those in whose place a model puts features, whatever word of the vocabulary they name."""


def picture_token_ids(config: Any, processor: Any, written: Iterable[int] = ()) -> frozenset[int]:
    """Ids of the tokens that stand for an image, a video or a sound, or mark one.

    They are asked of every source: the configuration and its parts, the processor, the tokenizer, and what the
    processor puts into a prompt in the place of an image.

    Args:
        config: the model's configuration, or None.
        processor: the model's.
        written: ids that the processor wrote into a prompt and its text does not hold.

    Returns:
        The ids; no end token and no padding is among them, nor an ordinary word that only a marker's name points to.
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    known = getattr(tokenizer, "added_tokens_decoder", {})
    added = set(known)
    # Processors write line ends around an image, too: added tokens of some tokenizers, but words of any answer.
    found = {index for index in written if index in known and known[index].special}
    for owner in (*_configurations(config), processor, tokenizer):
        for name in dir(owner):
            kind = PICTURED.fullmatch(name)
            if kind is None:
                continue
            ids = set(_ids(tokenizer, getattr(owner, name, None), by_id=kind["kind"] not in (None, "s")))
            if not REPLACED.fullmatch(name):
                ids = {index for index in ids if index in added or index >= len(tokenizer)}
            found |= ids
    ordinary = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    return frozenset(found - ordinary)


def _configurations(config: Any) -> Iterator[Any]:
    """A configuration and those of its parts."""
    if config is None:
        return
    yield config
    for name in getattr(config, "sub_configs", None) or ():
        part = getattr(config, name, None)
        if part is not None and not isinstance(part, dict):
            yield from _configurations(part)


def _ids(tokenizer: Any, value: Any, *, by_id: bool) -> Iterator[int]:
    for each in value if isinstance(value, list | tuple | set | frozenset) else (value,):
        if by_id and isinstance(each, int) and not isinstance(each, bool):
            yield each
        elif not by_id and each and (isinstance(each, str) or hasattr(each, "content")):
            index = tokenizer.convert_tokens_to_ids(str(each))
            if isinstance(index, int):
                yield index
