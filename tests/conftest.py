"""For all tests: no network, one thread, shapes and types checked at run time, global random state left alone."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import hypothesis
import jaxtyping
import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook
from markupsafe import Markup

import typechecker
from torchvision_stub import enable_torchvision

enable_torchvision()  # before transformers is imported, which decides then what it can use
torch.set_num_threads(1)  # pytest-xdist runs one process per core

# Every annotated function and dataclass of the package checks its arguments and results, tensor shapes included.
jaxtyping.jaxtyped = typechecker.jaxtyped
install_import_hook("wherelook", "typechecker.check")

hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, max_examples=25, database=None)
hypothesis.settings.load_profile("tests")


def pytest_collection_finish() -> None:
    """What the imports made stays: looking through it again and again for garbage took five percent of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _bfloat16_does_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers on every processor."""
    monkeypatch.setattr("wherelook.models.huggingface.loading.bfloat16_pays", lambda: False)


@pytest.fixture(autouse=True)
def _global_random_state_is_left_alone() -> Iterator[None]:
    """Nothing in the package may draw from, or seed, the random state that belongs to the user."""
    before, before_torch = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - it is what we watch
    yield
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(first, second) for first, second in zip(before, after, strict=True))
    assert torch.equal(torch.get_rng_state(), before_torch)


@pytest.fixture
def _as_users_run_it() -> Iterator[None]:
    """Without the runtime type checks of the tests, which would be faster than the package's own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots say that they are plots: for pages and files whose content does not matter."""
    for name in ("report.files.to_svg", "report.files.to_pdf"):
        monkeypatch.setattr(f"wherelook.{name}", lambda *_: b"a plot")
    for name in ("report.methods_page.inline", "report.models_page.inline", "explanation.page.inline"):
        monkeypatch.setattr(f"wherelook.{name}", lambda *_: Markup("a plot"))
