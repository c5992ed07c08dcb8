"""How a server is asked for the log-probabilities of a given answer, and what it replies. Nothing here is trusted.

OpenAI's own protocol has no such question. Two servers answer it, each in its own way, on /v1/chat/completions:

`prompt_logprobs`, vLLM: the answer is sent as the beginning of the assistant's message (`continue_final_message`), and
the log-probabilities of the prompt, whose end it then is, come back. One forward.

`grammar`, llama.cpp: the answer is generated, under a grammar that allows nothing else. The server reports what the
model says before the grammar and every other sampler. The first time it cuts the answer into the likeliest allowed
tokens; after that `logit_bias` holds it to these, and a reply that is cut otherwise is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wherelook import keys
from wherelook.errors import WherelookError
from wherelook.models.endpoint.alignment import align, answer_length

Message = dict[str, Any]

HELD = 100
"""Added to the logits of the answer's tokens: more than any difference between tokens, as OpenAI bounds it."""

LOWEST = -1e30
"""What is below stands for minus infinity, which JSON cannot write."""

ROUNDING = 1e-2
"""Nats that a log-probability in half precision may be above 0."""

VOCABULARY = 2**31
"""Token ids are below it: no vocabulary comes near, and files and tensors hold such numbers."""


class MissingError(WherelookError):
    """The reply lacks what the protocol promises: the server does not speak it."""


@dataclass(frozen=True)
class ScoredToken:
    """One token of the answer as the server scores it.

    Attributes:
        id: in the model's vocabulary.
        text: its part of the answer.
        log_prob: nats, of all the model's tokens.
        chosen: whether no other token is likelier here.
    """

    id: int
    text: str
    log_prob: float
    chosen: bool


@dataclass(frozen=True)
class Protocol:
    """One way to ask.

    Attributes:
        request: (messages, answer, token ids of the answer if they are known) -> what is sent beside model and
            temperature.
        read: (reply, answer) -> the answer's tokens. Raises MissingError without log-probabilities, WherelookError
            where they make no sense.
    """

    request: Callable[[list[Message], str, Sequence[int]], dict[str, Any]]
    read: Callable[[Mapping[str, Any], str], tuple[ScoredToken, ...]]


@dataclass(frozen=True)
class _Entry:
    """A token with the likeliest ones in its place."""

    id: int
    text: str
    log_prob: float
    best: float

    def scored(self, text: str) -> ScoredToken:
        return ScoredToken(self.id, text, self.log_prob, self.log_prob >= self.best)


def _prompt_request(messages: list[Message], answer: str, ids: Sequence[int]) -> dict[str, Any]:
    return {
        "messages": [*messages, {"role": "assistant", "content": answer}],
        "add_generation_prompt": False,
        "continue_final_message": True,
        "prompt_logprobs": 1,
        "max_tokens": 1,
    }


def _read_prompt(reply: Mapping[str, Any], answer: str) -> tuple[ScoredToken, ...]:
    places = reply.get("prompt_logprobs")
    if not isinstance(places, list) or not places:
        raise MissingError("the reply has no prompt_logprobs")
    # The answer is at the end: what is before it, an image of thousands of tokens, is not looked at.
    entries: list[_Entry] = []
    for place in reversed(places[-_most_tokens(answer) :]):
        if place is None:  # the first token of a prompt is predicted by nothing
            break
        entries.insert(0, _prompt_entry(place))
    length = answer_length([entry.text for entry in entries], answer)
    if length is None:
        raise WherelookError(
            f"the server's prompt does not end with the answer {answer[:60]!r} but with "
            f"{_joined(entries)[-60:]!r}: its chat template changes an answer that it is given"
        )
    return _with_texts(entries[-length:], answer)


def _prompt_entry(place: Any) -> _Entry:
    """The token itself, and the likeliest one if that is another: the token is then the one that is less likely."""
    if not isinstance(place, dict) or not 1 <= len(place) <= 2:
        raise WherelookError("the server's prompt_logprobs are not one or two tokens for each place")
    found = []
    for key, value in place.items():
        identifier = int(key) if len(key) <= len(str(VOCABULARY)) and key.isdecimal() else VOCABULARY
        if not isinstance(value, dict) or identifier >= VOCABULARY:
            raise WherelookError("the server's prompt_logprobs do not map token ids to log-probabilities")
        found.append((_log_probability(value.get("logprob")), identifier, _text(value.get("decoded_token"))))
    best = max(log_prob for log_prob, *_ in found)
    log_prob, identifier, text = min(found, key=lambda item: item[0])
    return _Entry(identifier, text, log_prob, best)


