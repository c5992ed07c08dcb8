"""Everything that a command prints passes here, on its way to a terminal, a pipe or a file.

Answers, questions, names and what servers say come from anywhere. An escape sequence in them could color a terminal,
rewrite lines above or set its title; marks of direction could show a word backwards. They are spelled out (`\\x1b`).
Characters that the encoding of the stream does not have are replaced, and a reader that goes away ends no work: what
a command has found is never lost for the sake of a line about it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TextIO

from wherelook.hidden import HIDDEN, MARKS

SPELLED = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in sorted(HIDDEN | MARKS | {0x0D})}
"""For a terminal: what no page shows either, marks of direction, and the return to the beginning of a line."""

IN_JSON = {code: f"\\u{code:04x}" for code in sorted(HIDDEN | MARKS)}
"""The same inside strings of JSON, where it means the same character."""

SIMILAR = {
    0x2248: "~",  # almost equal to
    0x2212: "-",  # minus sign
    0x2013: "-",  # en dash
    0x2014: "-",  # em dash
    0x00D7: "x",  # multiplication sign
    0x00B7: "-",  # middle dot
    0x2026: "...",  # horizontal ellipsis
    0x2265: ">=",  # greater-than or equal to
    0x2264: "<=",  # less-than or equal to
    0x2019: "'",  # right single quotation mark
    0x2018: "'",  # left single quotation mark
    0x201C: '"',  # left double quotation mark
    0x201D: '"',  # right double quotation mark
    0x2192: "->",  # rightwards arrow
    0x00B1: "+-",  # plus-minus sign
    0x2260: "!=",  # not equal to
    0x2713: "+",  # check mark
    0x2717: "x",  # ballot x
}
"""What stands for characters of our own texts where an encoding lacks them."""


class Sink(io.TextIOBase):
    """A stream that takes every text, and goes on when nobody takes it any more.

    Args:
        stream: standard output or error.

    Attributes:
        failure: why the text does not arrive; None while it does, and where its reader has gone of its own will.
    """

    def __init__(self, stream: TextIO | io.TextIOBase) -> None:
        self.stream = stream
        self.failure: OSError | None = None
        self._gone = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self.stream, "encoding", None) or "utf-8"

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def write(self, text: str) -> int:
        if not self._gone:
            try:
                self.stream.write(encodable(text, self.encoding))
            except OSError as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        if not self._gone:
            try:
                self.stream.flush()
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        self._gone = True
        self.failure = None if isinstance(error, BrokenPipeError) else error
        with suppress(OSError, ValueError):  # Python flushes what is left once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


class Guarded(io.TextIOBase):
    """A stream that spells out what would be obeyed, or reorder what is seen.

    Attributes:
        sink: where it goes.
        bars: whether libraries may draw bars; see `bars`.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.bars = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.sink.encoding

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.sink.isatty()

    def fileno(self) -> int:
        return self.sink.fileno()

    def write(self, text: str) -> int:
        if self.bars and text.strip("\n") in ("", "\x1b[A" * text.count("\x1b[A")):
            shown = text
        elif self.bars and text.startswith("\r"):
            shown = "\r" + text[1:].translate(SPELLED)
        else:
            shown = text.translate(SPELLED)
        self.sink.write(shown)
        return len(text)

    def flush(self) -> None:
        self.sink.flush()


@dataclass(frozen=True)
class Streams:
    """Standard output and error of a command."""

    out: Guarded
    err: Guarded


@contextmanager
def guarded() -> Iterator[Streams]:
    """Standard output and error are guarded inside; a stream that is closed swallows what it is told."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        out, err = (Guarded(Sink(nothing if stream is None else stream)) for stream in before)
        sys.stdout, sys.stderr = out, err
        try:
            yield Streams(out, err)
        finally:
            out.flush()
            err.flush()
            sys.stdout, sys.stderr = before


@contextmanager
def bars() -> Iterator[None]:
    """Inside, libraries may draw their bars on standard error: returns to the beginning of a line, and lines up."""
    stream = sys.stderr
    if not isinstance(stream, Guarded):
        yield
        return
    stream.bars = True
    try:
        yield
    finally:
        stream.bars = False


def styled(stream: TextIO | io.TextIOBase) -> Any:
    """The same stream for what we color and draw ourselves: every text of others in it needs `shown` before."""
    return stream.sink if isinstance(stream, Guarded) else stream


def shown(text: str) -> str:
    """A text as a terminal may show it."""
    return text.translate(SPELLED)


def encodable(text: str, encoding: str) -> str:
    """The text with what an encoding lacks replaced: by something similar, else spelled out."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_encodable(letter, encoding) for letter in text)
    except LookupError:  # Python knows no such encoding, the stream does
        pass
    return text


def _encodable(letter: str, encoding: str) -> str:
    for form in (letter, letter.translate(SIMILAR)):
        with suppress(UnicodeEncodeError):
            form.encode(encoding)
            return form
    return letter.encode("ascii", "backslashreplace").decode()
