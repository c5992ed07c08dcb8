"""VizWiz (Gurari et al. 2018, arXiv 1802.08218): questions of blind people about their own photographs, ten answers.

val.json or Annotations/val.json: [{image, question, answers: [{answer, answer_confidence}], answer_type, answerable}],
images in val, train or test. Or val-*.parquet (lmms-eval), VizWiz.tsv (VLMEvalKit), or LLaVA's llava_test.jsonl, which
has no answers.
"""

from __future__ import annotations

from dataclasses import replace

from wherelook.data.files import Files
from wherelook.data.readers.layout import Benchmark, Layout
from wherelook.data.readers.textvqa import grouped
from wherelook.data.row import Row
from wherelook.data.sample import Sample


def _adjust(row: Row, sample: Sample, _: Files) -> Sample:
    """Equal answers next to each other and the most frequent first; named by the image where there is no id."""
    image = row.values.get("image")
    own = row.name("question_id") if "question_id" in row.values else None
    return replace(
        sample,
        id=own or (image if isinstance(image, str) and "." in image else sample.id),
        references=grouped(sample.references),
    )


BENCHMARK = Benchmark(
    name="VizWiz",
    tables=(
        *("val.json", "Annotations/val.json", "annotations/val.json", "*izWiz*.tsv", "val-*.parquet"),
        *("data/val-*.parquet", "*izwiz*.json", "llava_test.jsonl", "test.json", "train.json"),
    ),
    expected="val.json and the folder val, val-*.parquet, or VizWiz.tsv",
    layout=Layout(
        folders=("val", "train", "test", "images", "val/val", ""),
        answer=("answers", "answer"),
        kind=("answer_type", "category"),
    ),
    adjust=_adjust,
)

read = BENCHMARK.read
"""Its samples; `kind` is the type of the answer, all answers are references."""
