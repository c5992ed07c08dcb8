"""The text that a chat template writes around a question and its images.

A template may stand beside the processor or in the tokenizer's files, and it may take the parts of a message as a list
or only a string. Which it is can be seen in what it writes: it is the right form if image and question are in it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from wherelook.errors import InputError
from wherelook.models.huggingface import bounded, template_trial
from wherelook.models.huggingface.bounded import ExcessError, FailureError

ANOTHER_TEMPLATE = "give the prompt yourself: --prompt-template '{image}... {question} ...' (prompt_template in Python)"
"""What helps against a chat template that does not work."""

LISTED = re.compile(r"""['"]type['"]\s*:""")
"""In a text that shows a message's list of parts itself, as Python or as JSON: its template expected a string."""


NO_OPTIONS: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Picture:
    """What of the prompt is no text.

    Attributes:
        kind: "image" or "video", as the parts of a message call it.
        token: what stands for one in the prompt's text.
        count: how many.
    """

    kind: str
    token: str
    count: int


def chat_templates(processor: Any) -> list[Any]:
    """Those of processor and tokenizer that have a chat template, in the order in which they are asked."""
    owners = [processor, getattr(processor, "tokenizer", None)]
    return [owner for owner in owners if getattr(owner, "chat_template", None)]


def write_chat(
    owners: Sequence[Any],
    question: str,
    picture: Picture,
    markup: Callable[[], str],
    identifier: str,
    *,
    system: str | None = None,
    options: Mapping[str, Any] = NO_OPTIONS,
) -> str:
    """The prompt of a question after its images.

    Args:
        owners: from `chat_templates`, at least one.
        question: what is asked.
        picture: what is shown.
        markup: what to write before a question for one of them, for templates that take a string.
        identifier: how to call the model in errors.
        system: text of a message before the question's.
        options: variables of the template.

    Raises:
        InputError: every template fails, or none writes both the image and the question, or the system message.
    """
    failures: list[str] = []
    wrote = takes_lists = silent = False
    for form in (_parts, partial(_string, markup=markup)):
        if takes_lists and picture.kind == "video":  # a template of parts without this one: its model sees no videos
            break
        for owner in owners:
            content = partial(_chat, form, question, system=system)
            try:
                text = _render(owner, content(picture), options)
            except FailureError as error:
                failures.append(str(error))
                continue
            except ExcessError as error:
                raise InputError(
                    f"the chat template of {identifier!r} is refused: {error}; {ANOTHER_TEMPLATE}"
                ) from error
            wrote = True
            if not _asks(text, question, system):
                continue
            takes_lists = takes_lists or form is _parts
            bare = partial(_render, owner, content(replace(picture, count=0)), options)
            if _shows(text, _around(text, question, system), picture, bare=bare):
                silent = system is not None and system.strip() not in text
                if not silent:
                    return text
    if not wrote:
        raise InputError(f"the chat template of {identifier!r} fails: {failures[0]}; {ANOTHER_TEMPLATE}")
    if silent:
        raise InputError(
            f"the chat template of {identifier!r} writes no system message: leave it out, or {ANOTHER_TEMPLATE}"
        )
    if picture.kind == "video":
        raise InputError(
            f"the chat template of {identifier!r} writes no {picture.token!r} for a video: show the frames as "
            f"images, or {ANOTHER_TEMPLATE}"
        )
    raise InputError(
        f"the chat template of {identifier!r} does not write both the image ({picture.token!r}) and the question into "
        f"the prompt; {ANOTHER_TEMPLATE}"
    )


def _asks(text: str, question: str, system: str | None) -> bool:
    """Whether a prompt holds its question, and not as a Python or JSON object."""
    return question.strip() in text and not LISTED.search(_around(text, question, system))


def _around(text: str, question: str, system: str | None) -> str:
    """What a template writes around the question and the system message, which it may strip."""
    for given in (question, question.strip(), system or "", (system or "").strip()):
        text = text.replace(given, "") if given else text
    return text


def _shows(text: str, around: str, picture: Picture, *, bare: Callable[[], str]) -> bool:
    """Whether a prompt holds its images.

    Args:
        text: the prompt.
        around: what of it is not given.
        picture: what should be in it.
        bare: the same prompt without images.
    """
    if picture.token in around:
        return True
    if picture.kind == "video":
        return False
    try:  # a template may write another token, which the processor replaces
        return bool(_added(bare(), text).strip())
    except FailureError:  # it insists on an image
        return False


def _added(before: str, after: str) -> str:
    """What `after` holds between the beginning and the end that it shares with `before`."""
    start = _shared(before, after)
    end = _shared(before[start:][::-1], after[start:][::-1])
    return after[start : len(after) - end]


def _shared(one: str, other: str) -> int:
    """The length of the beginning that two texts share."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def _parts(question: str, picture: Picture) -> list[dict[str, str]]:
    """A message's content as a list of its parts."""
    return [*[{"type": picture.kind}] * picture.count, {"type": "text", "text": question}]


def _string(question: str, picture: Picture, *, markup: Callable[[], str]) -> str:
    """A message's content as one string."""
    return markup() * picture.count + question


def _chat(
    form: Callable[[str, Picture], Any], question: str, picture: Picture, *, system: str | None
) -> list[dict[str, Any]]:
    """The messages, their contents in one form."""
    asked = {"role": "user", "content": form(question, picture)}
    if system is None:
        return [asked]
    return [{"role": "system", "content": form(system, replace(picture, count=0))}, asked]


def _render(owner: Any, messages: list[dict[str, Any]], options: Mapping[str, Any]) -> str:
    template = _source(owner)
    if template is not None:
        tokens = getattr(getattr(owner, "tokenizer", owner), "special_tokens_map", {})
        given = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": True}
        usual = _renders_as_usual(owner, options)
        try:
            text = bounded.render(template, {**tokens, **options, **given})
        except FailureError:  # a method of its own may give the template other messages, which suit it
            if usual:
                raise
        else:
            if usual and text is not None:
                return text
    try:
        return str(owner.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **options))
    except Exception as error:  # a template is a program that came with the model: it can raise anything
        raise FailureError(template_trial.describe(error)) from error


def _renders_as_usual(owner: Any, options: Mapping[str, Any]) -> bool:
    """Whether its method gives the template what every other one does, and all options."""
    from transformers import PreTrainedTokenizerBase, ProcessorMixin

    method = getattr(owner.apply_chat_template, "__func__", None)
    if method not in (ProcessorMixin.apply_chat_template, PreTrainedTokenizerBase.apply_chat_template):
        return False
    return not options.keys() & inspect.signature(method).parameters.keys()


def _source(owner: Any) -> str | None:
    """The text of a chat template, where it is one that Jinja renders; of several the one that Transformers takes."""
    template = owner.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    return template if isinstance(template, str) else None
