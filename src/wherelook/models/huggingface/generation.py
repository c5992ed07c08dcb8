"""Greedy decoding from neutral settings: what a checkpoint says of sampling, penalties or beams does not count.

An explanation is about the model's own likelihoods, so an answer is the plain argmax at every step. Of a checkpoint's
generation settings only what ends an answer is kept: the end tokens and the stop strings, and the ids of the padding
and begin tokens, which generation needs to run. Everything else is left at what Transformers calls neutral, whatever
its name: a list of known names would be outdated with the next version.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, StoppingCriteria

WINDOW = 48
"""Last tokens of a text in which a mark that has just been completed is looked for: no mark has more bytes."""


def as_ids(value: int | Sequence[int] | None) -> tuple[int, ...]:
    """Token ids as settings write them: one, several, or none."""
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(int(one) for one in value)


def stop_strings(model: Any) -> tuple[str, ...]:
    """The texts that end an answer, by the checkpoint's generation settings."""
    value = getattr(model.generation_config, "stop_strings", None)
    return (value,) if isinstance(value, str) else tuple(text for text in value or () if text)


def neutral_settings(model: Any, end_tokens: Sequence[int], *, max_new_tokens: int, **options: Any) -> GenerationConfig:
    """Settings of greedy decoding that ends at these tokens.

    Args:
        model: whose padding and begin tokens are kept.
        end_tokens: ids that end an answer.
        max_new_tokens: longest continuation.
        options: further settings, such as output_logits.
    """
    own = model.generation_config
    ends = list(end_tokens)
    padding = getattr(own, "pad_token_id", None)
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        return_dict_in_generate=True,
        eos_token_id=ends or None,
        pad_token_id=padding if padding is not None else (ends[0] if ends else 0),
        bos_token_id=getattr(own, "bos_token_id", None),
        **options,
    )


@contextlib.contextmanager
def generating_with(model: nn.Module, settings: GenerationConfig) -> Iterator[None]:
    """Inside, `settings` are the model's own too.

    Transformers fills whatever a given configuration leaves open from the model's own one, so neutral settings alone
    would not be neutral. The model's are put back, also after an error. Only one thread may be here with a model
    (`wherelook.models.turns`).
    """
    # A model may be wrapped (an adapter, a compiled module), and may generate by the language model in it.
    changed: list[Any] = [one for one in model.modules() if "generation_config" in vars(one)]
    before = [one.generation_config for one in changed]
    for one in changed:
        one.generation_config = settings
    try:
        yield
    finally:
        for one, own in zip(changed, before, strict=True):
            one.generation_config = own


class Until(StoppingCriteria):
    """Ends generation when `done` says so of the tokens that were generated so far.

    Args:
        prompt_length: tokens before the first generated one.
        done: called after every token with all generated ids.
    """

    def __init__(self, prompt_length: int, done: Callable[[Sequence[int]], bool]) -> None:
        self.prompt_length = prompt_length
        self.done = done

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        finished = self.done(input_ids[0, self.prompt_length :].tolist())
        return torch.full((input_ids.shape[0],), finished, dtype=torch.bool, device=input_ids.device)


def stop_at(read: Callable[[Sequence[int]], str], texts: Sequence[str]) -> Callable[[Sequence[int]], bool]:
    """Whether one of these texts has come, asked after every token.

    Args:
        read: the text of token ids, special ones included.
        texts: see `stop_strings`.
    """
    return lambda ids: any(text in read(ids[-WINDOW:]) for text in texts)


def before_stop(read: Callable[[Sequence[int]], str], ids: Sequence[int], texts: Sequence[str]) -> int:
    """How many tokens come before the first of these texts; a token that is partly before it counts."""
    found = [place for place in (read(ids).find(text) for text in texts) if place >= 0]
    return len(ids) if not found else tokens_for(read, ids, min(found))


def tokens_for(read: Callable[[Sequence[int]], str], ids: Sequence[int], characters: int) -> int:
    """The fewest first tokens whose text has so many characters."""
    target = read(ids)[:characters]  # a character of several tokens is another one until its last
    return bisect.bisect_left(range(len(ids)), True, key=lambda count: read(ids[:count]).startswith(target))
