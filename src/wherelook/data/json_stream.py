"""One entry after another of a JSON document that may be larger than memory.

ijson 3.4 was tried in its place: it has no lines for errors, refuses NaN and integers beyond 64 bits, replaces lone
surrogates, and takes all memory of a machine for 100,000 brackets in brackets.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Any

from wherelook.data.files import reading
from wherelook.errors import WherelookError

CHUNK = 1 << 20
"""Characters read at a time, about."""

LONGEST_ENTRY = 16_000_000
"""Characters of one entry."""

NUMBER = re.compile(r"[0-9+.eE-]*+")
SPACES = re.compile(r"[ \t\r\n]*+")


def entries(stream: BufferedIOBase, place: str, key: str | None = None) -> Iterator[tuple[str, Any, str]]:
    """The entries of a list or of an object, in the order of the file.

    Args:
        stream: the document, in UTF-8.
        place: what errors call it.
        key: of the list or object inside the document's own object; None for the document itself.

    Yields:
        The entry's key (its number from 1 in a list), the entry, and where it is, for errors.

    Raises:
        WherelookError: the document is broken, has anything behind its end, or has no such key, or has it twice; the
            error names the line.
    """
    document = _Document(stream, place)
    if key is None:
        yield from document.entries()
        document.expect_end()
        return
    found = False
    document.expect("{")
    while document.peek() != "}":
        name = document.key()
        if name == key and found:
            raise WherelookError(f"{document.here}: {key!r} is there twice")
        if name == key:
            found = True
            yield from document.entries()
        else:
            document.skip()
        if document.peek() != "}":
            document.expect(",")
            if document.peek() == "}":
                document.expect('"')  # a comma before the end
    document.expect("}")
    document.expect_end()
    if not found:
        raise WherelookError(f"{place}: there is no {key!r} in it")


class _Document:
    """What is left of a document, from a position on; read as it is needed."""

    def __init__(self, stream: BufferedIOBase, place: str) -> None:
        self.stream = stream
        self.place = place
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.scanner = json.JSONDecoder()
        self.text = ""
        self.position = 0
        self.lines = 1  # up to where they are counted
        self.counted = 0
        self.ended = False

    @property
    def here(self) -> str:
        self.lines += self.text.count("\n", self.counted, self.position)
        self.counted = self.position
        return f"{self.place}, line {self.lines}"

    def more(self) -> bool:
        """Reads on; whether there was anything."""
        if self.ended:
            return False
        with reading(self.here):
            data = self.stream.read(CHUNK)
        self.ended = not data
        try:
            text = self.decoder.decode(data, final=self.ended)
        except UnicodeDecodeError as error:
            raise WherelookError(f"{self.here}: not UTF-8") from error
        self.lines += self.text.count("\n", self.counted, self.position)
        self.text = self.text[self.position :] + text
        self.position = self.counted = 0
        if len(self.text) > LONGEST_ENTRY:
            raise WherelookError(f"{self.here}: an entry is longer than {LONGEST_ENTRY // 10**6} million characters")
        return not self.ended

    def peek(self) -> str:
        """The next character that is not space; "" at the end."""
        while True:
            self.position = SPACES.match(self.text, self.position).end()  # type: ignore[union-attr]
            if self.position < len(self.text):
                return self.text[self.position]
            if not self.more():
                return ""

    def expect(self, character: str) -> None:
        found = self.peek()
        if found != character:
            raise WherelookError(f"{self.here}: broken JSON, expected {character!r}, not {found or 'the end'!r}")
        self.position += 1

    def expect_end(self) -> None:
        found = self.peek()
        if found:
            raise WherelookError(f"{self.here}: broken JSON, expected the end, not {found!r}")

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = self.scanner.raw_decode(self.text, self.position)
            except RecursionError as error:
                raise WherelookError(f"{self.here}: too deeply nested") from error
            except ValueError as error:
                if not self.more():
                    raise WherelookError(f"{self.here}: broken JSON") from error
                continue
            # A number at the end of what was read may go on, also behind a point or an e that is no part of it yet.
            cut = isinstance(value, int | float) and NUMBER.match(self.text, end).end() == len(self.text)  # type: ignore[union-attr]
            if self.ended or (end < len(self.text) and not cut):
                self.position = end
                return value
            self.more()

    def key(self) -> str:
        if self.peek() != '"':
            raise WherelookError(f"{self.here}: broken JSON, expected a name in quotes")
        name = str(self.value())
        self.expect(":")
        return name

    def entries(self) -> Iterator[tuple[str, Any, str]]:
        """The entries of the next value, a list or an object."""
        opening = self.peek()
        if opening not in ("[", "{"):
            raise WherelookError(f"{self.here}: expected a list or an object")
        closing = "]" if opening == "[" else "}"
        self.expect(opening)
        number = 0
        while self.peek() != closing:
            if number:
                self.expect(",")
            number += 1
            name = self.key() if opening == "{" else str(number)
            self.peek()
            where = self.here
            yield name, self.value(), where
        self.expect(closing)

    def skip(self) -> None:
        """Passes the next value."""
        if self.peek() in ("[", "{"):
            for _ in self.entries():
                pass
        else:
            self.value()
