"""The data sets that can be read, and `read_samples`: one sample after another of any of them."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from wherelook.arguments import expected
from wherelook.data.circular import rotations
from wherelook.data.files import Location, is_file
from wherelook.data.readers import (
    ai2d,
    amber,
    cv_bench,
    gqa,
    hallusionbench,
    hub,
    llava_bench,
    mmbench,
    mme,
    mmmu,
    mmstar,
    mmvp,
    paper,
    pope,
    realworldqa,
    refcoco,
    scenes,
    scienceqa,
    table,
    textvqa,
    vizwiz,
    vqa_hat,
    vstar,
)
from wherelook.data.sample import (
    BROKEN_ROW,
    PROMPT_STYLES,
    REPEATED_ID,
    PromptStyle,
    Sample,
    prompt_style,
    prompt_text,
    same_text,
)
from wherelook.data.scenes.files import QUESTIONS_FILE
from wherelook.data.tables import TABLES
from wherelook.errors import InputError, WherelookError
from wherelook.registry import Registry, check_call, first_line

__all__ = [
    "DATASETS",
    "PROMPT_STYLES",
    "Dataset",
    "PromptStyle",
    "Sample",
    "prompt_style",
    "prompt_text",
    "read_samples",
    "same_text",
]

Columns = Mapping[str, str]


@dataclass(frozen=True)
class Dataset:
    """A data set or a format of them.

    Attributes:
        read: samples of a place and named columns; for drawn scenes both are empty.
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

    read: Callable[[Location, Columns], Iterator[Sample]]
    summary: str
    files: str
    evidence: str
    license: str
    source: str
    columns: bool = False
    path: Literal["needed", "optional", "none"] = "needed"
    prompt: PromptStyle | None = None
    judge: str | None = None


def _plain(read: Callable[[Location], Iterator[Sample]]) -> Callable[[Location, Columns], Iterator[Sample]]:
    """A reader of published files, whose columns are known."""
    return lambda where, _: read(where)


_COCO = "questions: see source; images: COCO's terms (Flickr)"


def _drawn(columns: Columns) -> Iterator[Sample]:
    if columns:
        raise InputError(f"the dataset 'scenes' without a folder has no options; got {sorted(columns)[0]!r}")
    return scenes.draw_reporting()


