"""Writes `data/scenes/everyday.csv`: what everybody calls the thousand classes of ImageNet.

    apt-get install wordnet-base
    python training/photos/names.py --photographs DIR

The names come from WordNet 3.0 (`data.noun`) by the rules of `everyday_rules.json`: a class has the name given to it
alone, else that of the nearest WordNet noun above it that has one, else its own. Names of what is above a class are
found by their letters; where these mean something else there, `homonyms` says so.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

HERE = Path(__file__).parent
TABLE = Path(str(files("wherelook.data.scenes") / "everyday.csv"))
PHOTOGRAPH = re.compile(r"n(\d{8})_.*\.jpe?g", re.IGNORECASE)

Nouns = dict[str, tuple[list[str], list[str]]]
"""Words and the nouns above, by the offset of a synset."""


def read_nouns(path: Path) -> Nouns:
    """WordNet's nouns; the format is that of wndb(5WN)."""
    nouns: Nouns = {}
    for line in path.read_text(encoding="latin-1").splitlines():
        if line.startswith("  "):
            continue  # the license
        values = line.split(" | ")[0].split()
        count = int(values[3], 16)
        words = [values[4 + 2 * index].replace("_", " ") for index in range(count)]
        start = 5 + 2 * count
        pointers = [values[start + 4 * index : start + 4 * index + 4] for index in range(int(values[start - 1]))]
        nouns[values[0]] = words, [to for kind, to, part, _ in pointers if kind in ("@", "@i") and part == "n"]
    return nouns


@dataclass(frozen=True)
class Class:
    """A class and what everybody calls it.

    Attributes:
        offsets: of its synset and of all above it, upwards, by the first way up.
        kind: its own name.
        name: its everyday name.
        right: the words of its synset and of those above it up to the one that has its everyday name.
    """

    offsets: tuple[str, ...]
    kind: str
    name: str
    right: tuple[str, ...]


def line_up(nouns: Nouns, offset: str) -> tuple[str, ...]:
    """The offsets of a noun and of all above it, upwards, by the first way up."""
    _, above = nouns[offset]
    return (offset, *(line_up(nouns, above[0]) if above else ()))


def named(nouns: Nouns, offset: str, rules: dict[str, dict[str, str]]) -> Class:
    """A class by the rules."""
    offsets = line_up(nouns, offset)
    kind = nouns[offset][0][0]
    name, reached = rules["own"].get(kind), 1
    if name is None:
        for level, above in enumerate(offsets):
            found = [rules["nearest"][word] for word in nouns[above][0] if word in rules["nearest"]]
            if found:
                name, reached = found[0], level + 1
                break
    right = dict.fromkeys(word for above in offsets[:reached] for word in nouns[above][0])
    return Class(offsets, kind, name or kind, tuple(right))


def rows(nouns: Nouns, classes: Sequence[Class], rules: dict[str, dict[str, str]]) -> Iterator[tuple[str, ...]]:
    """The lines of the table."""
    names = {one.name for one in classes}
    for one in classes:
        form = next((form for form in ("plural", "mass") if one.name in rules[form]), "")
        also = [word for word in one.right if word not in names and word != one.kind]
        words = {word for offset in one.offsets for word in nouns[offset][0]}
        others = {name for name, kinds in rules["homonyms"].items() if one.kind in kinds}
        above = words & names - {one.name, one.kind} - others
        yield f"n{one.offsets[0]}", one.kind, one.name, form, ";".join(also), ";".join(sorted(above))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="a folder of nXXXXXXXX_name.jpg")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    arguments = parser.parse_args()
    nouns = read_nouns(arguments.wordnet / "data.noun")
    rules = json.loads((HERE / "everyday_rules.json").read_text())
    offsets = [found[1] for path in sorted(arguments.photographs.iterdir()) if (found := PHOTOGRAPH.match(path.name))]
    classes = [named(nouns, offset, rules) for offset in offsets]
    with TABLE.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("wordnet", "kind", "name", "form", "also", "above"))
        writer.writerows(rows(nouns, classes, rules))
    print(f"{len(classes)} classes, {len({one.name for one in classes})} everyday names in {TABLE}")


if __name__ == "__main__":
    main()
