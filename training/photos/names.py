"""Writes `data/scenes/everyday.csv`: what everybody calls the thousand classes of ImageNet.

    apt-get install wordnet-base
    python training/photos/names.py --photographs DIR

The names come from WordNet 3.0 (`data.noun`) by the rules of `everyday_rules.json`: a class has the name given to it
alone, else that of the nearest WordNet noun above it that has one, else its own.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
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


def line_up(nouns: Nouns, offset: str) -> list[list[str]]:
    """The words of a noun and of all above it, upwards, by the first way up."""
    words, above = nouns[offset]
    return [words, *(line_up(nouns, above[0]) if above else [])]


def row(nouns: Nouns, offset: str, rules: dict[str, dict[str, str]]) -> tuple[str, str, str, str, set[str]]:
    """WordNet id, own name, everyday name, other right names, and all words above."""
    lines = line_up(nouns, offset)
    kind = lines[0][0]
    name, reached = rules["own"].get(kind), 1
    if name is None:
        for level, words in enumerate(lines):
            found = [rules["nearest"][word] for word in words if word in rules["nearest"]]
            if found:
                name, reached = found[0], level + 1
                break
    right = dict.fromkeys(word for words in lines[:reached] for word in words)
    name = name or kind
    also = [word for word in right if word not in (kind, name)]
    return f"n{offset}", kind, name, ";".join(also), {word for words in lines for word in words}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="a folder of nXXXXXXXX_name.jpg")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    arguments = parser.parse_args()
    nouns = read_nouns(arguments.wordnet / "data.noun")
    rules = json.loads((HERE / "everyday_rules.json").read_text())
    offsets = [found[1] for path in sorted(arguments.photographs.iterdir()) if (found := PHOTOGRAPH.match(path.name))]
    rows = [row(nouns, offset, rules) for offset in offsets]
    names = {name for _, _, name, _, _ in rows}
    with TABLE.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("wordnet", "kind", "name", "form", "also", "above"))
        for offset, kind, name, also, above in rows:
            form = next((form for form in ("plural", "mass") if name in rules[form]), "")
            writer.writerow((offset, kind, name, form, also, ";".join(sorted(above & names - {name, kind}))))
    print(f"{len(rows)} classes, {len(names)} everyday names in {TABLE}")


if __name__ == "__main__":
    main()
