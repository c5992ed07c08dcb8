"""The data sets that can be read, and `read_samples`: one sample after another of any of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from wherelook.data.circular import rotations
from wherelook.data.readers import (
    cv_bench,
    gqa,
    hub,
    llava_bench,
    mmstar,
    mmvp,
    paper,
    pope,
    refcoco,
    scenes,
    table,
    textvqa,
    vqa_hat,
)
from wherelook.data.rows import TABLES
from wherelook.data.sample import PROMPT_STYLES, PromptStyle, Sample, prompt_style, prompt_text
from wherelook.data.scenes.files import QUESTIONS_FILE
from wherelook.errors import InputError, WherelookError

__all__ = [
    "DATASETS",
    "PROMPT_STYLES",
    "Dataset",
    "PromptStyle",
    "Sample",
    "prompt_style",
    "prompt_text",
    "read_samples",
]

Columns = Mapping[str, str]


@dataclass(frozen=True)
class Dataset:
    """A data set or a format of them.

    Attributes:
        read: samples of a path and named columns; for drawn scenes both are empty.
        summary: what it asks about.
        files: what is expected at the path; "-" where there is no path.
        evidence: what is known about where to look.
        license: of the data, as its publisher states it.
        source: where it comes from.
        columns: whether columns can be named.
        path: whether it needs one.
        prompt: how its authors put a question; None where the sample tells: see `Sample.prompt`.
        judge: how its authors judge an answer; None where the sample tells: see `Sample.judge`.
    """

    read: Callable[[str, Columns], Iterator[Sample]]
    summary: str
    files: str
    evidence: str
    license: str
    source: str
    columns: bool = False
    path: Literal["needed", "optional", "none"] = "needed"
    prompt: PromptStyle | None = None
    judge: str | None = None


def _plain(read: Callable[[str], Iterator[Sample]]) -> Callable[[str, Columns], Iterator[Sample]]:
    """A reader of published files, whose columns are known."""
    return lambda path, _: read(path)


_COCO = "questions: see source; images: COCO's terms (Flickr)"

DATASETS: Mapping[str, Dataset] = {
    "scenes": Dataset(
        lambda path, _: scenes.read(path) if path else scenes.draw_reporting(),
        "drawn scenes with simple objects; alone: new ones as needed, never used for choosing anything",
        "nothing, or a folder of `wherelook scenes`", "exact masks", "Apache-2.0, made by this package",
        "wherelook.data.scenes", path="optional",
    ),
    "scenes-tuning": Dataset(
        lambda _path, _: scenes.draw_tuning(), "drawn scenes for choosing settings",
        "-", "exact masks", "Apache-2.0, made by this package", "wherelook.data.scenes", path="none",
    ),
    "things": Dataset(
        lambda _path, _: scenes.draw_reporting("things"), "drawn scenes of 64 animals, foods, vehicles and more",
        "-", "exact masks", "Apache-2.0; pictures: Noto Color Emoji, OFL 1.1", "wherelook.data.scenes", path="none",
    ),
    "things-tuning": Dataset(
        lambda _path, _: scenes.draw_tuning("things"), "the same for choosing settings",
        "-", "exact masks", "Apache-2.0; pictures: Noto Color Emoji, OFL 1.1", "wherelook.data.scenes", path="none",
    ),
    "mmvp": Dataset(
        _plain(mmvp.read), "150 pairs of images that look alike to CLIP, two options",
        "Questions.csv, MMVP Images/", "-", "MIT", "Tong et al. 2024, arXiv 2401.06209",
        prompt="choices", judge="option-letter",
    ),
    "cv-bench": Dataset(
        _plain(cv_bench.read), "counting, relations, depth and distance, with options",
        "test*.parquet, or test*.jsonl and img/", "boxes for some tasks", "Apache-2.0; images: ADE20K, COCO, Omni3D",
        "Tong et al. 2024, arXiv 2406.16860",
        prompt="choices", judge="option-letter",
    ),
    "mmstar": Dataset(
        _plain(mmstar.read), "1,500 questions that need the image, with options",
        "mmstar.parquet or MMStar.tsv", "-", "see source; drawn from six benchmarks",
        "Chen et al. 2024, arXiv 2403.20330",
        prompt="choices", judge="option-letter",
    ),
    "llava-bench": Dataset(
        _plain(llava_bench.read), "60 open questions about 24 images in the wild",
        "questions.jsonl, answers_gpt4.jsonl, images/", "-", "see source", "Liu et al. 2023, arXiv 2304.08485",
        prompt="open", judge="none",
    ),
    "paper": Dataset(
        _plain(paper.read), "the question set of the paper on where LVLMs look",
        "a .jsonl, .json, .csv or .parquet file", "-", "see source", "arXiv 2503.13891",
    ),
    "pope": Dataset(
        _plain(pope.read), "is an object there? yes or no; random, popular and adversarial absent ones",
        "coco_pope_*.json, val2014/", "-", _COCO, "Li et al. 2023, arXiv 2305.10355",
        prompt="yes-no", judge="yes-no",
    ),
    "textvqa": Dataset(
        _plain(textvqa.read), "questions that need the text in an image, ten answers each",
        "TextVQA_0.5.1_*.json, train_images/", "-", "CC BY 4.0; images: OpenImages",
        "Singh et al. 2019, arXiv 1904.08920",
        prompt="short", judge="consensus",
    ),
    "gqa": Dataset(
        _plain(gqa.read), "questions made from scene graphs",
        "*_balanced_questions.json, *sceneGraphs.json, images/", "boxes", "CC BY 4.0; images: Visual Genome",
        "Hudson and Manning 2019, arXiv 1902.09506",
        prompt="short", judge="normalised",
    ),
    "refcoco": Dataset(
        _plain(refcoco.read), "phrases for one object of an image; also RefCOCO+ and RefCOCOg",
        "refs(unc).json, instances.json, train2014/; or *.parquet", "a box", _COCO, "Yu et al. 2016, arXiv 1608.00272",
    ),
    "vqa-hat": Dataset(
        _plain(vqa_hat.read), "questions of VQA v1 with maps of where people looked",
        "vqahat_*/*.png, *questions.json, *annotations.json, val2014/", "human maps", _COCO,
        "Das et al. 2016, arXiv 1606.05589",
        prompt="short", judge="consensus",
    ),
    "table": Dataset(
        table.read, "your own: image, question and what else you know",
        "a .csv, .tsv, .jsonl, .json or .parquet file", "masks, boxes or human maps, if given", "-", "you", True,
    ),
    "hub": Dataset(
        hub.read, "a data set of the Hugging Face hub, by name or folder; needs the package datasets",
        "a name, or a folder that datasets reads", "masks, boxes or human maps, if given", "see its card",
        "Hugging Face datasets", True,
    ),
}  # fmt: skip
"""By the name in NAME:PATH."""

DRAWN = tuple(name for name, dataset in DATASETS.items() if dataset.path != "needed")
"""Those that need no files."""

COLUMN = re.compile(r",(\w+)=([^,]*)$")

CIRCULAR = "circular"
"""The option that asks a question with options once for each rotation of them."""


def read_samples(dataset: str) -> Iterator[Sample]:
    """The samples of a data set, one after another; no image is read before it is asked for.

    Args:
        dataset: a name of `DRAWN`, such as "scenes" (drawn as needed); or NAME:PATH with a name of `DATASETS`; or the
            path of a table or of a folder of scenes alone. After a table or a data set of the hub columns can be
            named: "table:my.csv,image=picture,question=text". ",circular=true" after any asks a question with options
            once for each rotation of them, see `wherelook.data.circular`.

    Raises:
        InputError: there is no such data set.
        WherelookError: while reading: a row is broken, leads out of its folder, or has the id of another.
    """
    name, path, columns = _parse(dataset)
    circular = columns.pop(CIRCULAR, "false")
    if circular not in ("true", "false"):
        raise InputError(f"data set {dataset!r}: {CIRCULAR} is true or false; got {circular!r}")
    samples = DATASETS[name].read(path, columns)
    first = next(samples, None)  # what is wrong with the files is found before any work
    if first is None:
        raise InputError(f"data set {dataset!r} is empty")
    every: Iterable[Sample] = itertools.chain([first], samples)
    if circular == "true":
        every = rotations(every)
    return _distinct((_as_published(DATASETS[name], sample) for sample in every), dataset)


def _as_published(dataset: Dataset, sample: Sample) -> Sample:
    """The sample with the prompt and the judge of its dataset, where it has none of its own."""
    judge = None if dataset.judge == "option-letter" and not sample.choices else dataset.judge
    return replace(sample, prompt=sample.prompt or dataset.prompt, judge=sample.judge or judge)


def _parse(dataset: str) -> tuple[str, str, dict[str, str]]:
    """The name, the path and the columns by field."""
    rest, columns = dataset, {}
    while found := COLUMN.search(rest):
        columns[found[1]] = found[2]
        rest = rest[: found.start()]
    name, colon, path = rest.partition(":")
    if name not in DATASETS:
        name, path = _recognise(rest, dataset), rest
    elif DATASETS[name].path == ("none" if colon else "needed") or (colon and not path):
        expected = name if DATASETS[name].path == "none" else f"{name}:PATH"
        raise InputError(f"data set {dataset!r}: expected {expected}, with {DATASETS[name].files} at the path")
    if columns.keys() - {CIRCULAR} and not DATASETS[name].columns:
        raise InputError(f"data set {dataset!r}: only columns of table and hub can be named")
    return name, path, columns


def _recognise(path: str, dataset: str) -> str:
    """What lies at a path without a name."""
    if path and (Path(path) / QUESTIONS_FILE).is_file():
        return "scenes"
    if Path(path).suffix in TABLES and Path(path).is_file():
        return "table"
    others = ", ".join(name for name in DATASETS if name not in DRAWN)
    raise InputError(
        f"no data set {dataset!r}; valid: {', '.join(DRAWN)}, a folder of `wherelook scenes`, a table with image "
        f"and question ({', '.join(TABLES)}), or NAME:PATH with {others}"
    )


def _distinct(samples: Iterable[Sample], dataset: str) -> Iterator[Sample]:
    """The same samples; an id that comes twice is an error, for results are kept by it."""
    seen = set()
    for sample in samples:
        if hash(sample.id) in seen:
            raise WherelookError(f"{dataset}: two samples have the id {sample.id!r}; ids must differ")
        seen.add(hash(sample.id))
        yield sample
