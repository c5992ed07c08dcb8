"""API keys: read from the environment, sent to one endpoint, and cut out of every text that could hold them.

A server has seen the key, and what it says may repeat it: as it is, in another case, escaped for an address, for JSON
or for HTML, in base64 ("Bearer KEY" is a common way to write a header into a log), in hexadecimal digits, backwards, or
with white space inside. `cut` finds these. The client puts everything that a server says through it, and the command
line its error lines and tracebacks. A server that hides the key on purpose in some other way cannot be found out.
"""

from __future__ import annotations

import base64
import functools
import html
import os
import re

from wherelook.errors import InputError

KEY_VARIABLES = ("WHERELOOK_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key; the first one that is set counts. It is read from nowhere else."""

SHOWN_INSTEAD = "(key)"

SHORT = 8
"""Keys of fewer characters are cut out as whole words alone: "cat" as a key must not change what is "concatenated"."""

NO_SECRETS = frozenset(
    (
        *("empty", "none", "null", "dummy", "test", "token", "key", "api-key", "apikey", "local", "localhost"),
        *("no-key", "nokey", "not-needed", "notneeded", "ollama", "vllm", "lm-studio", "llama.cpp"),
        "sk-no-key-required",
    )
)
"""What is customarily set where a server asks for no key; answers may hold such words."""

_BETWEEN = r"[\s\x00-\x1f\u00ad\u200b-\u200f\u2060\ufeff]*"
"""What may stand between the characters of a key: breaks of lines and what nobody sees."""

_seen: set[str] = set()


def read_key() -> tuple[str, str]:
    """The name of the variable that holds the key, and the key; both empty if there is none.

    Raises:
        InputError: it has characters that no header can carry.
    """
    for variable in KEY_VARIABLES:
        key = os.environ.get(variable, "").strip()
        if key:
            if any(not 32 < ord(letter) < 127 for letter in key):
                raise InputError(f"the key in {variable} has characters that no key has, such as a space")
            _seen.add(key)
            return variable, key
    return "", ""


def cut(text: str) -> str:
    """The text with "(key)" in place of every key that this process has read or has in its environment.

    Args:
        text: from a server, or about to be shown; anything.
    """
    pattern = _pattern(_secrets())
    return text if pattern is None or len(text) < _shortest(_secrets()) else pattern.sub(SHOWN_INSTEAD, text)


def _secrets() -> frozenset[str]:
    present = {os.environ.get(variable, "").strip() for variable in KEY_VARIABLES}
    return frozenset(key for key in _seen | present if key and key.casefold() not in NO_SECRETS)


@functools.lru_cache(maxsize=8)
def _shortest(keys: frozenset[str]) -> int:
    return min(map(len, keys), default=0)


@functools.lru_cache(maxsize=8)
def _pattern(keys: frozenset[str]) -> re.Pattern[str] | None:
    """What finds all these keys, longer ones first; None without one."""
    forms = [form for key in sorted(keys, key=lambda key: (-len(key), key)) for form in _forms(key)]
    return re.compile("|".join(forms)) if forms else None


def _forms(key: str) -> list[str]:
    """Regular expressions of what a key may look like."""
    if len(key) < SHORT:
        return [rf"(?<![^\W_]){re.escape(key)}(?![^\W_])"]
    data = key.encode("utf-8", "surrogatepass")
    digits = r"[\s:,-]*".join(rf"(?:0x)?{byte:02x}" for byte in data)
    return [
        f"(?i:{_BETWEEN.join(map(_letter, key))})",
        f"(?i:{_BETWEEN.join(map(_letter, reversed(key)))})",
        f"(?i:{digits})",
        *(_in_base64(data, before) for before in range(3)),
    ]


def _letter(letter: str) -> str:
    r"""One character as it is, or as %2D (also %252D), \u002d, \x2d, &#45;, &#x2d;, &amp;; backslashes before it."""
    code = ord(letter)
    forms = {re.escape(letter), re.escape(html.escape(letter))}
    numbers = (
        rf"%(?:25){{0,4}}{code:02x}",
        rf"\\{{1,8}}(?:u00|x){code:02x}",
        rf"&(?:amp;){{0,2}}#(?:0{{0,5}}{code}|x0{{0,5}}{code:x});?",
    )
    return rf"(?:\\{{0,8}}(?:{'|'.join(sorted(forms, reverse=True))})|{'|'.join(numbers)})"


def _in_base64(data: bytes, before: int) -> str:
    """The key inside a text in base64, `before` bytes after the start of a group of three.

    Only what the key alone determines is compared; a character at either end that it shares with its neighbors is cut
    out too.
    """
    text = base64.b64encode(bytes(before) + data).decode().rstrip("=")
    first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
    letters = {"+": r"(?:\+|-|%2[bB])", "/": r"(?:\\*/|_|%2[fF])"}
    inside = r"\s*".join(letters.get(letter, letter) for letter in text[first:last])
    return rf"[A-Za-z0-9+/_-]?{inside}[A-Za-z0-9+/_-]?(?:=|%3[dD]){{0,2}}"
