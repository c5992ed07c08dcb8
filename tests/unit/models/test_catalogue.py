"""The list of families says no more than what is known."""

from __future__ import annotations

from tools.families import FAMILIES, REFUSED, VARIANTS

from wherelook.models.catalogue import model_families


def test_every_family_that_is_tested_is_listed_and_encoder_decoders_are_not_offered():
    support = {row["family"]: row["support"] for row in model_families()}
    assert set(FAMILIES) <= set(support)
    assert {name for name, text in support.items() if text == "tested"} == set(FAMILIES) - set(REFUSED)
    assert support["florence2"] == "no: encoder-decoder"
    assert support["chameleon"].startswith("no: the image becomes discrete codes")
    assert support["fuyu"].startswith("no: its image processor")
    assert list(support) == sorted(support)
    assert VARIANTS.keys() <= FAMILIES.keys()
