"""Maps against a known region, by brute force and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from wherelook.errors import InputError
from wherelook.metrics import METRICS, attended_region, energy, focus_box, peak, pointing, roc_area


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def upsampled(saliency: Tensor, size: tuple[int, int]) -> np.ndarray:
    return functional.interpolate(saliency[None, None].double(), size=size, mode="bilinear")[0, 0].numpy()


# ---- peak and pointing ----


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({(0, 0): 1.0}, (10.0, 5.0)),
        ({(3, 4): 1.0}, (90.0, 35.0)),
        ({(1, 1): 1.0, (1, 2): 1.0, (1, 3): 1.0}, (50.0, 15.0)),  # the middle of a plateau
        ({(0, 0): 1.0, (3, 1): 1.0, (3, 2): 1.0, (3, 3): 1.0}, (10.0, 5.0)),  # of the first plateau only
        ({(2, 2): 1.0, (2, 3): 0.94}, (50.0, 25.0)),  # below 95 %: not of the plateau
        # A bent plateau: the middle lies off it, its nearest cell does not.
        ({(0, 0): 1, (1, 0): 1, (2, 0): 1, (3, 0): 1, (3, 1): 1, (3, 2): 1, (3, 3): 1}, (10.0, 25.0)),
    ],
)
def test_peak_on_an_image_of_40_x_100(cells, expected):
    saliency = torch.zeros(4, 5)
    for place, value in cells.items():
        saliency[place] = value
    assert peak(saliency, (40, 100)) == expected


def test_a_flat_map_points_at_the_middle():
    assert peak(torch.zeros(3, 3), (30, 60)) == (30.0, 15.0)
    assert peak(torch.ones(3, 3), (30, 60)) == (30.0, 15.0)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 50), st.integers(1, 50), st.integers(0, 99))
def test_the_peak_is_in_the_image_and_on_the_plateau(rows, columns, height, width, seed):
    saliency = torch.rand(rows, columns, generator=seeded(seed))
    x, y = peak(saliency, (height, width))
    assert 0 < x < width
    assert 0 < y < height
    assert saliency[int(y * rows / height), int(x * columns / width)] >= 0.95 * saliency.max()


def test_pointing_reads_the_truth_at_the_peak():
    saliency = torch.zeros(4, 5)
    saliency[1, 3] = 1.0  # 60 to 80, 10 to 20
    truth = np.zeros((40, 100), bool)
    truth[10:20, 60:80] = True
    assert pointing(saliency, truth) == 1.0
    assert pointing(saliency, ~truth) == 0.0
    assert pointing(saliency, np.ascontiguousarray(truth[:, ::-1])) == 0.0


# ---- energy ----


def test_energy_of_a_flat_map_is_the_regions_share():
    truth = np.zeros((30, 50), bool)
    truth[5:15, 10:40] = True
    assert energy(torch.full((6, 7), 0.3), truth) == pytest.approx(truth.mean())


def test_energy_of_extremes():
    truth = np.zeros((8, 8), bool)
    truth[:, :4] = True
    inside = torch.zeros(8, 8)
    inside[:, :3] = 1
    assert energy(inside, truth) == 1.0
    assert energy(inside, ~truth) == 0.0
    assert energy(torch.zeros(8, 8), truth) == 0.0


@given(st.integers(0, 999))
def test_energy_by_brute_force(seed):
    saliency = torch.rand(3, 5, generator=seeded(seed))
    truth = (torch.rand(17, 23, generator=seeded(seed + 1)) > 0.7).numpy()
    truth[0, 0] = True
    values = upsampled(saliency, (17, 23))
    expected = sum(values[y, x] for y in range(17) for x in range(23) if truth[y, x]) / values.sum()
    assert energy(saliency, truth) == pytest.approx(expected)


# ---- ROC area ----


@given(st.integers(0, 999), st.integers(1, 4))
def test_roc_area_counts_pairs_with_ties_half(seed, levels):
    """Against every pair of a pixel on the region and one off it; few levels, so that many tie."""
    saliency = torch.randint(0, levels + 1, (7, 6), generator=seeded(seed)).float()
    truth = (torch.rand(7, 6, generator=seeded(seed + 1)) > 0.6).numpy()
    truth[0, :2] = True, False
    values = saliency.numpy()
    inside, outside = values[truth][:, None], values[~truth][None, :]
    expected = ((inside > outside) + 0.5 * (inside == outside)).mean()
    assert roc_area(saliency, truth) == pytest.approx(expected)


def test_roc_area_of_extremes():
    truth = np.zeros((6, 6), bool)
    truth[:2] = True
    perfect = torch.from_numpy(truth.astype(np.float32))
    assert roc_area(perfect, truth) == 1.0
    assert roc_area(1 - perfect, truth) == 0.0
    assert roc_area(torch.zeros(6, 6), truth) == 0.5
    assert roc_area(perfect, np.ones((6, 6), bool)) is None


# ---- focus box ----


def test_focus_box_surrounds_what_touches_the_peak():
    saliency = torch.zeros(4, 5)
    saliency[1, 1:4] = torch.tensor([0.5, 1.0, 0.7])
    saliency[2, 1] = 0.6
    saliency[2, 2] = 0.49  # too weak
    saliency[0, 4] = 0.9  # touches only by a corner
    assert focus_box(saliency, (40, 100)) == (20, 10, 80, 30)
    assert focus_box(saliency, (40, 100), share=0.65) == (40, 10, 80, 20)


@pytest.mark.parametrize(("cells", "side"), [(7, 29), (28, 116), (28, 1001), (49, 50)])
def test_the_focus_box_of_a_flat_map_is_the_image(cells, side):
    """Cells of a size that floating point cannot hold must not push the box over the edge."""
    assert focus_box(torch.ones(cells, cells), (side, side)) == (0, 0, side, side)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60), st.integers(0, 99))
def test_focus_box_is_whole_pixels_inside_the_image(rows, columns, height, width, seed):
    x0, y0, x1, y1 = focus_box(torch.rand(rows, columns, generator=seeded(seed)), (height, width))
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height


# ---- where people looked ----


def test_the_attended_region_is_the_smallest_with_half_of_it():
    attention = np.array([[0, 5, 2], [1, 1, 1]], np.float32)
    assert attended_region(attention).tolist() == [[False, True, False], [False] * 3]
    assert attended_region(attention, share=0.51).tolist() == [[False, True, True], [False] * 3]
    assert attended_region(attention, share=0.8).tolist() == [[False, True, True], [True] * 3]  # ties go together
    assert attended_region(np.full((3, 3), 0.2, np.float32)).all()


@given(st.integers(0, 999), st.floats(0.05, 1))
def test_no_smaller_region_holds_as_much(seed, share):
    attention = torch.rand(9, 7, generator=seeded(seed)).numpy()
    region = attended_region(attention, share=share)
    held = attention[region].sum(dtype=np.float64) / attention.sum(dtype=np.float64)
    assert held >= share - 1e-9
    assert held - attention[region].min() / attention.sum(dtype=np.float64) < share + 1e-9


@pytest.mark.parametrize("value", [0.0, -0.1, np.nan])
def test_attention_that_is_none_is_refused(value):
    with pytest.raises(InputError, match="finite values, none of them negative and at least one above 0"):
        attended_region(np.full((4, 4), value, np.float32))


# ---- what is refused ----


@pytest.mark.parametrize("measure", [pointing, energy, roc_area])
@pytest.mark.parametrize("truth", [np.zeros((4, 4), bool), np.ones((2, 4, 4), bool)])
def test_a_truth_without_a_region_is_refused(measure, truth):
    with pytest.raises(InputError, match="boolean array"):
        measure(torch.rand(4, 4, generator=seeded(0)), truth)


def test_localization_metrics_are_listed_as_needing_the_truth():
    assert {name for name, metric in METRICS.items() if "ground-truth" in metric.needs} == {
        "pointing", "energy", "roc_area",
    }  # fmt: skip
