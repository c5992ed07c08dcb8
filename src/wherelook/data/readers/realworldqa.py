"""RealWorldQA (xAI 2024): photographs from everyday life and traffic, with options or a short answer.

test-*.parquet (the hub: image, question, answer; options and how to answer are inside the question), or
RealWorldQA.tsv (VLMEvalKit: options in columns A to D).
"""

from __future__ import annotations

from dataclasses import replace

from wherelook.data.readers.answers import by_letter, named_option
from wherelook.data.readers.layout import Benchmark, Layout
from wherelook.data.readers.options import INSTRUCTION, choice_flags, split_lines
from wherelook.data.row import Row
from wherelook.data.sample import Sample


def _adjust(row: Row, sample: Sample) -> Sample:
    """Options that are inside the question are taken out; without options the answer is a word or a number."""
    question, choices = (sample.question, sample.choices) if sample.choices else split_lines(sample.question)
    if not choices:
        lines = question.rstrip().split("\n")
        kept = "\n".join(line for line in lines if not line.strip() or not INSTRUCTION.match(line))
        return replace(sample, question=kept, prompt="short")
    references = sample.references
    if not sample.choices:
        references = tuple(named_option(text, by_letter(choices), "letter", row.place) for text in references)
    return replace(sample, question=question, choices=choices, references=references, flags=choice_flags(choices))


BENCHMARK = Benchmark(
    name="RealWorldQA",
    tables=("RealWorldQA*.tsv", "test-*.parquet", "data/test-*.parquet", "*realworldqa*.parquet"),
    expected="RealWorldQA.tsv or test-*.parquet",
    layout=Layout(),
    adjust=_adjust,
)

read = BENCHMARK.read
"""Its samples."""
