"""The list of families says no more than what is known."""

from __future__ import annotations

from wherelook.models import families
from wherelook.models.catalogue import model_families, obstacle
from wherelook.models.families import FAMILIES, REFUSED, VARIANTS


def test_every_family_that_is_tested_is_listed_and_encoder_decoders_are_not_offered():
    support = {row["family"]: row["support"] for row in model_families()}
    assert set(FAMILIES) <= set(support)
    assert {name for name, text in support.items() if text == "tested"} == set(FAMILIES) - set(REFUSED)
    assert support["florence2"] == "no: encoder-decoder"
    assert support["chameleon"].startswith("no: the image becomes discrete codes")
    assert support["fuyu"].startswith("no: its image processor")
    assert list(support) == sorted(support)
    assert VARIANTS.keys() <= FAMILIES.keys()


def test_an_obstacle_is_named_and_only_where_there_is_one(monkeypatch):
    assert obstacle("llava") is None
    assert obstacle("florence2") == "an encoder-decoder model; only decoder models are supported"
    monkeypatch.delitem(FAMILIES, "llava")
    assert obstacle("llava") == "not tested: there is no recipe for a tiny model of it"
    assert {row["family"]: row["support"] for row in model_families()}["llava"] == "not tested"


def test_a_missing_package_is_an_obstacle(monkeypatch):
    monkeypatch.setitem(families.NEEDS, "llava", "no_such_package")
    assert obstacle("llava") == "needs no_such_package, which is not installed"
