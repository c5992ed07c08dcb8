"""Small data sets in the published formats, as a folder or as a zip archive of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from published import Builder


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "data")
