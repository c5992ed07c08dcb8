"""What rows under conditions say of a method."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wherelook.analysis.sanity import check, correlations, with_stability
from wherelook.evaluation.conditions import NOISE, OTHER_SEED, PARAPHRASE, SANITY
from wherelook.evaluation.rows import mask_of, mask_row
from wherelook.metrics import rank_correlation


def checked(*values: float | None, stage: str = "all weights", others: float | None = 1.0) -> dict:
    """Every stage of "a" with this correlation, one stage with these, for as many answers."""
    found = {(place, "a", one): others for place in range(len(values)) for one in SANITY}
    return found | {(place, "a", stage): value for place, value in enumerate(values)}


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (checked(0.29, 0.3), "passes"),
        (checked(0.5, 0.2), "fails"),
        (checked(None, None), "passes"),
        (checked(None, 0.9), "fails"),
        (checked(None, others=None), "no map"),
        ({}, "not checked"),
        ({(0, "a", OTHER_SEED): 1.0, (0, "a", NOISE): 1.0}, "not checked"),
    ],
)
def test_a_verdict(found, verdict):
    line = check(found, "a")
    assert (line["verdict"], check(found, "b")["verdict"]) == (verdict, "not checked")
    assert line["answers"] == (len({key[0] for key in found}) if verdict != "not checked" else 0)


def test_a_stage_tells_its_mean_and_what_has_no_map():
    stage = check(checked(0.1, 0.2, None), "a")["all weights"]
    assert (stage["mean"], stage["no_map"], stage["checked"]) == (pytest.approx(0.15), 1, 3)
    assert stage["low"] <= stage["mean"] <= stage["high"]


def row(condition: str, values: np.ndarray | None, status: str = "ok") -> dict:
    none = {"mask": None, "mask_height": None, "mask_width": None}
    shape = none if values is None else mask_row(values.astype(np.float32))
    return {"sample": "s", "position": 0, "run": "a", "condition": condition, "status": status} | shape


def test_maps_are_compared_with_the_plain_one_and_an_error_is_no_map():
    values = np.linspace(0, 1, 16).reshape(4, 4)
    rows = [
        row("", values), row(OTHER_SEED, values[::-1, ::-1]), row(NOISE, values), row(PARAPHRASE, None, "no_map"),
        row("vision", None, "error"),
    ]  # fmt: skip
    found = correlations(rows)
    turned, same = pytest.approx(-1, abs=1e-3), pytest.approx(1)
    assert found == {(0, "a", OTHER_SEED): turned, (0, "a", NOISE): same, (0, "a", PARAPHRASE): None}
    (plain,) = with_stability(rows, found)
    assert [plain[f"stability_{name}"] for name in ("seed", "noise", "paraphrase")] == [turned, same, None]
    (unmeasured,) = with_stability(rows[:2], correlations(rows[:2]))  # another seed alone is a sanity check
    assert "stability_seed" not in unmeasured


def test_a_stored_map_keeps_the_ranks_of_small_cells():
    """Most cells of a sharp map are near 0: with so many decimals they would all be equal."""
    values = np.exp(-np.linspace(0, 30, 784)).reshape(28, 28)
    stored = np.array(row("", values)["mask"])
    whole = torch.from_numpy(values.astype(np.float32))
    assert rank_correlation(whole, torch.tensor(mask_of(row("", values)))) == pytest.approx(1, abs=1e-9)
    assert len(np.unique(stored)) == 784
    assert np.abs(stored / values.ravel() - 1).max() < 1 / 32_000
