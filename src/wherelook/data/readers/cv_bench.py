"""CV-Bench (Tong et al. 2024, arXiv 2406.16860): counting, relations, depth and distance, with options.

test.parquet, test_2d.parquet and test_3d.parquet, or the same as .jsonl with the images in img/2D and img/3D. Columns:
idx, type, task, image, question, choices, answer ("(A)"), filename, bbox and others. bbox has the boxes of the objects
that are named, as (x0, y0, x1, y1) in pixels; their order is not that of the colors in the question.
"""

from __future__ import annotations

from dataclasses import replace

from wherelook.data.files import Files
from wherelook.data.readers.layout import Benchmark, Layout
from wherelook.data.row import Row
from wherelook.data.sample import Sample
from wherelook.data.sources import Boxes


def _adjust(row: Row, sample: Sample, _: Files) -> Sample:
    row.required("answer")
    boxes = row.boxes("bbox")
    return replace(sample, id=row.required_name("idx"), evidence=Boxes(boxes) if boxes else None)


BENCHMARK = Benchmark(
    name="CV-Bench",
    tables=("test.parquet", "test_?d.parquet", "test-*.parquet", "data/test-*.parquet", "test.jsonl", "test_?d.jsonl"),
    expected="test.parquet, or test.jsonl and the folder img",
    layout=Layout(id=("idx",), image=("image", "filename"), folders=("",), kind=("task",), extra=("bbox",)),
    adjust=_adjust,
)

read = BENCHMARK.read
"""Its samples; `kind` is the task."""