def _grammar_request(messages: list[Message], answer: str, ids: Sequence[int]) -> dict[str, Any]:
    body = {
        "messages": messages,
        "grammar": grammar_of(answer),
        "max_tokens": _most_tokens(answer),
        "logprobs": True,
        "top_logprobs": 1,
        "cache_prompt": False,  # a forward of another length rounds otherwise
    }
    return body | ({"logit_bias": [[identifier, HELD] for identifier in sorted(set(ids))]} if ids else {})


def grammar_of(answer: str) -> str:
    """A GBNF grammar of this answer alone; some models begin an answer with a space."""
    escaped = answer.replace("\\", "\\\\").replace('"', '\\"')
    for letter, name in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        escaped = escaped.replace(letter, name)
    return f'root ::= " "? "{escaped}"'


def _read_grammar(reply: Mapping[str, Any], answer: str) -> tuple[ScoredToken, ...]:
    content = _mapping(choice(reply).get("logprobs")).get("content")
    if not isinstance(content, list) or not content:
        raise MissingError("the reply has no logprobs")
    entries = _without_blank_end([_generated_entry(place) for place in content[: 2 * _most_tokens(answer)]])
    if align([entry.text for entry in entries], answer) is None:
        # A server may be set to write out the name of the token that ends an answer.
        shorter = _without_blank_end(entries[:-1])
        if align([entry.text for entry in shorter], answer) is None:
            raise MissingError(f"it answers {_joined(entries)[:60]!r}, where the grammar allows {answer[:60]!r} alone")
        entries = shorter
    return _with_texts(entries, answer)


def _without_blank_end(entries: list[_Entry]) -> list[_Entry]:
    """Without tokens at the end that have no text, such as the one that ends an answer."""
    count = max((index for index, entry in enumerate(entries, start=1) if entry.text.strip()), default=0)
    return entries[:count]


def _generated_entry(place: Any) -> _Entry:
    place = _mapping(place)
    identifier = place.get("id")
    if isinstance(identifier, bool) or not isinstance(identifier, int):
        raise MissingError("the reply's logprobs are without token ids")
    if not 0 <= identifier < VOCABULARY:
        raise WherelookError("the reply's logprobs have a token id that no vocabulary has")
    log_prob = _log_probability(place.get("logprob"))
    others = place.get("top_logprobs")
    tops = [_log_probability(_mapping(other).get("logprob")) for other in others] if isinstance(others, list) else []
    return _Entry(identifier, _text(place.get("token")), log_prob, max([log_prob, *tops]))


PROTOCOLS: Mapping[str, Protocol] = {
    "prompt_logprobs": Protocol(_prompt_request, _read_prompt),
    "grammar": Protocol(_grammar_request, _read_grammar),
}
"""In the order in which a server that nobody knows is tried."""


def choice(reply: Mapping[str, Any]) -> dict[str, Any]:
    """The first choice of a chat completion.

    Raises:
        WherelookError: there is none.
    """
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise WherelookError("the server's reply has no choices: is it a chat completion?")
    return choices[0]


def _with_texts(entries: Sequence[_Entry], answer: str) -> tuple[ScoredToken, ...]:
    texts = align([entry.text for entry in entries], answer)
    assert texts is not None
    return tuple(entry.scored(text) for entry, text in zip(entries, texts, strict=True))


def _most_tokens(answer: str) -> int:
    """No token of an answer is less than a byte; a few around it may have no text."""
    return len(answer.encode()) + 8


def _log_probability(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MissingError(f"the reply has {str(value)[:40]!r} in place of a log-probability")
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf if value > 0 else -math.inf
    if not (math.isfinite(number) and LOWEST < number <= ROUNDING):
        raise WherelookError(f"the server's log-probability {number:g} is not a finite number of at most 0")
    return number


def _joined(entries: Sequence[_Entry]) -> str:
    """The text of tokens for an error line; together they may hold what none of them holds."""
    return keys.cut("".join(entry.text for entry in entries))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MissingError("the reply has log-probabilities without the texts of their tokens")
    return value
