"""Options that are written inside a question: "(a) Open (b) Closed", "Options: A: a cat, B: a dog"."""

from __future__ import annotations

import re
from string import ascii_uppercase

from wherelook.data.sample import REPEATED_CHOICE

INSTRUCTION = re.compile(r"\s*(?:(?:Please )?[Aa]nswer (?:with|directly|the question)\b.*)?$")
"""A line that tells how to answer, or an empty one."""

_MARK = re.compile(r"\s*\(?(?P<letter>[A-Za-z])[.):]\s*(?P<text>.*)$")

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


def split_lines(text: str) -> tuple[str, tuple[str, ...]]:
    """The question and the texts of its options, where these stand on lines of their own at its end.

    They are marked "A.", "A)", "A:" or "(A)", in alphabetical order; a line that tells how to answer may follow. No
    options where it is not so: then the question is the text.
    """
    lines = text.rstrip().split("\n")
    while lines and INSTRUCTION.match(lines[-1]):
        lines.pop()
    for start in range(len(lines) - 1, -1, -1):
        mark = _MARK.match(lines[start])
        if mark is None or mark["letter"].upper() != "A":
            continue
        options: list[list[str]] = []
        for line in lines[start:]:
            mark = _MARK.match(line)
            if mark is not None and ascii_uppercase.find(mark["letter"].upper()) == len(options):
                options.append([mark["text"]])
            else:
                options[-1].append(line)  # an option of several lines
        if len(options) > 1:
            return "\n".join(lines[:start]).strip(), tuple("\n".join(option).strip() for option in options)
    return text, ()


def chosen(choices: tuple[str, ...], letter: str) -> str | None:
    """The text of the option that "(b)", "B" or "b." names; None where there is no such option."""
    name = letter.strip().strip("().:").upper()
    index = ascii_uppercase.find(name) if len(name) == 1 else -1
    return choices[index] if 0 <= index < len(choices) else None


def choice_flags(choices: tuple[str, ...]) -> tuple[str, ...]:
    """Says so when two options have the same text."""
    return (REPEATED_CHOICE,) if len(set(choices)) < len(choices) else ()
