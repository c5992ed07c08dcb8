"""Thought and answer of a reply, told apart by text, whatever its tokens are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherelook.models.thinking import (
    THOUGHTS,
    WRAPPERS,
    Parts,
    Watch,
    ends_of,
    hide,
    marks_in,
    take_apart,
    without_marks,
    wrappers_before,
)

QWEN, KIMI, GEMMA, CHANNELS = THOUGHTS[:4]
ANSWER, BOX, FINAL = WRAPPERS


class Cut:
    """A text cut into tokens; their ids are their places in it."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = list(tokens)
        self.ids = list(range(len(self.tokens)))

    def read(self, ids: Sequence[int]) -> str:
        return "".join(self.tokens[index] for index in ids)

    def parts(self, count: int | None = None, **marks: Any) -> Parts:
        return take_apart(self.read, self.ids[:count], **marks)

    def shown(self, parts: Parts) -> list[str]:
        return hide(self.tokens[parts.before : parts.end], parts.lead, parts.rest)


def parts_of(text, **marks):
    """Reasoning and visible answer of a reply, cut into single characters."""
    reply = Cut(text)
    parts = reply.parts(**marks)
    return parts.reasoning, "".join(reply.shown(parts))


@pytest.mark.parametrize(
    ("text", "opened", "reasoning", "answer"),
    [
        ("so red\n</think>\n\nred", QWEN, "so red", "red"),
        ("<think>\nso red\n</think>\n\nred", None, "so red", "red"),
        ("\n<think></think>red", None, "", "red"),
        ("\n\n</think>\n\nred", QWEN, "", "red"),
        ("◁think▷so ◁ red◁/think▷red", None, "so ◁ red", "red"),
        ("<|channel>thought\nso red<channel|>red", None, "so red", "red"),
        ("<|channel>thought\n<channel|>red", None, "", "red"),
        ("[THINK]so red[/THINK]red", None, "so red", "red"),
        (
            "<|channel|>analysis<|message|>so red<|end|><|start|>assistant<|channel|>final<|message|>red",
            None,
            "so red",
            "red",
        ),
        ("so <think> red</think>red", QWEN, "so <think> red", "red"),
        ("so red</think>I wrote </think> twice", QWEN, "so red", "I wrote </think> twice"),
        ("so red</think><answer>red</answer>", QWEN, "so red", "red"),
        ("so red</think>\n<answer>\nred.\n</answer>\n", QWEN, "so red", "red."),
        ("so</think><|begin_of_box|>B<|end_of_box|>", QWEN, "so", "B"),
        ("so</think><answer><|begin_of_box|>B<|end_of_box|></answer>", QWEN, "so", "B"),
        ("so</think><answer>It is <|begin_of_box|>B<|end_of_box|>.</answer>", QWEN, "so", "It is B."),
        ("so</think><|begin_of_box|>B<|end_of_box|> as I said", QWEN, "so", "B as I said"),
        ("<answer>red</answer>", None, None, "red"),
        ("red", None, None, "red"),
        (" red <think>", None, None, " red <think>"),
        ("the <think> tag", None, None, "the <think> tag"),
        ("", None, None, ""),
    ],
)
def test_a_reply_is_taken_apart(text, opened, reasoning, answer):
    assert parts_of(text, opened=opened) == (reasoning, answer)


def test_a_thought_that_nothing_opens_is_one_where_its_marks_are_known():
    assert parts_of("so red</think>red", known=QWEN) == ("so red", "red")
    assert parts_of("so red</think>red") == (None, "so red</think>red")


def test_what_is_marked_as_the_final_result_is_told():
    assert Cut("It is <|begin_of_box|>B<|end_of_box|>.").parts().final == "B"
    assert Cut("It is B.").parts().final is None


@pytest.mark.parametrize("text", ["so red", "so red</thin", "", "so </ think>"])
def test_a_thought_without_an_end(text):
    parts = Cut(text).parts(opened=QWEN)
    assert not parts.finished
    assert parts.reasoning == text.strip()


@st.composite
def cut(draw, text):
    """A text cut into tokens anywhere."""
    places = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=len(text))))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True) if start < end]


WORDS = st.text(alphabet="ab .<\n", max_size=8).filter(lambda text: text.strip())


@given(st.data(), WORDS, WORDS, st.sampled_from(THOUGHTS), st.booleans())
def test_any_cut_into_tokens_gives_the_same_parts(data, thought, answer, marks, opens):
    """Marks may be one token, several, or share one with a word of the answer."""
    text = (marks.closed(thought) if opens else marks.whole(thought)) + answer
    reply = Cut(data.draw(cut(text)))
    parts = reply.parts(opened=marks if opens else None)
    shown = reply.shown(parts)
    assert (parts.reasoning, "".join(shown)) == (thought.strip(), answer.strip())
    assert all(shown), "every token of the answer shows something"


@given(st.data(), WORDS, WORDS, st.sampled_from(THOUGHTS), st.integers(1, 30), st.integers(1, 30))
def test_thought_and_answer_have_budgets_of_their_own(data, thought, answer, marks, longest, longest_thought):
    """Generation ends with the first budget that is spent; white space and marks before the answer cost nothing."""
    reply = Cut(data.draw(cut(marks.closed(thought) + answer + "." * 60)))
    ids, read = reply.ids, reply.read
    watch = Watch(read, opened=marks, known=marks, answer=longest, thought=longest_thought)
    end = next((count for count in range(1, len(ids) + 1) if watch(ids[:count])), None)
    closed = next(count for count in range(1, len(ids) + 1) if marks.closing in read(ids[:count]))
    if closed > longest_thought:
        assert end == longest_thought
        assert not reply.parts(end, opened=marks).finished
    elif end is not None:
        visible = [count for count in range(closed + 1, end + 1) if read(ids[closed:count]).strip()]
        assert len(visible) == longest
        assert reply.parts(end, opened=marks).finished


