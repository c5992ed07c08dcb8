"""Writes the table of docs/models.md: `wherelook models --verify --json | python docs/generate_models.py`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

HEAD = "| family | works | views | blend error | reason |\n|---|---|---|---|---|\n"


def table(reports: list[dict]) -> str:
    """The rows, under their head, and how many families work."""
    lines = []
    for report in reports:
        measured = {check["name"]: check["measured"] for check in report["checks"]}
        views = re.match(r"\d+", measured.get("views", ""))
        error = re.search(r"by ([\d.]+) of 255", measured.get("geometry", ""))
        figures = (views[0] if views else "", error[1] if error else "")
        works = "yes" if report["works"] else "no"
        lines.append(f"| `{report['family']}` | {works} | {figures[0]} | {figures[1]} | {report['reason']} |\n")
    works = sum(report["works"] for report in reports)
    return f"{works} of {len(reports)} families work.\n\n{HEAD}{''.join(lines)}"


if __name__ == "__main__":
    path = Path(__file__).parent / "models.md"
    before = re.split(r"\d+ of \d+ families work", path.read_text(encoding="utf-8"))[0]
    path.write_text(before + table(json.load(sys.stdin)), encoding="utf-8")
    print(f"wrote {path.name}")
