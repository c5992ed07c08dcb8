"""Which words of an answer a user names: `--tokens "red car"`, `--tokens "red#2"`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from wherelook.errors import InputError
from wherelook.words import Word, comparable, find_words

SHOWN = 40
"""Words of the answer that an error lists."""

_ITEM = re.compile(r'"(?P<phrase>[^"]+)"(?P<count>#[1-9]\d*)?|(?P<bare>[^\s"]+)')
_COUNTED = re.compile(r"(?P<text>.*\S)#(?P<count>[1-9]\d{0,5})", re.DOTALL)


def named_words(wanted: str, words: Sequence[Word]) -> set[int]:
    """The places in `words` of the words that `wanted` names.

    All of `wanted` is one phrase if the words have it in this order one after another; else every part between spaces
    is a word, or a phrase without spaces, that may be anywhere. "red#2" is the second occurrence, "red car#2" that of
    the phrase. Double quotes keep phrases together among others: '"red car" dog#2'. Compared are the forms of
    `wherelook.words.comparable`. In a script without spaces a part of the text counts, and stands for the words that
    hold it.

    Args:
        wanted: what a user typed.
        words: those of the answer, in its order.

    Raises:
        InputError: it names no word, a word that is not there, or an occurrence that is not there.
    """
    if not find_words(wanted):
        raise InputError(f"tokens {wanted!r}: that names no word; {_valid(words)}")
    if '"' not in wanted and (phrase := _found(wanted, words, wanted)):
        return set().union(*phrase)
    chosen: set[int] = set()
    for item, quoted in _items(wanted):
        found = _found(item, words, wanted)
        if found:
            chosen = chosen.union(*found)
            continue
        for part in [item] if quoted else [word.text for word in find_words(item)]:
            alone = _occurrences(part, words)
            if not alone:
                raise InputError(
                    f"tokens {wanted!r}: {part!r} is not {'a phrase' if quoted else 'a word'} of the answer"
                    f"{_alike(part, words)}; {_valid(words)}"
                )
            chosen = chosen.union(*alone)
    return chosen


def _items(wanted: str) -> Iterator[tuple[str, bool]]:
    """Every part of what was typed, and whether it was quoted; a number of an occurrence goes with its part."""
    for match in _ITEM.finditer(wanted):
        if match["bare"] is None:
            yield match["phrase"] + (match["count"] or ""), True
        else:
            yield match["bare"], False


def _found(item: str, words: Sequence[Word], wanted: str) -> list[set[int]]:
    """The places of every occurrence of a phrase, or of the one that is numbered; none where it is not there."""
    counted = _COUNTED.fullmatch(item.strip())
    places = _occurrences(counted["text"], words) if counted else []
    if counted is None or not places:
        return _occurrences(item, words)
    number = int(counted["count"])
    if number > len(places):
        times = "once" if len(places) == 1 else f"{len(places)} times"
        raise InputError(
            f"tokens {wanted!r}: {counted['text']!r} is {times} in the answer; "
            f"valid: {counted['text']}#1{f' to #{len(places)}' if len(places) > 1 else ''}"
        )
    return [places[number - 1]]


def _occurrences(text: str, words: Sequence[Word]) -> list[set[int]]:
    """The places of each occurrence of a phrase in the words."""
    phrase = find_words(text)
    keys, known = [word.key for word in phrase], [word.key for word in words]
    if not keys:
        return []
    size = len(keys)
    found = [
        set(range(first, first + size)) for first in range(len(known) - size + 1) if known[first : first + size] == keys
    ]
    if found or any(word.spaced for word in phrase):
        return found
    return list(_inside(comparable(text), words, known))


def _inside(text: str, words: Sequence[Word], known: Sequence[str]) -> Iterator[set[int]]:
    """The places of the words that hold each occurrence of a text in a script without spaces."""
    run, owners = "", list[int]()
    for place, (word, key) in enumerate(zip(words, known, strict=True)):
        if place and words[place - 1].end != word.start:
            run, owners = run + " ", [*owners, -1]
        run, owners = run + key, owners + [place] * len(key)
    first = run.find(text)
    while first >= 0:
        yield set(owners[first : first + len(text)])
        first = run.find(text, first + len(text))


def _alike(name: str, words: Sequence[Word]) -> str:
    """What may have been meant: the words that hold the name."""
    alike = list(dict.fromkeys(word.text for word in words if comparable(name) in word.key))
    return f"; did you mean {' or '.join(map(repr, alike[:3]))}?" if alike else ""


def _valid(words: Sequence[Word]) -> str:
    names = list(dict.fromkeys(word.text for word in words))
    shown = " ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
    return f"valid: auto, all, or words of the answer: {shown or '(it has none)'}"
