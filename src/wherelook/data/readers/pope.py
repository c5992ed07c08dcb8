"""POPE (Li et al. 2023, arXiv 2305.10355): is an object in the image? Yes or no.

coco_pope_random.json, coco_pope_popular.json, coco_pope_adversarial.json: an object on every line, or a list, with
question_id, image, text and label. They differ in how the objects that are not there were chosen. Images of COCO's
2014 validation set, in val2014, images or beside the files; so too where the repository was cloned and val2014 put at
its top. LLaVA's llava_pope_test.jsonl has the question, image and category; its labels are those of the files in coco.
Or test-*.parquet (lmms-eval), or POPE.tsv (VLMEvalKit). POPEv2's annotations.json has image_name, query and label.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath

from wherelook.data.files import Files, Location, locate
from wherelook.data.readers.layout import Layout, image_of, pick
from wherelook.data.readers.rowwise import samples_of
from wherelook.data.readers.shared_images import SharedImages
from wherelook.data.row import Row
from wherelook.data.sample import Sample
from wherelook.data.tables import read_rows
from wherelook.errors import WherelookError

LABELED = (
    *("coco_pope_*.json", "*_pope_*.json", "*pope*.json", "coco/*pope*.json", "output/coco/*pope*.json"),
    *("test-*.parquet", "data/test-*.parquet", "Full/*-*.parquet", "*pope*.parquet", "POPE*.tsv", "*POPE*.json"),
)
QUESTIONS = ("llava_pope*.jsonl", "*pope*.jsonl")
TABLES = (*QUESTIONS[:1], *LABELED, *QUESTIONS[1:], "annotations.json")
LABELS = ("coco/coco_pope_*.json", "coco_pope_*.json", "output/coco/coco_pope_*.json")
FOLDERS = ("val2014", "images", "coco/val2014", "")

Labels = Mapping[str, deque[tuple[str, str]]]
"""Questions and labels that are still to be paired, by category."""

LAYOUT = Layout(
    image=("image", "image_name", "image_path"),
    folders=FOLDERS,
    question=("text", "question", "query"),
    answer=("label", "answer"),
    extra=("image_source",),
)


def read(where: Location | str) -> Iterator[Sample]:
    """The samples of POPE, of all files that are there; `kind` is the category, or the last word of the file's name.

    Raises:
        InputError: the files are not there.
        WherelookError: a file is broken.
    """
    files, names = locate(where, "POPE", TABLES, "coco_pope_random.json and its like, and the folder val2014")
    for name in names:
        labels = _labels(files) if PurePosixPath(name).match(QUESTIONS[0]) else {}
        make = partial(_sample, files=files, name=name, labels=labels, shared=SharedImages(files, name, "image"))
        yield from samples_of(read_rows(files, name, LAYOUT.columns), make)


def _sample(row: Row, *, files: Files, name: str, labels: Labels, shared: SharedImages) -> Sample:
    own = row.name("category") if "category" in row.values else None
    kind = own or ("" if name.endswith(("annotations.json", ".tsv", ".parquet")) else _last_word(name))
    number = next((found for column in ("question_id", "index", "id") if (found := row.name(column))), str(row.number))
    question = row.required(pick(row, LAYOUT.question))
    label = (row.text(pick(row, LAYOUT.answer)) or "").strip().lower()
    if not label and labels.get(kind):
        # As LLaVA's evaluation pairs them: in the order of the files.
        asked, label = labels[kind].popleft()
        if not question.startswith(asked):
            raise WherelookError(f"{row.place}: the labels of {kind} are of other questions: {asked[:80]!r}")
    elif label not in ("yes", "no") and pick(row, LAYOUT.answer) in row.values:
        raise WherelookError(f"{row.place}: label must be yes or no, not {label!r}")
    return Sample(
        id=f"{kind}-{number}" if kind else number,
        source=image_of(row, files, LAYOUT, shared),
        question=question,
        references=(label,) if label else (),
        kind=kind,
    )


def _labels(files: Files) -> Labels:
    """Questions and labels of the files in coco, by the last word of their names."""
    found: defaultdict[str, deque[tuple[str, str]]] = defaultdict(deque)
    for name in next((names for pattern in LABELS if (names := files.find(pattern))), []):
        for row in read_rows(files, name):
            found[_last_word(name)].append((row.required("text"), row.required("label").strip().lower()))
    return found


def _last_word(name: str) -> str:
    return PurePosixPath(name).stem.rpartition("_")[2]
