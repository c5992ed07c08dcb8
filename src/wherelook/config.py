"""Everything that can be chosen about an explanation, but its images: one record, checked once, when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from wherelook.arguments import LARGEST, expected, number, text, truth_value, whole
from wherelook.attribution import Method, find_method, make_settings, method_name
from wherelook.baselines import OTHER_IMAGE
from wherelook.data.images import ImageSource
from wherelook.errors import InputError
from wherelook.models.chat_options import ChatOptions
from wherelook.request import PER_TOKEN_WORDS, REASONING_LIMIT, check_request, check_text
from wherelook.score import Progress
from wherelook.tokens import ALPHA

MethodLike = str | Method | Callable[..., Any]
"""A name of `wherelook methods`, a `Method`, or a function as `wherelook.attribution.own_method` describes it."""


@dataclass(frozen=True)
class ExplainConfig:
    """What to explain and how; the fields are the arguments of `Explainer.explain`.

    Numbers of numpy become Python's. A list of tokens becomes the words and phrases in it. A baseline that is an image
    becomes the baseline image.

    Raises:
        InputError: a value of another type, out of range, or an unknown name; the message says what was expected.

    Example:
        >>> ExplainConfig("What is it?", seed=3).seed
        3
    """

    question: str
    answer: str | None = None
    method: MethodLike = "igos+"
    preset: str = "best"
    tokens: str | list[str] | tuple[str, ...] = "auto"
    baseline: str | ImageSource = "auto"
    baseline_image: ImageSource | None = None
    alpha: float = ALPHA
    per_token: bool = False
    per_token_words: int = PER_TOKEN_WORDS
    truth: NDArray[np.bool_] | torch.Tensor | None = None
    settings: Mapping[str, str | float] | None = None
    replay_steps: int | None = None
    max_new_tokens: int = 64
    seed: int = 0
    progress: Progress | None = None
    reasoning: str | None = None
    think: str | None = None
    system: str | None = None
    chat_template_kwargs: Mapping[str, Any] | None = None
    max_thinking_tokens: int | None = None

    def __post_init__(self) -> None:
        self._set("question", text("question", self.question))
        if self.answer is not None:
            self._set("answer", text("answer", self.answer))
        if self.reasoning is not None:
            self._set("reasoning", text("reasoning", self.reasoning))
            if self.reasoning:
                check_text("reasoning", self.reasoning, limit=REASONING_LIMIT)
        self.chat(ChatOptions())  # wrong values show here
        self._set("preset", text("preset", self.preset))
        self._set("tokens", _words(self.tokens))
        if not isinstance(self.baseline, str):
            if self.baseline_image is not None:
                raise InputError("baseline and baseline_image are both images: give one")
            if self.baseline is None:
                raise expected("baseline", "a name, or an image", None)
            self._set("baseline_image", self.baseline)
            self._set("baseline", OTHER_IMAGE)
        self._set("alpha", number("alpha", self.alpha))
        self._set("per_token", truth_value("per_token", self.per_token))
        self._set("per_token_words", whole("per_token_words", self.per_token_words))
        if self.per_token_words < 0:
            raise InputError(f"per_token_words is 0 (all) or more; got {self.per_token_words}")
        self._set("max_new_tokens", whole("max_new_tokens", self.max_new_tokens))
        self._set("seed", whole("seed", self.seed))
        if self.replay_steps is not None:
            self._set("replay_steps", whole("replay_steps", self.replay_steps))
        if self.settings is not None:
            self._set("settings", _changes(self.settings))
        self._set("truth", _mask(self.truth))
        if self.progress is not None and not callable(self.progress):
            raise expected("progress", "a function progress(stage, done, total)", self.progress)
        if not 0 <= self.seed <= LARGEST:
            raise InputError(f"seed is a whole number from 0 to 2**62; got {self.seed}")
        self.chosen_settings  # noqa: B018 - unknown names and wrong values show here
        check_request(
            self.question,
            answer=self.answer,
            baseline=str(self.baseline),
            alpha=self.alpha,
            max_new_tokens=self.max_new_tokens,
            replay_steps=self.replay_steps,
            baseline_image=self.baseline_image is not None,
        )

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @cached_property
    def attribution(self) -> Method:
        """The method that makes the map."""
        return find_method(self.method)

    @cached_property
    def chosen_settings(self) -> Any:
        """The method's settings: its preset's, changed by `settings`."""
        return make_settings(self.method, self.preset, self.settings)

    @property
    def method_name(self) -> str:
        """What a record calls the method."""
        return method_name(self.method)

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """`truth` as an array."""
        return cast(NDArray[np.bool_] | None, self.truth)

    def chat(self, own: ChatOptions) -> ChatOptions:
        """The chat around the question: the model's `own` options, but for what is chosen here."""
        return own.changed(
            think=self.think,
            system=self.system,
            chat_template_kwargs=self.chat_template_kwargs,
            max_thinking_tokens=self.max_thinking_tokens,
        )

    def asking(self, own: ChatOptions) -> dict[str, Any]:
        """The arguments of `wherelook.answer.open_case` for a model with `own` options of the chat."""
        names = ("answer", "reasoning", "tokens", "baseline", "baseline_image", "alpha", "max_new_tokens", "seed")
        return {name: getattr(self, name) for name in names} | {"chat": self.chat(own)}


def _words(value: Any) -> str:
    """Words to explain, as text: each item of a list is a word, or a phrase, which then stands in quotes."""
    if isinstance(value, list | tuple) and value and all(isinstance(word, str) for word in value):
        named = [*value] in (["auto"], ["all"])  # a word of the answer, and not the rule of this name
        value = " ".join(
            f'"{word}"' if '"' not in word and (named or len(word.split()) > 1) else word for word in value
        )
    if not isinstance(value, str):
        raise expected("tokens", "'auto', 'all', or words of the answer as text or as a list", value)
    return str(value)


def _changes(value: Any) -> dict[str, str | float]:
    if not isinstance(value, Mapping):
        raise expected("settings", "a mapping such as {'iterations': 8}", value)
    changes: dict[str, str | float] = {}
    for name, new in value.items():
        if not isinstance(name, str):
            raise expected("a setting's name", "text", name)
        if isinstance(new, np.generic):
            new = new.item()  # noqa: PLW2901
        if not isinstance(new, str | bool | int | float) or (isinstance(new, int) and abs(new) > LARGEST):
            raise expected(f"setting {name}", "text, a number, True or False", new)
        changes[name] = new
    return changes


def _mask(value: Any) -> NDArray[np.bool_] | None:
    if value is None:
        return None
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy() if value.dtype == torch.bool else value
    if not isinstance(value, np.ndarray):
        raise expected("truth", "a boolean array (height, width)", value)
    return value
