"""Measures the families: `python tests/with_torchvision.py -m tools.families [NAME ...] [--write]`.

A line for each family; with --write, which measures all, also the two places that the figures go to: docs/models.md and
the file that `wherelook models` reads.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.families import FAMILIES, REFUSED
from tools.families.verify import FamilyReport, verify_families

from wherelook.errors import WherelookError

ROOT = Path(__file__).parents[2]
HEAD = "| family | works | views | blend error | reason |\n|---|---|---|---|---|\n"


def line(report: FamilyReport) -> str:
    """A line of the table in Markdown."""
    measured = {check.name: check.measured for check in report.checks}
    views = re.match(r"\d+", measured.get("views", ""))
    error = re.search(r"by ([\d.]+) of 255", measured.get("geometry", ""))
    cells = (
        f"`{report.family}`",
        "yes" if report.works else "no",
        views[0] if views else "",
        error[1] if error else "",
        report.reason,
    )
    return f"| {' | '.join(cells)} |\n"


def support(reports: Sequence[FamilyReport]) -> list[dict[str, str]]:
    """What `wherelook models` says of the families that were tried."""
    return [
        {
            "family": report.family,
            "class": report.model_class,
            "support": f"no: {REFUSED[report.family]}" if report.family in REFUSED else "tested",
        }
        for report in reports
        if report.family in FAMILIES
    ]


def unexpected(reports: Sequence[FamilyReport]) -> list[str]:
    """Families that work and are listed as refused, or the other way round."""
    return [
        report.family for report in reports if report.family in FAMILIES and report.works == (report.family in REFUSED)
    ]


def write(reports: Sequence[FamilyReport]) -> None:
    """Writes the table of the documentation and the file of the package."""
    page = ROOT / "docs" / "models.md"
    before = re.split(r"\d+ of \d+ families work", page.read_text(encoding="utf-8"))[0]
    works = sum(report.works for report in reports)
    table = f"{works} of {len(reports)} families work.\n\n{HEAD}{''.join(map(line, reports))}"
    page.write_text(before + table, encoding="utf-8")
    data = ROOT / "src" / "wherelook" / "models" / "families.json"
    data.write_text(json.dumps(support(reports), indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code is 1 where a family does not do what the list says."""
    parser = argparse.ArgumentParser(prog="python -m tools.families", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="families; all by default")
    parser.add_argument("--write", action="store_true", help="write docs/models.md and families.json")
    options = parser.parse_args(arguments)
    if options.write and options.names:
        parser.error("--write goes with all families")
    reports = []
    try:
        for report in verify_families(options.names or None):
            print(line(report), end="", flush=True)
            reports.append(report)
    except WherelookError as error:
        parser.error(str(error))
    print(f"{sum(report.works for report in reports)} of {len(reports)} families work.")
    if options.write:
        write(reports)
    for family in unexpected(reports):
        print(f"{family}: is {'listed in' if family in REFUSED else 'not in'} REFUSED", file=sys.stderr)
    return 1 if unexpected(reports) else 0


if __name__ == "__main__":
    sys.exit(main())
