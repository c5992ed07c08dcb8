"""Thoughts: what a thinking model writes before its answer, and how it is told from the answer.

A thought is recognized by its marks, which the chat template opens at the end of the prompt or the model writes itself;
no model is known by name. A mark may be a special token, an ordinary one or several, so texts are compared, not ids.
Sources: the chat templates and model cards of Qwen3-VL-Thinking, Qwen3.5, GLM-4.1V to 4.6V, MiMo-VL and InternVL3.5
(`<think>`), Kimi-VL-Thinking (`◁think▷`), Gemma 4 and gpt-oss (channels), Magistral (`[THINK]`), MiniMax M3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wherelook.models.huggingface.generation import WINDOW, tokens_for

Reader = Callable[[Sequence[int]], str]
"""The text of token ids, special ones included."""


@dataclass(frozen=True)
class Marks:
    """How a thought is written down.

    Attributes:
        opening, closing: what stands before and after it.
        lead, tail, gap: white space after the opening, before the closing and after it, where one is placed.
        own: whether the closing ends nothing but thoughts, so that it tells of them without an opening.
    """

    opening: str
    closing: str
    lead: str = ""
    tail: str = ""
    gap: str = ""
    own: bool = True

    def closed(self, thought: str) -> str:
        """What follows an opening: the thought, closed."""
        return f"{thought}{self.tail}{self.closing}{self.gap}"

    def whole(self, thought: str) -> str:
        """The thought between its marks."""
        return f"{self.opening}{self.lead}{self.closed(thought)}"


THOUGHTS = (
    Marks(opening="<think>", closing="</think>", lead="\n", tail="\n", gap="\n\n"),
    Marks("◁think▷", "◁/think▷"),
    Marks("<|channel>thought", "<channel|>", "\n"),
    Marks("<|channel|>analysis<|message|>", "<|end|>", own=False),  # Phi-3 and Phi-4 end every turn with it
    Marks("[THINK]", "[/THINK]"),
    Marks(opening="<mm:think>", closing="</mm:think>", lead="\n", tail="\n", gap="\n\n"),
    Marks("<seed:think>", "</seed:think>"),
    Marks(opening="<thinking>", closing="</thinking>", lead="\n", tail="\n", gap="\n\n"),
)
"""The ways of writing a thought that are known."""


@dataclass(frozen=True)
class Wrapper:
    """What a model may write around its answer: no word of it.

    Attributes:
        opening, closing: before and after it; nothing comes after it where `closing` is empty.
        inline: whether it also marks a part of an answer, such as the final result.
    """

    opening: str
    closing: str
    inline: bool = False


WRAPPERS = (
    Wrapper("<answer>", "</answer>"),
    Wrapper("<|begin_of_box|>", "<|end_of_box|>", inline=True),
    Wrapper("<|start|>assistant<|channel|>final<|message|>", ""),
)

SWITCHES = (("enable_thinking", True, False), ("thinking", True, False), ("thinking_mode", "enabled", "disabled"))
"""Variables of chat templates that turn thinking on and off, with the values that do."""


def ends_of(prompt_end: str) -> tuple[Marks | None, bool]:
    """Whether a prompt ends inside a thought, by whose marks, and whether it ends after a closed one.

    Args:
        prompt_end: the prompt's text after the question, which may hold marks itself.
    """
    end = prompt_end.rstrip()
    for marks in THOUGHTS:
        if end.endswith(marks.opening):
            return marks, False
        if end.endswith(marks.closing) and marks.opening in end:
            return None, True
    return None, False


def marks_in(text: str) -> Marks | None:
    """The first known marks whose opening is in a text, such as the source of a chat template; else the first whose
    closing is, if it ends nothing but thoughts.
    """
    opening = next((marks for marks in THOUGHTS if marks.opening in text), None)
    return opening or next((marks for marks in THOUGHTS if marks.own and marks.closing in text), None)


def without_marks(text: str, marks: Marks | None) -> str:
    """A thought without the marks with which it may be written."""
    head, closing, _ = text.partition(marks.closing) if marks is not None else (text, "", "")
    if marks is None or not closing:
        return text.strip()
    return head.partition(marks.opening)[2].strip() if marks.opening in head else head.strip()


def wrappers_before(before: str) -> tuple[Wrapper, ...]:
    """The wrappers whose openings end what stands before an answer, from the outer to the inner one."""
    end = before.rstrip()
    wrapper = next((one for one in WRAPPERS if end.endswith(one.opening)), None)
    return () if wrapper is None else (*wrappers_before(end.removesuffix(wrapper.opening)), wrapper)


@dataclass(frozen=True)
class Parts:
    """A reply, taken apart.

    Attributes:
        reasoning: the thought without marks and white space around it; None where there is none.
        finished: whether the thought has come to its end.
        before: how many tokens come before the answer: the thought, white space, the opening of a wrapper.
        end: how many tokens come before what follows the answer.
        lead, rest: characters of the first token before the answer, and of the last one after it, where the tokens
            from `before` on are read alone: many tokenizers drop the space with which such a text begins.
        final: what the model marked inside its answer as the final result; None where there is none.
    """

    reasoning: str | None
    finished: bool
    before: int
    end: int
    lead: int = 0
    rest: int = 0
    final: str | None = None


def take_apart(
    read: Reader,
    ids: Sequence[int],
    *,
    opened: Marks | None = None,
    known: Marks | None = None,
    wrapped: Sequence[Wrapper] = (),
) -> Parts:
    """Thought and answer of a reply.

    Args:
        read: the text of ids.
        ids: of the reply, without what ended it.
        opened: marks of the thought that the prompt has opened.
        known: marks that the model's template or vocabulary knows: a thought by these may begin without an opening.
        wrapped: wrappers that the prompt has opened, from the outer to the inner one.
    """
    text = read(ids)
    marks, start, here = opened, 0, 0
    if marks is None:
        blank = len(text) - len(text.lstrip())
        marks = next((one for one in THOUGHTS if text.startswith(one.opening, blank)), None)
        if marks is not None:
            start = blank + len(marks.opening)
        elif known is not None and known.closing in text:
            marks = known
    reasoning = None
    if marks is not None:
        place = text.find(marks.closing, start)
        if place < 0:
            return Parts(text[start:].strip(), False, len(ids), len(ids))
        reasoning, here = text[start:place].strip(), place + len(marks.closing)
    while (wrapper := _wrapper_at(text, _visible(text, here))) is not None:
        wrapped = [*wrapped, wrapper]
        here = _visible(text, here) + len(wrapper.opening)
    end = len(text)
    if marks is not None or wrapped:
        here = _visible(text, here)
        end = here + len(_unwrapped(text[here:], wrapped))
    found = [part for wrapper in WRAPPERS if wrapper.inline for part in _marked(text[here:end], wrapper)]
    before, stop = tokens_for(read, ids, here), tokens_for(read, ids, end)
    lead = 0
    if len(read(ids[:before])) > here:  # a token that is partly the mark and partly the answer belongs to the answer
        before -= 1
        start = len(read(ids[:before]))
        dropped = len(text) - start - len(read(ids[before:]))
        lead = max(0, here - start - dropped)
    return Parts(
        reasoning=reasoning,
        finished=True,
        before=before,
        end=stop,
        lead=lead,
        rest=len(read(ids[:stop])) - end,
        final=found[-1] if found else None,
    )


def _visible(text: str, here: int) -> int:
    """Where the first visible character from here on is."""
    return len(text) - len(text[here:].lstrip())


def _wrapper_at(text: str, here: int) -> Wrapper | None:
    return next((wrapper for wrapper in WRAPPERS if text.startswith(wrapper.opening, here)), None)


def _unwrapped(text: str, wrapped: Sequence[Wrapper]) -> str:
    """A text up to the closings of wrappers, from the outer to the inner one; one that words follow is kept."""
    for wrapper in wrapped:
        inside, closing, after = text.partition(wrapper.closing) if wrapper.closing else (text, "", "")
        for other in WRAPPERS:
            after = after.replace(other.closing, "") if other.closing else after
        if closing and not any(character.isalnum() for character in after):
            text = inside
    return text.rstrip()


def _marked(text: str, wrapper: Wrapper) -> list[str]:
    pattern = re.escape(wrapper.opening) + "(.*?)" + re.escape(wrapper.closing)
    return [part.strip() for part in re.findall(pattern, text, re.DOTALL) if part.strip()]


def hide(pieces: Sequence[str], lead: int = 0, rest: int = 0) -> list[str]:
    """Texts of an answer's tokens without what is no word of it: marks of wrappers, and what lies before and after.

    Args:
        pieces: the text of each token.
        lead, rest: see `Parts`.
    """
    text = "".join(pieces)
    shown = [lead <= place < len(text) - rest for place in range(len(text))]
    for mark in (mark for wrapper in WRAPPERS if wrapper.inline for mark in (wrapper.opening, wrapper.closing)):
        for match in re.finditer(re.escape(mark), text):
            shown[match.start() : match.end()] = [False] * len(mark)
    hidden, place = [], 0
    for piece in pieces:
        hidden.append("".join(letter for index, letter in enumerate(piece, start=place) if shown[index]))
        place += len(piece)
    return hidden


class Watch:
    """Says after every token of a reply whether it has come to its end: thought and answer have their own budgets.

    Args:
        read: the text of ids.
        opened, known: see `take_apart`.
        answer: most tokens of the answer; white space and wrappers before it do not count.
        thought: most tokens of the thought.
        stops: texts that end a reply.
    """

    def __init__(
        self,
        read: Reader,
        *,
        opened: Marks | None,
        known: Marks | None,
        answer: int,
        thought: int,
        stops: Sequence[str] = (),
    ) -> None:
        self.read = read
        self.marks, self.known, self.stops = opened, known, stops
        self.answer, self.thought = answer, thought
        self.undecided, self.thinking = opened is None, opened is not None
        self.closed = self.begun = 0
        """How many tokens there were when the thought ended, and when the answer began."""

    def __call__(self, ids: Sequence[int]) -> bool:
        watched = self.thinking or self.known is not None or self.stops
        tail = self.read(ids[-WINDOW:]) if watched else ""
        if any(stop in tail for stop in self.stops):
            return True
        if self.undecided and self._decide(ids):
            return False
        if self.thinking:
            assert self.marks is not None
            if self.marks.closing not in (tail or self.read(ids[-WINDOW:])):
                return len(ids) >= self.thought
            self.thinking, self.closed, self.begun = False, len(ids), len(ids)
        elif self.known is not None and self.marks is None and self.known.closing in tail:
            self.marks = self.known  # what seemed to be the answer was a thought
            self.closed = self.begun = len(ids)
        if len(ids) - self.closed < WINDOW and self._passes_over(ids):
            return False
        return len(ids) - self.begun >= self.answer

    def _decide(self, ids: Sequence[int]) -> bool:
        """Looks whether the reply begins with a thought; returns whether that is still open."""
        text = self.read(ids).lstrip()
        self.marks = next((marks for marks in THOUGHTS if text.startswith(marks.opening)), None)
        self.thinking = self.marks is not None
        whole = text.rstrip("\ufffd")  # a character of several tokens is not there yet
        begins = whole != text or any(marks.opening.startswith(text) for marks in THOUGHTS)
        self.undecided = not self.thinking and begins and len(ids) < WINDOW
        return self.undecided

    def _passes_over(self, ids: Sequence[int]) -> bool:
        """Whether these are still white space after a thought, or the opening of a wrapper."""
        text = self.read(ids[self.begun :]).strip()
        if any(wrapper.opening == text for wrapper in WRAPPERS) or (not text and self.begun):
            self.begun = len(ids)
            return True
        return bool(text) and any(wrapper.opening.startswith(text) for wrapper in WRAPPERS)
