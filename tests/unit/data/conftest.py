"""Small data sets in the published formats, as a folder or as a zip archive of it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


class Builder:
    """Writes the files of a data set."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()

    def image(self, name: str, color: tuple[int, int, int] = (200, 30, 40), size: tuple[int, int] = (6, 8)) -> None:
        """A plain image of (height, width)."""
        self.bytes(name, self.picture(color, size))

    @staticmethod
    def picture(color: tuple[int, int, int] = (200, 30, 40), size: tuple[int, int] = (6, 8)) -> bytes:
        """A plain PNG of (height, width)."""
        stream = io.BytesIO()
        Image.new("RGB", (size[1], size[0]), color).save(stream, "PNG")
        return stream.getvalue()

    def gray(self, name: str, values: np.ndarray) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(self.root / name)

    def bytes(self, name: str, data: bytes) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_bytes(data)

    def text(self, name: str, text: str) -> None:
        self.bytes(name, text.encode())

    def json(self, name: str, value: object) -> None:
        self.text(name, json.dumps(value))

    def lines(self, name: str, *rows: object) -> None:
        self.text(name, "".join(json.dumps(row) + "\n" for row in rows))

    def parquet(self, name: str, rows: list[dict[str, object]]) -> None:
        import pyarrow
        from pyarrow import parquet

        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.Table.from_pylist(rows), self.root / name)

    def zip(self, top: str = "") -> Path:
        """All files in an archive, below a folder."""
        path = self.root.with_suffix(".zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(self.root.rglob("*")):
                if file.is_file():
                    archive.write(file, f"{top}{file.relative_to(self.root).as_posix()}")
        return path


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "data")