_OURS: Mapping[str, Dataset] = {
    "scenes": Dataset(
        read=lambda where, columns: scenes.read(where.path, columns) if where.path else _drawn(columns),
        summary="drawn scenes with simple objects; alone: new ones as needed, never used for choosing anything",
        files="nothing, or a folder of `wherelook scenes` (,kinds=A+B or all)",
        evidence="exact masks",
        license="Apache-2.0, made by this package",
        source="wherelook.data.scenes",
        columns=True,
        path="optional",
    ),
    "scenes-tuning": Dataset(
        read=lambda _path, _: scenes.draw_tuning(),
        summary="drawn scenes for choosing settings",
        files="-",
        evidence="exact masks",
        license="Apache-2.0, made by this package",
        source="wherelook.data.scenes",
        path="none",
    ),
    "things": Dataset(
        read=lambda _path, _: scenes.draw_reporting("things"),
        summary="drawn scenes of 64 animals, foods, vehicles and more",
        files="-",
        evidence="exact masks",
        license="Apache-2.0; pictures: Noto Color Emoji, OFL 1.1",
        source="wherelook.data.scenes",
        path="none",
    ),
    "things-tuning": Dataset(
        read=lambda _path, _: scenes.draw_tuning("things"),
        summary="the same for choosing settings",
        files="-",
        evidence="exact masks",
        license="Apache-2.0; pictures: Noto Color Emoji, OFL 1.1",
        source="wherelook.data.scenes",
        path="none",
    ),
    "mmvp": Dataset(
        read=_plain(mmvp.read),
        summary="150 pairs of images that look alike to CLIP, two options",
        files="Questions.csv, MMVP Images/",
        evidence="-",
        license="MIT",
        source="Tong et al. 2024, arXiv 2401.06209",
        prompt="choices",
        judge="option-letter",
    ),
    "cv-bench": Dataset(
        read=_plain(cv_bench.read),
        summary="counting, relations, depth and distance, with options",
        files="test*.parquet, or test*.jsonl and img/",
        evidence="boxes for some tasks",
        license="Apache-2.0; images: ADE20K, COCO, Omni3D",
        source="Tong et al. 2024, arXiv 2406.16860",
        prompt="choices",
        judge="option-letter",
    ),
    "mmstar": Dataset(
        read=_plain(mmstar.read),
        summary="1,500 questions that need the image, with options",
        files="mmstar.parquet or MMStar.tsv",
        evidence="-",
        license="see source; drawn from six benchmarks",
        source="Chen et al. 2024, arXiv 2403.20330",
        prompt="choices",
        judge="option-letter",
    ),
    "llava-bench": Dataset(
        read=_plain(llava_bench.read),
        summary="60 open questions about 24 images in the wild",
        files="questions.jsonl, answers_gpt4.jsonl, images/",
        evidence="-",
        license="see source",
        source="Liu et al. 2023, arXiv 2304.08485",
        prompt="open",
        judge="none",
    ),
    "paper": Dataset(
        read=_plain(paper.read),
        summary="the question set of the paper on where LVLMs look",
        files="a .jsonl, .json, .csv or .parquet file",
        evidence="-",
        license="see source",
        source="arXiv 2503.13891",
    ),
    "pope": Dataset(
        read=_plain(pope.read),
        summary="is an object there? yes or no; random, popular and adversarial absent ones",
        files="coco_pope_*.json or llava_pope_test.jsonl, val2014/; or Parquet, TSV",
        evidence="-",
        license=_COCO,
        source="Li et al. 2023, arXiv 2305.10355",
        prompt="yes-no",
        judge="yes-no",
    ),
    "textvqa": Dataset(
        read=_plain(textvqa.read),
        summary="questions that need the text in an image, ten answers each",
        files="TextVQA_0.5.1_*.json, train_images/; or Parquet, TSV",
        evidence="-",
        license="CC BY 4.0; images: OpenImages",
        source="Singh et al. 2019, arXiv 1904.08920",
        prompt="short",
        judge="consensus",
    ),
    "gqa": Dataset(
        read=_plain(gqa.read),
        summary="questions made from scene graphs",
        files="*_balanced_questions.json, *sceneGraphs.json, images/; or TSV",
        evidence="boxes",
        license="CC BY 4.0; images: Visual Genome",
        source="Hudson and Manning 2019, arXiv 1902.09506",
        prompt="short",
        judge="normalized",
    ),
    "refcoco": Dataset(
        read=_plain(refcoco.read),
        summary="phrases for one object of an image; also RefCOCO+ and RefCOCOg",
        files="refs(unc).json, instances.json, train2014/; or *.parquet",
        evidence="a box",
        license=_COCO,
        source="Yu et al. 2016, arXiv 1608.00272",
    ),
    "vqa-hat": Dataset(
        read=_plain(vqa_hat.read),
        summary="questions of VQA v1 with maps of where people looked",
        files="vqahat_*/*.png, *questions.json, *annotations.json, val2014/",
        evidence="human maps",
        license=_COCO,
        source="Das et al. 2016, arXiv 1606.05589",
        prompt="short",
        judge="consensus",
    ),
    "mmbench": Dataset(
        read=_plain(mmbench.read),
        summary="perception and reasoning, up to four options",
        files="MMBench_DEV_EN.tsv or dev-*.parquet",
        evidence="-",
        license="Apache-2.0; images: see source",
        source="Liu et al. 2023, arXiv 2307.06281",
        prompt="choices",
        judge="option-letter",
    ),
    "mmmu": Dataset(
        read=_plain(mmmu.read),
        summary="questions of college exams, some about several images",
        files="validation-*.parquet, also in a folder for each subject; or MMMU_DEV_VAL.tsv",
        evidence="-",
        license="Apache-2.0; see source",
        source="Yue et al. 2024, arXiv 2311.16502",
        prompt="choices",
        judge="option-letter",
    ),
    "scienceqa": Dataset(
        read=_plain(scienceqa.read),
        summary="science at school, with options; half of it without an image",
        files="test-*.parquet, problems.json, llava_test_CQM-A.json, or ScienceQA_TEST.tsv",
        evidence="-",
        license="CC BY-NC-SA 4.0",
        source="Lu et al. 2022, arXiv 2209.09513",
        prompt="choices",
        judge="option-letter",
    ),
    "ai2d": Dataset(
        read=_plain(ai2d.read),
        summary="diagrams of science at school, four options",
        files="test-*.parquet or AI2D_TEST.tsv",
        evidence="-",
        license="see source",
        source="Kembhavi et al. 2016, arXiv 1603.07396",
        prompt="choices",
        judge="option-letter",
    ),
    "realworldqa": Dataset(
        read=_plain(realworldqa.read),
        summary="photographs from everyday life and traffic; options, or a short answer",
        files="test-*.parquet or RealWorldQA.tsv",
        evidence="-",
        license="CC BY-ND 4.0",
        source="xAI 2024",
        prompt="choices",
        judge="option-letter",
    ),
    "vstar": Dataset(
        read=_plain(vstar.read),
        summary="V*Bench: small things in large photographs, with options",
        files="test_questions.jsonl and its folders of images; or Parquet",
        evidence="boxes",
        license="see source; images: SA-1B",
        source="Wu and Xie 2024, arXiv 2312.14135",
        prompt="choices",
        judge="option-letter",
    ),
    "mme": Dataset(
        read=_plain(mme.read),
        summary="fourteen tasks, two questions about each image, yes or no",
        files="the folders of its tasks, test-*.parquet, or MME.tsv",
        evidence="-",
        license="see source",
        source="Fu et al. 2023, arXiv 2306.13394",
        prompt="yes-no",
        judge="yes-no",
    ),
    "hallusionbench": Dataset(
        read=_plain(hallusionbench.read),
        summary="yes or no, with figures that are altered, or without any",
        files="HallusionBench.json and hallusion_bench/, *image-*.parquet, or HallusionBench.tsv",
        evidence="-",
        license="BSD-3-Clause",
        source="Guan et al. 2024, arXiv 2310.14566",
        prompt="yes-no",
        judge="yes-no",
    ),
    "amber": Dataset(
        read=_plain(amber.read),
        summary="existence, attributes and relations, yes or no; and descriptions",
        files="query_all.json, annotations.json, image/",
        evidence="-",
        license="Apache-2.0",
        source="Wang et al. 2023, arXiv 2311.07397",
        prompt="yes-no",
        judge="yes-no",
    ),
    "vizwiz": Dataset(
        read=_plain(vizwiz.read),
        summary="blind people's questions about their photographs, ten answers each",
        files="val.json and val/, val-*.parquet, or VizWiz.tsv",
        evidence="-",
        license="CC BY 4.0",
        source="Gurari et al. 2018, arXiv 1802.08218",
        prompt="vizwiz",
        judge="consensus",
    ),
    "table": Dataset(
        read=table.read,
        summary="your own: image, question and what else you know",
        files="a .csv, .tsv, .jsonl, .json or .parquet file",
        evidence="masks, boxes or human maps, if given",
        license="-",
        source="you",
        columns=True,
    ),
    "hub": Dataset(
        read=hub.read,
        summary="a data set of the Hugging Face hub, by name or folder; needs the package datasets",
        files="a name, or a folder that datasets reads",
        evidence="masks, boxes or human maps, if given",
        license="see its card",
        source="Hugging Face datasets",
        columns=True,
    ),
}


