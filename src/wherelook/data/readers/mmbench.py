"""MMBench (Liu et al. 2023, arXiv 2307.06281): questions with up to four options, about perception and reasoning.

MMBench_DEV_EN.tsv and its like (VLMEvalKit; images in base64, or the index of the row whose image it is), or
dev-*.parquet (lmms-eval). Columns: index, question, hint, A, B, C, D, answer (a letter), category, image. What is
missing is empty or "nan". Test sets have no answers.
"""

from __future__ import annotations

from wherelook.data.readers.layout import Benchmark, Layout

BENCHMARK = Benchmark(
    "MMBench",
    (
        *("*MMBench*.tsv", "*mmbench*.tsv", "dev-*.parquet", "data/dev-*.parquet", "en/dev-*.parquet"),
        *("test-*.parquet", "data/test-*.parquet", "*mmbench*.parquet"),
    ),
    "MMBench_DEV_EN.tsv or dev-*.parquet",
    Layout(hint=("hint",)),
)

read = BENCHMARK.read
"""Its samples; `kind` is the category. A hint stands before its question, as LLaVA's authors put it."""
