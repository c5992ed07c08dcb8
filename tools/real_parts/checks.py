"""What must hold of a model folder, whatever its tokenizer and template: each check returns what is wrong."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from PIL import Image

from wherelook import Explainer
from wherelook.check import check_model, test_picture
from wherelook.errors import WherelookError
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface import model as adapter
from wherelook.tokens import word_indices

TEXTS: dict[str, str] = {
    "sentence": "The red car is on the left.",
    "word": "red",
    "capital": "Yes",
    "german": "Die Donaudampfschifffahrtsgesellschaft überquert die Straßenbahnhaltestelle.",
    "french": "C'est l'été à l'île, n'est-ce pas ?",
    "chinese": "一只红色的狗在草地上。",
    "japanese": "赤い車が左にあります。カタカナも。",
    "thai": "สุนัขสีแดงอยู่ทางซ้าย",
    "korean": "빨간 자동차가 왼쪽에 있습니다.",
    "arabic": "السيارة الحمراء على اليسار.",
    "hebrew": "המכונית האדומה משמאל.",
    "hindi": "लाल कार बाईं ओर है।",
    "emoji": "🐶🎉 yes",
    "joined emoji": "A family: 👨‍👩‍👧‍👦 and 🏳️‍🌈, ❤️!",
    "numbers": "1,234.5 km, 12:30, 2024-01-31, 50% of 3/4",
    "markdown": "**Bold** and *italic*:\n\n- one\n- two\n\n| a | b |\n|---|---|",
    "json": '{"bbox_2d": [12, 34, 56, 78], "label": "dog"}',
    "options": "(B) blue\nC. green",
    "contractions": "It isn't, they're, I'd've, John's",
    "typographic": "“It isn’t…”, she said — ‘no’.",
    "code": "def f(x):\n\treturn x ** 2  # squared",
    "math": "$\\frac{a}{b} \\leq \\sqrt{2}$ and x² ≠ ∑ᵢ αᵢ",
    "url": "https://example.com/a_b?c=1&d=%20#e",
    "mixed": "The sign says 停 (stop) и это красный знак.",
    "spaces": "  two  spaces   inside  ",
    "newlines": "\n\nOne.\n\n\nTwo.\n",
    "symbols": "→ + ✓ © ½",
}
"""Kinds of answers that tokenizers cut in different ways."""

WORDS = ["The", "red", "car", "is", "on", "the", "left"]
QUESTION = "Which car is red, and where is it?"
PICTURE = test_picture((160, 224))
FEW = ("sentence", "chinese", "joined emoji", "markdown", "typographic")
"""The texts of a quick look."""


def loads(folder: Path) -> VisionLanguageModel:
    """The folder as a user gives it."""
    return VisionLanguageModel.from_pretrained(str(folder), device="cpu")


def prompt_ids(model: VisionLanguageModel) -> Iterator[str]:
    """The prompt's ids are those of the processor's own chat."""
    own = model.encode(PICTURE, QUESTION).inputs["input_ids"][0].tolist()
    template = model.processor.chat_template or model.tokenizer.chat_template
    if template is None:
        return
    content: list[dict[str, Any]] = [{"type": "image", "image": PICTURE}, {"type": "text", "text": QUESTION}]
    theirs = model.processor.apply_chat_template(
        [{"role": "user", "content": content}], chat_template=template, add_generation_prompt=True, tokenize=True,
        return_dict=True, return_tensors="pt",
    )["input_ids"][0].tolist()  # fmt: skip
    if own != theirs:
        at = next((i for i, (a, b) in enumerate(zip(own, theirs, strict=False)) if a != b), min(len(own), len(theirs)))
        yield (
            f"{len(own)} ids for {len(theirs)}, other from {at} on: {model.tokenizer.decode(own[at : at + 9])!r} for "
            f"{model.tokenizer.decode(theirs[at : at + 9])!r}"
        )


def given(model: VisionLanguageModel, names: Sequence[str]) -> Iterator[str]:
    """Given answers: what is explained is what was given, piece by piece."""
    prompt = model.encode(PICTURE, QUESTION)
    known: dict[str, Any] = {}
    for name in names:
        text = TEXTS[name]
        with reading_once(model, known, whole=name in FEW):
            ids = model.tokenize_answer(prompt, text)
        pieces = model.pieces(ids)
        decoded = model.decode(ids)
        if decoded.strip() != text.strip():
            yield f"{name}: given {text.strip()!r}, explained {decoded.strip()!r}"
        if "".join(pieces) != decoded:
            yield f"{name}: pieces {''.join(pieces)!r} of {decoded!r}"
        if any(model.special(ids)):
            yield f"{name}: special tokens in {model.tokenizer.convert_ids_to_tokens(ids)}"


@contextlib.contextmanager
def reading_once(model: VisionLanguageModel, known: dict[str, Any], *, whole: bool) -> Iterator[None]:
    """Inside, the prompt is read once for all answers; the first token tells whether one begins with a space.

    Args:
        known: what was read, to be passed on.
        whole: answers are read in full where no first token is likely, which with random weights none is.
    """
    read = model._next_log_probabilities

    def next_log_probabilities(prompt: Any, ids: Sequence[int]) -> Any:
        if ids:
            return read(prompt, ids)
        if prompt.text not in known:
            known[prompt.text] = read(prompt, ids)
        return known[prompt.text]

    patched: Any = model
    patched._next_log_probabilities = next_log_probabilities
    least = adapter.LIKELY_START if whole else sys.float_info.min
    try:
        with mock.patch.object(adapter, "LIKELY_START", least):
            yield
    finally:
        del patched._next_log_probabilities


def generated(model: VisionLanguageModel, names: Sequence[str]) -> Iterator[str]:
    """Answers as the model would write them: explained as given ones they are the same tokens."""
    prompt = model.encode(PICTURE, QUESTION)
    for name in names:
        text = TEXTS[name].strip()
        for form in (text, f" {text}"):
            ids = model._continue(prompt.text, form)
            with writing(model, ids):
                answer = model.generate(prompt, max_new_tokens=len(ids) + 4)
            with writing(model, ids):
                again = model.tokenize_answer(prompt, model.decode(answer))
            if answer != ids:
                yield f"{name}: generated {model.tokenizer.convert_ids_to_tokens(answer)} for {ids}"
            elif again != ids:
                tokens = [model.tokenizer.convert_ids_to_tokens(each) for each in (ids, again)]
                yield f"{name}: generated {tokens[0]}, given {tokens[1]}"


@contextlib.contextmanager
def writing(model: VisionLanguageModel, ids: Sequence[int]) -> Iterator[None]:
    """Inside, the model's greedy answer is these tokens and an end token."""
    head: Any = model.model.get_output_embeddings()
    wanted = iter([*ids, model.tokenizer.eos_token_id])

    def prefer(module: Any, arguments: Any, output: Any) -> None:
        token = next(wanted, None)
        if token is not None:
            output[..., -1, token] = 1e4

    handle = head.register_forward_hook(prefer)
    try:
        yield
    finally:
        handle.remove()


