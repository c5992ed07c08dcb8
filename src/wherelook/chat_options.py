"""How a question is put to a model that is made for chats: a record that every command and every request share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from wherelook.arguments import check_text, expected, whole
from wherelook.errors import InputError

MAX_THINKING_TOKENS = 4096
"""Longest thought by default. Published thinking models write some hundreds to some thousands of tokens."""

THINK = ("on", "off")
MOST_TOKENS = 2**20
TEXT_LIMIT = 100_000


@dataclass(frozen=True)
class ChatOptions:
    """What can be chosen about the chat around a question.

    Attributes:
        think: "on" or "off" for models that can think before they answer; None leaves it to the chat template.
        system: text of the system message that comes first; None for none.
        chat_template_kwargs: variables of the chat template by name, such as {"enable_thinking": False}.
        max_thinking_tokens: longest thought. The answer has a budget of its own.

    Raises:
        InputError: a value of another type or out of range.
    """

    think: str | None = None
    system: str | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    max_thinking_tokens: int = MAX_THINKING_TOKENS

    def __post_init__(self) -> None:
        if self.think is not None and not (isinstance(self.think, str) and self.think in THINK):
            raise expected("think", "'on', 'off' or None", self.think)
        if self.system is not None and (not isinstance(self.system, str) or not self.system.strip()):
            raise InputError("system is the text of a system message; got none: leave it out")
        if self.system is not None:
            check_text("system message", self.system, limit=TEXT_LIMIT)
        options = self.chat_template_kwargs
        if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
            raise InputError(
                "chat_template_kwargs are a mapping from names to values, such as {'enable_thinking': False}"
            )
        for name in options:
            if name in RESERVED:
                raise InputError(f"chat_template_kwargs cannot hold {name!r}, which is set by wherelook")
        try:
            object.__setattr__(self, "chat_template_kwargs", json.loads(json.dumps(dict(options), allow_nan=False)))
        except (TypeError, ValueError):
            raise InputError(
                "chat_template_kwargs are values that JSON can write: text, numbers, lists, mappings"
            ) from None
        count = whole("max_thinking_tokens", self.max_thinking_tokens)
        if not 1 <= count <= MOST_TOKENS:
            raise InputError(f"max_thinking_tokens is a whole number from 1 to {MOST_TOKENS}; got {count}")
        object.__setattr__(self, "max_thinking_tokens", count)

    @property
    def record(self) -> dict[str, Any]:
        """What differs from the default, as plain values."""
        default = ChatOptions()
        names = ("think", "system", "chat_template_kwargs", "max_thinking_tokens")
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(default, name)}

    def changed(
        self,
        *,
        think: str | None = None,
        system: str | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        max_thinking_tokens: int | None = None,
    ) -> ChatOptions:
        """The same with what is not None in its place; template variables are added to those that there are."""
        new: dict[str, Any] = {"think": think, "system": system, "max_thinking_tokens": max_thinking_tokens}
        if chat_template_kwargs is not None:
            if not isinstance(chat_template_kwargs, Mapping):
                raise InputError("chat_template_kwargs are a mapping, such as {'enable_thinking': False}")
            new["chat_template_kwargs"] = {**self.chat_template_kwargs, **chat_template_kwargs}
        return replace(self, **{name: value for name, value in new.items() if value is not None})


RESERVED = frozenset(
    {"messages", "conversation", "tokenize", "add_generation_prompt", "continue_final_message", "chat_template"}
    | {"return_dict", "return_tensors", "return_assistant_tokens_mask", "processor_kwargs", "tools", "documents"}
)
"""Arguments of `apply_chat_template` that are not for its template, or that would change what the prompt is."""
