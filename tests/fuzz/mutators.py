"""Changes of an input: of its bytes, of the tree that it is (JSON), of its cells (tables). All from one generator."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

TOKENS = (
    *(b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b",", b":"),
    *(b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 400, b"0x1f", b"null", b"true", b"\\ud800", b"\xed\xa0\x80"),
    *(b"../../etc/passwd", b"/dev/zero", b"file:///x", b"data:image/png;base64,AAAA", b"http://127.0.0.1:9/v1"),
    *(b"%n%s", b"{image}", b"<image>", b"</s>", b"{{ 7 * 7 }}", b"\x1b[2J", b"\xe2\x80\xae", b"\xf0\x9f\x90\xb6", b"="),
)
"""What parsers stumble over."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", " ", "0", "-1", "a", "A", "\0", "\ud800", "\u202e", "x" * 3000, "9" * 400, "../x", "/", "\x1b[2J", "nan"),
    *([], {}, [[]], [None], {"": None}, [1, 2, 3, 4], [0, 0, 1e9, -5], ["a", 1], {"a": {"b": []}}),
)
"""Values of other types and sizes than expected."""


DEPTHS = (5, 200, 900, 100_000)
"""How deeply lists are nested in each other; see `_written`."""


def _deep(random: Random) -> str:
    """Stands for a list in a list in a list, which could not be copied or written recursively."""
    return f"DEPTH-{random.choice(DEPTHS)}-"


def _written(tree: Any) -> bytes:
    text = json.dumps(tree)
    for depth in DEPTHS:
        text = text.replace(f'"DEPTH-{depth}-"', "[" * depth + "]" * depth)
    return text.encode()


def change_bytes(data: bytes, random: Random, others: list[bytes]) -> bytes:
    """One to six flips, cuts, copies, insertions, or pieces of another input."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        place = random.randrange(len(changed) + 1)
        kind = random.randrange(7)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << random.randrange(8)
        elif kind == 1 and place < len(changed):
            changed[place] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
        elif kind == 2:
            changed[place:place] = random.choice(TOKENS)
        elif kind == 3:
            del changed[place : place + random.choice((1, 2, 4, 16, len(changed)))]
        elif kind == 4:
            changed[place:place] = changed[place : place + random.choice((1, 4, 64))] * random.choice((1, 2, 50))
        elif kind == 5:
            other = random.choice(others)
            start = random.randrange(len(other) + 1)
            changed[place : place + random.choice((0, 8, 64))] = other[start : start + random.choice((1, 8, 64, 4096))]
        else:
            token = random.choice(TOKENS)
            changed[place : place + len(token)] = token
    return bytes(changed)


def change_json(data: bytes, random: Random) -> bytes:
    """One to four values of a JSON document (or of one of its lines) replaced, removed, renamed or doubled."""
    lines = data.split(b"\n")
    which = random.randrange(len(lines))
    try:
        tree = json.loads(data)
        which = -1
    except (ValueError, RecursionError):
        try:
            tree = json.loads(lines[which])
        except (ValueError, RecursionError):
            return data
    try:
        for _ in range(random.choice((1, 1, 2, 4))):
            tree = _change_tree(tree, random)
        made = _written(tree)
    except RecursionError:  # nested too deeply to be copied or written again: as it is
        return data
    if random.random() < 0.05:  # names that come twice, which no dictionary can hold
        made = made.replace(b"{", b'{"a": 1, "a": ' + _written(_deep(random)) + b", ", 1)
    if which < 0:
        return made
    return b"\n".join([*lines[:which], made, *lines[which + 1 :]])


def _change_tree(tree: Any, random: Random) -> Any:
    holders: list[Any] = []
    ahead = [tree]
    while ahead:
        found = ahead.pop()
        if isinstance(found, dict | list) and found:
            holders.append(found)
            ahead += found.values() if isinstance(found, dict) else found[:50]
    if not holders:
        return deepcopy(random.choice(VALUES))
    holder = random.choice(holders)
    place = random.choice(list(holder)) if isinstance(holder, dict) else random.randrange(len(holder))
    kind = random.randrange(8)
    if kind < 4:
        holder[place] = _deep(random) if random.random() < 0.05 else deepcopy(random.choice(VALUES))
    elif kind == 4:
        del holder[place]
    elif kind == 5:
        value = holder[place]
        holder[place] = [value, deepcopy(value)] if random.random() < 0.5 else {"value": value}
    elif kind == 6 and isinstance(holder, dict):
        holder[random.choice(("", "id", "\0", str(place).upper(), "x" * 300))] = holder.pop(place)
    elif isinstance(holder, list):
        holder += deepcopy(holder[:20]) * random.choice((1, 30))
    else:
        holder[str(place) + "2"] = deepcopy(holder[place])
    return tree


def change_cells(data: bytes, random: Random, delimiter: bytes) -> bytes:
    """One to four cells of a table replaced, added or taken away."""
    rows = [line.split(delimiter) for line in data.split(b"\n")]
    for _ in range(random.choice((1, 1, 2, 4))):
        row = random.choice(rows)
        place = random.randrange(len(row) + 1)
        kind = random.randrange(4)
        if kind < 2 and place < len(row):
            value = random.choice(VALUES)
            row[place] = random.choice((random.choice(TOKENS), str(value).encode("utf-8", "surrogatepass")))
        elif kind == 2:
            row.insert(place, random.choice(TOKENS) * random.choice((1, 1, 3000)))
        elif place < len(row):
            del row[place]
    return b"\n".join(delimiter.join(row) for row in rows)


def text(random: Random, seeds: tuple[str, ...]) -> str:
    """A text of a person, or what nobody would write."""
    parts = [random.choice(seeds) for _ in range(random.choice((1, 1, 2, 3)))]
    for _ in range(random.choice((0, 1, 2, 5))):
        code = random.choice((random.randrange(128), random.randrange(0x3000), random.randrange(0x110000)))
        parts.insert(random.randrange(len(parts) + 1), chr(code) * random.choice((1, 1, 2, 40)))
    if random.random() < 0.2:
        parts.append(random.choice(TOKENS).decode("utf-8", "replace"))
    return random.choice(("", " ", "\n")).join(parts)
