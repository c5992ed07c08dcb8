"""LLaVA-Bench in the wild (Liu et al. 2023, arXiv 2304.08485): 60 open questions about 24 images.

questions.jsonl         question_id, image, category, text
answers_gpt4.jsonl      question_id, text: reference answers, written by GPT-4 from descriptions of the images
images/001.jpg          and so on
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wherelook.data.files import Files
from wherelook.data.readers.layout import Benchmark, Layout
from wherelook.data.row import Row
from wherelook.data.sample import Sample
from wherelook.data.tables import read_rows


def _answers(files: Files) -> dict[str, str]:
    rows = (row for name in files.find("answers_gpt4.jsonl") for row in read_rows(files, name))
    return {row.required_name("question_id"): row.required("text") for row in rows}


def _adjust(row: Row, sample: Sample, answers: Mapping[str, str]) -> Sample:
    number = row.required_name("question_id")
    # A paragraph: the authors have a model compare the two.
    return replace(sample, references=(answers[number],) if number in answers else (), judge="none")


BENCHMARK = Benchmark(
    name="LLaVA-Bench",
    tables=("questions.jsonl",),
    expected="questions.jsonl and the folder images",
    layout=Layout(id=("question_id",), image=("image",), question=("text",), kind=("category",)),
    adjust=_adjust,
    prepare=_answers,
)

read = BENCHMARK.read
"""Its samples; `kind` is the category, the reference a long text where there is one."""