def _dataset(name: str, found: Any) -> Dataset:
    if isinstance(found, Dataset):
        return found
    check_call("dataset", found, "(path)", "")
    return Dataset(
        read=lambda where, _: iter(found(where.path)),
        summary=first_line(found),
        files="what its package reads",
        evidence="see its package",
        license="see its package",
        source="another package",
        path="optional",
    )


DATASETS: Registry[Dataset] = Registry("dataset", "wherelook.datasets", _OURS, _dataset)
"""By the name in NAME:PATH. Other packages add theirs by an entry point of the group wherelook.datasets: a `Dataset` or
a function (path) -> samples, where the path is "" if none is given.
"""

DRAWN = tuple(name for name, dataset in _OURS.items() if dataset.path != "needed")
"""Those that need no files."""

COLUMN = re.compile(r",(\w+)=([^,]*)$")

CIRCULAR = "circular"
"""The option that asks a question with options once for each rotation of them."""

HEAD = 10
"""Rows at the beginning of which one at least must be a sample: else the files are not what they were taken for."""


def read_samples(dataset: str | Iterable[Sample]) -> Iterator[Sample]:
    """The samples of a data set, one after another; no image is read before it is asked for.

    A row that cannot be read is a sample too, flagged "broken row": loading its image tells what is wrong. So is a row
    without an image ("no image"). An id that comes again has "#2", "#3" and so on behind it.

    Args:
        dataset: a name of `DRAWN`, such as "scenes" (drawn as needed); or NAME:PATH with a name of `DATASETS`; or the
            path of a table or of a folder of scenes alone. After it options may follow: ",images=DIR" for a folder or
            zip archive of the images; after a table or a data set of the hub columns and settings:
            "table:my.csv,image=picture,question=text,box_format=xywh"; and ",circular=true" after any, which asks a
            question with options once for each rotation of them, see `wherelook.data.circular`. Or samples themselves.

    Raises:
        InputError: there is no such data set, it gives something else than samples, or boxes or answers of a table can
            be read in several ways.
        WherelookError: while reading: a file is broken, or all rows at its beginning are.
    """
    if not isinstance(dataset, str):
        return _distinct(_checked("the samples", dataset))
    name, where, columns = _parse(dataset)
    circular = columns.pop(CIRCULAR, "false")
    if circular not in ("true", "false"):
        raise InputError(f"data set {dataset!r}: {CIRCULAR} is true or false; got {circular!r}")
    samples = DATASETS[name].read(where, columns)
    if name not in DATASETS.ours:
        samples = _checked(f"the dataset {name!r}", samples)
    head: list[Sample] = []  # what is wrong with the files is found before any work
    while len(head) < HEAD and (not head or BROKEN_ROW in head[-1].flags):
        sample = next(samples, None)
        if sample is None:
            break
        head.append(sample)
    if not head:
        raise InputError(f"data set {dataset!r} is empty")
    if all(BROKEN_ROW in sample.flags for sample in head):
        head[0].source.load()  # raises what is wrong with it
    every = itertools.chain(head, samples)
    found = _distinct(_as_published(DATASETS[name], sample) for sample in every)
    return rotations(found) if circular == "true" else found


