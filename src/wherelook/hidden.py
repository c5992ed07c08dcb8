"""Characters that a reader does not see, but that change what is seen: controls, and what reorders or breaks lines."""

from __future__ import annotations

CONTROLS = frozenset((*range(0x20), *range(0x7F, 0xA0))) - frozenset(map(ord, "\t\n\r"))
"""Of C0 and C1, with escape (sequences that color, move or ask a terminal begin with it) and delete."""

REORDERING = frozenset((*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
"""Embeddings, overrides and isolates of the bidirectional algorithm: they reach beyond the text that they are in."""

MARKS = frozenset((0x061C, 0x200E, 0x200F))
"""Marks of a direction, which text from right to left needs now and then."""

SURROGATES = frozenset(range(0xD800, 0xE000))
"""Half a character each: not even encodable."""

HIDDEN = CONTROLS | REORDERING | SURROGATES | {0x2028, 0x2029, 0xFEFF}
"""What no page and no terminal shows as it is; with separators of lines and the byte order mark."""