def words(model: VisionLanguageModel) -> Iterator[str]:
    """The words of a plain sentence are its words, with and without the space that may come before it."""
    for form in (TEXTS["sentence"], " " + TEXTS["sentence"]):
        ids = model.tokenizer(form, add_special_tokens=False)["input_ids"]
        pieces = model.pieces(ids)
        found: dict[int, str] = {}
        for index, piece in zip(word_indices(pieces, model.special(ids)), pieces, strict=True):
            if index is not None:
                found[index] = found.get(index, "") + piece
        if [word.strip() for word in found.values()] != WORDS:
            yield f"{list(found.values())} from {pieces}"


def checked(model: VisionLanguageModel) -> Iterator[str]:
    """`wherelook check` finds nothing."""
    for finding in check_model(model):
        if not finding.passed:
            yield f"{finding.name}: {finding.measured}"


def explained(model: VisionLanguageModel) -> Iterator[str]:
    """An explanation of a generated and of a given answer, whole, with what a record holds.

    Random weights do not end a thought: where the prompt opens one, a given answer follows an empty one.
    """
    explainer = Explainer(model)
    thinks = model.encode(PICTURE, QUESTION).opened is not None
    for answer in (None, TEXTS["sentence"], TEXTS["chinese"]):
        try:
            explanation = explainer.explain(
                PICTURE,
                QUESTION,
                answer=answer,
                reasoning="" if thinks and answer is not None else None,
                method="gradient-x-input",
                replay_steps=0,
                max_new_tokens=8,
                max_thinking_tokens=64,
            )
        except WherelookError as error:
            # Random weights may end their answer at once, or think for ever: that is told.
            if answer is not None or not any(word in str(error) for word in ("empty", "thought", "begins with")):
                yield f"{'given' if answer else 'generated'}: {error}"
            continue
        if answer is not None and explanation.answer != answer:
            yield f"explained {explanation.answer!r} for {answer!r}"
        if QUESTION not in explanation.prompt or Image.open(_png(explanation)).size != PICTURE.size:
            yield "prompt or picture is not whole"


def _png(explanation: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    explanation.overlay().save(buffer, "PNG")
    return buffer


CHECKS: dict[str, Callable[..., Iterator[str]]] = {
    "prompt": prompt_ids,
    "given": given,
    "generated": generated,
    "words": words,
    "check": checked,
    "explain": explained,
}
"""Checks by name; `given` and `generated` take the names of texts."""


def run_checks(folder: Path, *, quick: bool = False) -> dict[str, list[str]]:
    """What is wrong with a folder, by check.

    Args:
        folder: from `build_folder`.
        quick: leaves out what takes long: `check` and `explain`, and most texts.
    """
    model = loads(folder)
    wrong: dict[str, list[str]] = {}
    with model.evaluation():
        for name, check in CHECKS.items():
            if quick and name in ("check", "explain"):
                continue
            few = FEW if quick or name == "generated" else tuple(TEXTS)
            arguments = (few,) if name in ("given", "generated") else ()
            try:
                wrong[name] = list(check(model, *arguments))
            except Exception as error:  # any error is what this looks for
                wrong[name] = [f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"]
    return wrong