def _checked(what: str, samples: Iterable[Sample]) -> Iterator[Sample]:
    """The samples of someone else's function.

    Raises:
        InputError: they are something else.
        WherelookError: the function failed.
    """
    try:
        for sample in samples:
            if not isinstance(sample, Sample):
                raise expected(what, "made of wherelook.data.datasets.Sample", sample)
            yield sample
    except WherelookError:
        raise
    except Exception as error:
        raise WherelookError(f"{what} cannot be read: {type(error).__name__}: {error}") from error


def _as_published(dataset: Dataset, sample: Sample) -> Sample:
    """The sample with the prompt and the judge of its dataset, where it has none of its own."""
    judge = None if dataset.judge == "option-letter" and not sample.choices else dataset.judge
    return replace(sample, prompt=sample.prompt or dataset.prompt, judge=sample.judge or judge)


def _parse(dataset: str) -> tuple[str, Location, dict[str, str]]:
    """The name, the place and the columns by field."""
    rest, columns = dataset, {}
    while found := COLUMN.search(rest):
        columns[found[1]] = found[2]
        rest = rest[: found.start()]
    name, colon, path = rest.partition(":")
    if name not in DATASETS:
        name, path = _recognize(rest, dataset), rest
    elif DATASETS[name].path == ("none" if colon else "needed") or (colon and not path):
        expected = name if DATASETS[name].path == "none" else f"{name}:PATH"
        raise InputError(f"data set {dataset!r}: expected {expected}, with {DATASETS[name].files} at the path")
    images = columns.pop("images", None) if DATASETS[name].path == "needed" else None
    if columns.keys() - {CIRCULAR} and not DATASETS[name].columns:
        also = "; images=DIR is for all that have files" if DATASETS[name].path == "needed" else ""
        raise InputError(f"data set {dataset!r}: only columns of table and hub can be named{also}")
    return name, Location(path, images), columns


def _recognize(path: str, dataset: str) -> str:
    """What lies at a path without a name."""
    if path and is_file(Path(path) / QUESTIONS_FILE):
        return "scenes"
    if Path(path).suffix.lower() in TABLES and is_file(Path(path)):
        return "table"
    if Path(path).suffix.lower() in TABLES and not os.path.lexists(path):
        raise InputError(f"there is no file {path[:200]!r}; expected a table with image and question, or NAME:PATH")
    others = ", ".join(name for name in DATASETS if name not in DRAWN)
    raise InputError(
        f"no data set {dataset[:200]!r}; valid: {', '.join(DRAWN)}, a folder of `wherelook scenes`, a table with image "
        f"and question ({', '.join(TABLES)}), or NAME:PATH with {others}"
    )


def _distinct(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The same samples with ids that differ, for results are kept by them: a number follows one that comes again."""
    seen: set[int] = set()
    times: dict[str, int] = {}
    for sample in samples:
        name = sample.id
        while hash(name) in seen:
            times[sample.id] = times.get(sample.id, 1) + 1
            name = f"{sample.id}#{times[sample.id]}"
        seen.add(hash(name))
        yield sample if name == sample.id else replace(sample, id=name, flags=(*sample.flags, REPEATED_ID))
