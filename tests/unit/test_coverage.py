"""The coverage run: what a row says, and that no family ends it."""

from __future__ import annotations

import os
import sys
import time

import pytest

from wherelook import coverage
from wherelook.coverage import FamilyReport, verify_families, verify_family
from wherelook.errors import InputError
from wherelook.models.families import FAMILIES


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
    monkeypatch.setattr(coverage, "build", int)
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
    monkeypatch.setattr(coverage, "verify_family", misbehave)
    # The tests' torchvision works in the process that has been prepared for it alone.
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if not folder.endswith("test-only")])
    reports = list(verify_families(["llava", "vipllava", "llava_next"], seconds=5))
    assert [report.reason for report in reports] == [
        "the process that measured it died, perhaps for want of memory",
        "took longer than 5 seconds",
        "",
    ]
