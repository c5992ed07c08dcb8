"""RealWorldQA (xAI 2024): photographs from everyday life and traffic, with options or a short answer.

test-*.parquet (the hub: image, question, answer; options and how to answer are inside the question), or
RealWorldQA.tsv (VLMEvalKit: options in columns A to D).
"""

from __future__ import annotations

from dataclasses import replace

from wherelook.data.files import Files
from wherelook.data.readers.layout import Benchmark, Layout, without_options
from wherelook.data.readers.options import INSTRUCTION
from wherelook.data.row import Row
from wherelook.data.sample import Sample


def _adjust(row: Row, sample: Sample, _: Files) -> Sample:
    """Options that are inside the question are taken out; without options the answer is a word or a number."""
    sample = without_options(row, sample)
    if sample.choices:
        return sample
    lines = sample.question.rstrip().split("\n")
    kept = "\n".join(line for line in lines if not line.strip() or not INSTRUCTION.match(line))
    return replace(sample, question=kept, prompt="short")


BENCHMARK = Benchmark(
    name="RealWorldQA",
    tables=("RealWorldQA*.tsv", "test-*.parquet", "data/test-*.parquet", "*realworldqa*.parquet"),
    expected="RealWorldQA.tsv or test-*.parquet",
    layout=Layout(),
    adjust=_adjust,
)

read = BENCHMARK.read
"""Its samples."""
