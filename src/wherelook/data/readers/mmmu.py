"""MMMU (Yue et al. 2024, arXiv 2311.16502): questions of college exams, some about several images.

validation-*.parquet, of one subject or in a folder for each. Columns: id, question, options (a list of Python, written
as text), answer (a letter, or of open questions a text or a list), question_type, image_1 to image_7, subfield. In the
question "<image 1>" and so on say which image is meant. Or MMMU_DEV_VAL.tsv (VLMEvalKit: options in columns A to D).
The answers of the test set are "?".
"""

from __future__ import annotations

from dataclasses import replace

from wherelook.data.files import Files
from wherelook.data.readers.layout import Benchmark, Layout, pick
from wherelook.data.row import Row
from wherelook.data.sample import Sample

PARTS = ("validation-*.parquet", "dev-*.parquet", "test-*.parquet")


def _adjust(row: Row, sample: Sample, _: Files) -> Sample:
    """Without options it is an open question: a word or a phrase is asked for."""
    subject = sample.id.rpartition("_")[0].partition("_")[2]
    kind = subject or row.name(pick(row, ("subfield", "category"))) or ""
    return replace(sample, kind=kind, prompt=None if sample.choices else "short")


BENCHMARK = Benchmark(
    name="MMMU",
    tables=("MMMU*.tsv", *(f"{folder}{part}" for part in PARTS for folder in ("", "data/", "*/"))),
    expected="validation-*.parquet, also in a folder for each subject, or MMMU_DEV_VAL.tsv",
    layout=Layout(
        id=("id", "index"),
        image=("image_1", "image_2", "image_3", "image_4", "image_5", "image_6", "image_7", "image"),
        kind=("subfield", "category"),
        extra=("question_type", "subfield"),
    ),
    adjust=_adjust,
)

read = BENCHMARK.read
"""Its samples; `kind` is the subject. Of several images `Sample.images` has each."""
