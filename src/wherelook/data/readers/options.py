"""Options that are written inside a question: "(a) Open (b) Closed", "Options: A: a cat, B: a dog"."""

from __future__ import annotations

import re
from string import ascii_uppercase

from wherelook.data.sample import REPEATED_CHOICE

HEADER = re.compile(r"(?:^|(?<=[\s.?!]))(?:options|choices)\s*:", re.IGNORECASE)


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """The question and the texts of its options; no options where they cannot be told apart.

    The options follow the last "Options:" or "Choices:" and are marked "A:", "A." or "(A)", in alphabetical order.
    """
    headers = list(HEADER.finditer(text))
    if not headers:
        return text, ()
    choices = marked_options(text[headers[-1].end() :])
    return (text[: headers[-1].start()].strip(), choices) if choices else (text, ())


def marked_options(text: str) -> tuple[str, ...]:
    """The texts after the marks "A:", "B." or "(c)", which must start the text and follow the alphabet.

    An option ends where the next letter's mark stands: options may have several words, commas and other letters.
    """
    starts: list[tuple[int, int]] = []
    position = 0
    for letter in ascii_uppercase:
        mark = re.compile(rf"(?:^|(?<=[\s,;.)]))(?:\({letter}\)|\({letter.lower()}\)|{letter}[:.)])\s*")
        found = mark.search(text, position)
        if found is None:
            break
        starts.append(found.span())
        position = found.end()
    if len(starts) < 2 or text[: starts[0][0]].strip():
        return ()
    ends = [start for start, _ in starts[1:]] + [len(text)]
    choices = (text[start:end].strip() for (_, start), end in zip(starts, ends, strict=True))
    # The comma between two options is not part of the first.
    return tuple(choice.removesuffix(",").removesuffix(";").strip() for choice in choices)


def chosen(choices: tuple[str, ...], letter: str) -> str | None:
    """The text of the option that "(b)", "B" or "b." names; None where there is no such option."""
    name = letter.strip().strip("().:").upper()
    index = ascii_uppercase.find(name) if len(name) == 1 else -1
    return choices[index] if 0 <= index < len(choices) else None


def choice_flags(choices: tuple[str, ...]) -> tuple[str, ...]:
    """Says so when two options have the same text."""
    return (REPEATED_CHOICE,) if len(set(choices)) < len(choices) else ()
