"""AI2D (Kembhavi et al. 2016, arXiv 1603.07396): questions about diagrams of science at school, with four options.

test-*.parquet (lmms-eval: question, options, answer, image; the answer is the number of the option, from 0, as text),
or AI2D_TEST.tsv (VLMEvalKit: options in columns A to D, the answer a letter).
"""

from __future__ import annotations

from wherelook.data.readers.layout import Benchmark, Layout

BENCHMARK = Benchmark(
    "AI2D",
    ("AI2D*.tsv", "test-*.parquet", "data/test-*.parquet", "*ai2d*.parquet"),
    "AI2D_TEST.tsv or test-*.parquet",
    Layout(listed="index"),
)

read = BENCHMARK.read
"""Its samples."""
