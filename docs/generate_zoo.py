"""Writes the table of docs/zoo.md: `wherelook zoo --json | python docs/generate_zoo.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HEAD = (
    "| name | how it sees; its language model | scenes of | parameters | MB | image | blank | other | questions of |\n"
)
RULE = "|---|---|---|---|---|---|---|---|---|\n"


def table(models: list[dict]) -> str:
    """A row per model, under the head."""
    return HEAD + RULE + "".join(_row(model) for model in models)


def _row(model: dict) -> str:
    figures = ["-" if model[name] is None else f"{model[name]:.3f}" for name in ("image", "blank", "other")]
    scenes = "-" if model["command"] is None else f"{model['command'].split()[-1]} scenes"
    size = f"{model['parameters'] / 1e6:.2f} M | {model['megabytes']:.1f}"
    what = f"`{model['name']}` | {model['architecture']} | {model['scenes']}"
    return f"| {what} | {size} | {' | '.join(figures)} | {scenes} |\n"


if __name__ == "__main__":
    path = Path(__file__).parent / "zoo.md"
    before = path.read_text(encoding="utf-8").split(HEAD)[0]
    path.write_text(before + table(json.load(sys.stdin)), encoding="utf-8")
    print(f"wrote {path.name}")
