"""docs/captum.md: what another attribution library needs of a score, without one.

captum itself is not installed here; `integrate` asks of the function what its IntegratedGradients does: batches of
scaled inputs with a gradient by autograd.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from wherelook.check import test_picture as make_picture

PAGE = Path(__file__).parents[2] / "docs" / "captum.md"


def integrate(function: Callable[[Tensor], Tensor], inputs: Tensor, baselines: Tensor, steps: int) -> Tensor:
    """Integrated gradients by the midpoint rule, a batch of two at a time."""
    total = torch.zeros_like(inputs)
    places = (torch.arange(steps) + 0.5) / steps
    for pair in places.split(2):
        scaled = (baselines + pair[:, None, None, None] * (inputs - baselines)).requires_grad_()
        (gradients,) = torch.autograd.grad(function(scaled).sum(), scaled)
        total += gradients.sum(dim=0, keepdim=True) / steps
    return total * (inputs - baselines)


def test_the_three_lines_of_the_page_explain_an_answer_by_any_function_of_a_tensor(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_picture((64, 64)).save("scene.png")
    first = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert first is not None
    names: dict[str, object] = {}
    exec(first[1], names)  # the page's own lines
    score, function = names["score"], names["log_likelihood"]
    ones = torch.ones(1, 1, 5, 5)
    ends = function(torch.cat([ones, torch.zeros_like(ones)]))
    torch.testing.assert_close(ends, torch.stack([score.original.sum(), score.baseline.sum()]), atol=1e-4, rtol=0)
    found = integrate(function, ones, torch.zeros_like(ones), 16)
    assert found.shape == ones.shape
    gap = float(ends[0] - ends[1])
    assert float(found.sum()) == pytest.approx(gap, abs=0.15 * abs(gap) + 0.02)
    _, ours = score.gradient(0.5 * ones[:, 0])
    leaf = (0.5 * ones).requires_grad_()
    (theirs,) = torch.autograd.grad(function(leaf).sum(), leaf)
    torch.testing.assert_close(theirs[:, 0], ours, atol=1e-4, rtol=1e-3)
