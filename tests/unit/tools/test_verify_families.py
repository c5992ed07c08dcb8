"""The coverage run: what a row says, and that no family ends it."""

from __future__ import annotations

import json
import os
import time

import pytest
from tools import families
from tools.families import FAMILIES, REFUSED, verify
from tools.families import __main__ as tool
from tools.families.verify import FamilyReport, obstacle, verify_families, verify_family

from processes import spawned_at_once
from wherelook.errors import InputError


def test_a_family_that_works():
    report = verify_family("llava", "LlavaForConditionalGeneration")
    assert (report.works, report.reason) == (True, "")
    assert [check.name for check in report.checks][-3:] == ["gradient", "memory", "explanation"]
    assert all(check.passed for check in report.checks)
    assert report.checks[-1].measured.startswith("ok, with maps of ")


def test_a_family_that_does_not_work_says_why():
    report = verify_family("chameleon", "ChameleonForConditionalGeneration")
    assert not report.works
    assert report.reason.startswith("views: WherelookError: the answer has no gradient with respect to the image: ")


def test_a_family_that_cannot_be_built_says_why(monkeypatch):
    monkeypatch.setattr(verify, "build", int)
    reason = "ValueError: invalid literal for int() with base 10: 'llava'"
    assert verify_family("llava", "x") == FamilyReport("llava", "x", False, reason)


def test_what_cannot_be_tried_costs_nothing_and_unknown_names_are_refused(monkeypatch):
    monkeypatch.delitem(FAMILIES, "fuyu")
    steps: list[tuple[int, int]] = []
    reports = list(
        verify_families(["florence2", "fuyu"], progress=lambda stage, done, total: steps.append((done, total)))
    )
    assert [(report.family, report.works, report.checks) for report in reports] == [
        ("florence2", False, ()),
        ("fuyu", False, ()),
    ]
    assert steps == [(0, 2), (1, 2), (2, 2)]
    with pytest.raises(InputError, match="no model family 'lava'; `wherelook models` lists them"):
        list(verify_families(["lava"]))


def misbehave(name: str, model_class: str) -> FamilyReport:
    if name == "llava":
        os._exit(1)
    time.sleep(100 if name == "vipllava" else 0)
    return FamilyReport(name, model_class, True, "")


def test_neither_a_crash_nor_an_endless_family_ends_the_run(monkeypatch):
    monkeypatch.setattr(verify, "verify_family", misbehave)
    with spawned_at_once():
        reports = list(verify_families(["llava", "vipllava", "llava_next"], seconds=5))
    assert [report.reason for report in reports] == [
        "the process that measured it died, perhaps for want of memory",
        "took longer than 5 seconds",
        "",
    ]


def test_an_obstacle_is_named_and_only_where_there_is_one(monkeypatch):
    assert obstacle("llava") is None
    assert obstacle("florence2") == "an encoder-decoder model; only decoder models are supported"
    monkeypatch.delitem(FAMILIES, "llava")
    assert obstacle("llava") == "not tested: there is no recipe for a tiny model of it"


def test_a_missing_package_is_an_obstacle(monkeypatch):
    monkeypatch.setitem(families.NEEDS, "llava", "no_such_package")
    assert obstacle("llava") == "needs no_such_package, which is not installed"


def test_the_tool_prints_a_line_for_each_family_and_says_what_is_not_as_listed(monkeypatch, capsys):
    reports = [FamilyReport("llava", "x", False, "broken"), FamilyReport("emu3", "x", True, "")]
    monkeypatch.setattr(tool, "verify_families", lambda names: reports)
    assert tool.main([]) == 1
    captured = capsys.readouterr()
    assert captured.out == "| `llava` | no |  |  | broken |\n| `emu3` | yes |  |  |  |\n1 of 2 families work.\n"
    assert captured.err == "llava: is not in REFUSED\nemu3: is listed in REFUSED\n"


def test_the_file_that_the_package_reads_holds_every_family_and_what_is_known_of_it():
    rows = [FamilyReport(name, name, name not in REFUSED, "") for name in sorted(FAMILIES)]
    written = json.loads((tool.ROOT / "src" / "wherelook" / "models" / "families.json").read_text())
    assert [(row["family"], row["support"]) for row in written] == [
        (row["family"], row["support"]) for row in tool.support(rows)
    ]


def test_unknown_names_are_refused_by_the_tool(capsys):
    with pytest.raises(SystemExit) as raised:
        tool.main(["lava"])
    assert raised.value.code == 2
    assert "no model family 'lava'" in capsys.readouterr().err
