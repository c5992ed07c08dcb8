"""Tokens as pages show them."""

from __future__ import annotations

import pytest

from wherelook.explanation import shading


@pytest.mark.parametrize(
    ("text", "before", "label", "after"),
    [
        (" red", " ", "red", ""),
        ("red ", "", "red", " "),
        ("red", "", "red", ""),
        ("\n\n", "", "↵↵", ""),
        ("  ", "", "␣␣", ""),
        ("", "", "▫", ""),
        (".\n", "", ".↵", ""),
    ],
)
def test_token_labels(text, before, label, after):
    assert shading.label(text) == {"before": before, "label": label, "after": after}


@pytest.mark.parametrize(
    ("llr", "shade"),
    [
        (0.0, "level0"),
        (0.249, "level0"),
        (0.25, "up1"),
        (1.0, "up3"),
        (-1.5, "down3"),
        (99.0, "up5"),
        (float("nan"), "level0"),
    ],
)
def test_shades(llr, shade):
    assert shading.shade(llr) == shade


def test_legend_runs_from_less_to_more_likely():
    legend = shading.legend()
    assert [swatch["shade"] for swatch in legend] == [
        "down5", "down4", "down3", "down2", "down1", "level0", "up1", "up2", "up3", "up4", "up5",
    ]  # fmt: skip
    assert [swatch["end"] for swatch in legend][4:6] == [f"{shading.MINUS}0.25", "0.25"]