def test_64_tokens_never_cut_a_thought_that_the_model_opens_itself():
    reply = Cut(["<", "think", ">", *["word "] * 500, "</", "think", ">", "\n\n", *["red "] * 100])
    watch = Watch(reply.read, opened=None, known=None, answer=64, thought=4096)
    end = next(count for count in range(1, len(reply.ids) + 1) if watch(reply.ids[:count]))
    assert end == 3 + 500 + 3 + 1 + 64


@pytest.mark.parametrize("end", ["<think>\n", "<think>", "<|im_start|>assistant\n<think>\n\n"])
def test_a_prompt_that_opens_a_thought(end):
    assert ends_of(end) == (QWEN, False)


@pytest.mark.parametrize("end", ["<think>\n\n</think>\n\n", "<|channel>thought\n<channel|>", "<think></think>\n"])
def test_a_prompt_that_closes_one(end):
    assert ends_of(end) == (None, True)


@pytest.mark.parametrize("end", ["", "ASSISTANT:", "write <think> first", "</think>"])
def test_a_prompt_without_one(end):
    assert ends_of(end) == (None, False)


@pytest.mark.parametrize("text", ["so red", " so red\n", "<think>\nso red\n</think>\n\n", "so red</think><answer>"])
def test_a_thought_without_its_marks(text):
    assert without_marks(text, marks_in(text)) == "so red"


# ---- marks that also mean something else ----


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("<|user|>\n{{ message.content }}<|end|>\n<|assistant|>\n", None),
        ("{{ '<think>' }}{{ message.content }}<|end|>", QWEN),
        ("{{ content.split('</think>')[-1] }}", QWEN),
        ("<|channel|>analysis<|message|>{{ thought }}<|end|>", CHANNELS),
        ("{{ text.split('<channel|>') }}", GEMMA),
        ("◁/think▷ and <think>", QWEN),
        ("", None),
    ],
)
def test_a_template_knows_thoughts_by_their_opening_or_by_a_closing_of_nothing_else(text, marks):
    assert marks_in(text) is marks


# ---- tokenizers that drop the space at the front of a text ----


class SpaceDropped(Cut):
    """As the decoders of Llama and its like."""

    def read(self, ids: Sequence[int]) -> str:
        return super().read(ids).removeprefix(" ")

    def shown(self, parts: Parts) -> list[str]:
        ids = self.ids[parts.before : parts.end]
        texts = [self.read(ids[:count]) for count in range(len(ids) + 1)]
        pieces = [after[len(before) :] for before, after in itertools.pairwise(texts)]
        return hide(pieces, parts.lead, parts.rest)


@pytest.mark.parametrize(
    ("tokens", "shown"),
    [
        (["<answer>", " red", " car", "</answer>"], ["red", " car"]),
        (["<answer>", "red", " car", "</answer>"], ["red", " car"]),
        (["<answer>", "  red", " car", "</answer>"], ["red", " car"]),
        (["<", "answer", ">\n red", " car"], ["red", " car"]),
        (["<think>", "so", "</think>", " red", " car"], ["red", " car"]),
        ([" red", " car"], ["red", " car"]),
    ],
)
def test_an_answer_keeps_its_first_letter(tokens, shown):
    reply = SpaceDropped(tokens)
    assert reply.shown(reply.parts()) == shown


@given(st.data(), WORDS, WORDS, st.sampled_from(THOUGHTS), st.booleans())
def test_a_dropped_space_changes_nothing_of_the_answer(data, thought, answer, marks, opens):
    text = (marks.closed(thought) if opens else marks.whole(thought)) + answer
    reply = SpaceDropped(data.draw(cut(text)))
    parts = reply.parts(opened=marks if opens else None)
    assert (parts.reasoning, "".join(reply.shown(parts)).strip()) == (thought.strip(), answer.strip())


# ---- wrappers that the prompt has opened ----


@pytest.mark.parametrize(
    ("before", "wrappers"),
    [
        ("", ()),
        ("<think>so</think>", ()),
        ("<think>so</think><answer>", (ANSWER,)),
        ("<answer>\n<|begin_of_box|>", (ANSWER, BOX)),
        ("so<|end|><|start|>assistant<|channel|>final<|message|>", (FINAL,)),
        ("<answer>red</answer>", ()),
    ],
)
def test_wrappers_that_end_what_stands_before_an_answer(before, wrappers):
    assert wrappers_before(before) == wrappers


@pytest.mark.parametrize(
    ("text", "wrapped", "answer"),
    [
        ("red</answer>", (ANSWER,), "red"),
        (" red<|end_of_box|>\n</answer>", (ANSWER, BOX), "red"),
        ("red", (ANSWER,), "red"),
        ("red", (FINAL,), "red"),
        ("red</answer>", (), "red</answer>"),
    ],
)
def test_closings_of_such_wrappers_are_no_word_of_the_answer(text, wrapped, answer):
    assert parts_of(text, wrapped=wrapped) == (None, answer)
