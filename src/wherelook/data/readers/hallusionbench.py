"""HallusionBench (Guan et al. 2024, arXiv 2310.14566): yes or no, with figures that are altered, or without any.

HallusionBench.json: category, subcategory, visual_input, set_id, figure_id, question_id, question, gt_answer ("1" for
yes, "0" for no), filename ("./VD/illusion/0_0.png" in the folder hallusion_bench; null where visual_input is "0").
Or image-*.parquet and non_image-*.parquet (lmms-eval, the same columns and image), or HallusionBench.tsv (VLMEvalKit).
"""

from __future__ import annotations

from dataclasses import replace

from wherelook.data.files import Files
from wherelook.data.readers.layout import Benchmark, Layout
from wherelook.data.row import Row
from wherelook.data.sample import Sample
from wherelook.data.sources import NoImage
from wherelook.errors import WherelookError

ANSWERS = {"1": "yes", "0": "no", "yes": "yes", "no": "no"}
KEY = ("category", "subcategory", "set_id", "figure_id", "question_id")


def _adjust(row: Row, sample: Sample, _: Files) -> Sample:
    answer = ANSWERS.get((sample.reference or "").strip().lower())
    if sample.references and answer is None:
        raise WherelookError(f"{row.place}: the answer must be yes, no, 1 or 0, not {sample.reference!r:.100}")
    parts = [row.name(column) if column in row.values else None for column in KEY]
    without = row.name("visual_input") == "0" if "visual_input" in row.values else False
    named = all(part is not None for part in parts[2:])
    source = NoImage(f"{row.place}: no image (visual_input is 0)") if without else sample.source
    # A row without an image is never answered: in a group it would make the whole group wrong.
    grouped = named and not isinstance(source, NoImage)
    return replace(
        sample,
        source=source,
        id="-".join(part for part in parts if part) if named else sample.id,
        references=() if answer is None else (answer,),
        kind=" ".join(part for part in parts[:2] if part) or sample.kind,
        # The same question about the figure and its altered versions.
        group="-".join(part for part in (*parts[:3], parts[4]) if part) if grouped else None,
    )


BENCHMARK = Benchmark(
    name="HallusionBench",
    tables=(
        *("HallusionBench.json", "HallusionBench*.json", "HallusionBench*.tsv", "*image-*.parquet"),
        *("data/*image-*.parquet", "*image.parquet", "test-*.parquet", "data/test-*.parquet"),
    ),
    expected="HallusionBench.json and the folder hallusion_bench, *image-*.parquet, or HallusionBench.tsv",
    layout=Layout(
        image=("image", "filename"),
        folders=("hallusion_bench", "images", ""),
        answer=("gt_answer", "answer"),
        extra=(*KEY, "visual_input"),
    ),
    adjust=_adjust,
)

read = BENCHMARK.read
"""Its samples; `kind` is category and subcategory. A question without a figure is a sample whose image cannot be
loaded."""
