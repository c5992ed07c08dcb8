"""60 rows of every data set in its published format, through `wherelook run` and back.

Who answers is a stand-in that says which image it was shown, told from its color; all else is the command itself.
"""

from __future__ import annotations

import gc
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from layouts import LAYOUTS
from published import (
    CV_ENTRY,
    REFCOCO_ENTRY,
    TEXTVQA_ENTRY,
    Builder,
    Color,
    gqa_entry,
    gqa_graph,
    llava_answer,
    llava_question,
    mmstar_entry,
    mmvp_header,
    paper_entry,
    pope_entry,
    refcoco_instances,
    vqa_annotation,
    vqa_question,
)
from wherelook.data.datasets import DATASETS, Sample
from wherelook.errors import WherelookError
from wherelook.evaluation.judges import judge_answer
from wherelook.evaluation.local import Finished, Task
from wherelook.evaluation.rows import evidence_row, image_row, method_row, sample_row
from wherelook.evaluation.run_folder import read_run
from wherelook.evaluation.worker import Procedure

ROWS = 60
SHARED = 25
"""Images where several questions are about one."""
FIRST = 35
"""Rows that the first command does."""
BROKEN = (7, 20)
"""Numbers of images that cannot be read."""


@dataclass(frozen=True)
class Planted:
    """A row as it was written.

    Attributes:
        image: number of its image.
        evidence: pixels of the evidence, of 48; None where it is not known.
        others: as in `Sample`.
    """

    id: str
    question: str
    image: int
    references: tuple[str, ...]
    choices: tuple[str, ...] = ()
    kind: str = ""
    group: str | None = None
    evidence: int | None = None


# ---- images that tell their number ----


def color(number: int) -> Color:
    return number % 256, number // 256, 99


def number_of(sample: Sample) -> int:
    red, green, blue = sample.image.pixels.reshape(-1, 3).astype(int).T
    assert (len(set(red)), len(set(green)), set(blue)) == (1, 1, {99})
    return int(red[0] + 256 * green[0])


def picture(build: Builder, number: int) -> bytes:
    return b"no image" if number in BROKEN else build.picture(color(number))


def pictures(build: Builder, name: Callable[[int], str], count: int) -> None:
    for number in range(count):
        build.bytes(name(number), picture(build, number))


# ---- data sets ----


def mmvp(build: Builder) -> list[Planted]:
    planted = []
    lines: list[tuple[object, ...]] = [mmvp_header()]
    for index in range(1, ROWS + 1):
        choices = f"Open, {index}", "Not so"
        right = index % 2
        lines.append((index, f"Is it {index}?", f"(a) {choices[0]} (b) {choices[1]}", ("(a)", "(b)")[right]))
        planted.append(
            Planted(str(index), f"Is it {index}?", index - 1, (choices[right],), choices, group=str((index + 1) // 2))
        )
    build.csv("Questions.csv", lines)
    pictures(build, lambda number: f"MMVP Images/{number + 1}.jpg", ROWS)
    return planted


def cv_bench(build: Builder) -> list[Planted]:
    planted, lines = [], []
    for index in range(ROWS):
        choices = f"left {index}", "right"
        box = [[1.0, 2.0, 4.0, 5.0]] if index % 2 else None
        lines.append(
            CV_ENTRY | {"idx": index, "question": f"Where is {index}?", "choices": choices, "bbox": box,
                        "answer": ("(A)", "(B)")[index % 2], "filename": f"img/2D/relation/{index}.png"}
        )  # fmt: skip
        found = Planted(str(index), f"Where is {index}?", index, (choices[index % 2],), choices, kind="Relation")
        planted.append(replace(found, evidence=9 if index % 2 else None))
    build.lines("test.jsonl", *lines)
    pictures(build, lambda number: f"img/2D/relation/{number}.png", ROWS)
    return planted


def mmstar(build: Builder) -> list[Planted]:
    planted, rows = [], []
    for index in range(ROWS):
        choices = f"one, {index}", "two", "three", "four"
        options = ", ".join(f"{letter}: {choice}" for letter, choice in zip("ABCD", choices, strict=True))
        entry = mmstar_entry(index, f"Which is {index}?\nOptions: {options}", "ABCD"[index % 4])
        rows.append(entry | {"image": picture(build, index)})
        planted.append(
            Planted(str(index), f"Which is {index}?", index, (choices[index % 4],), choices, kind="perception")
        )
    build.parquet("mmstar.parquet", rows)
    return planted


def llava_bench(build: Builder) -> list[Planted]:
    images = 24
    rows = range(ROWS)
    build.lines(
        "questions.jsonl", *(llava_question(row, f"{row % images + 1:03d}.jpg", f"What is {row}?") for row in rows)
    )
    build.lines("answers_gpt4.jsonl", *(llava_answer(row, f"It is {row}.") for row in rows))
    pictures(build, lambda number: f"images/{number + 1:03d}.jpg", images)
    return [Planted(str(row), f"What is {row}?", row % images, (f"It is {row}.",), kind="conv") for row in rows]


def paper(build: Builder) -> list[Planted]:
    rows = range(ROWS)
    build.lines("data.jsonl", *(paper_entry(f"{row % SHARED}.png", f"What is {row}?", f"{row}.") for row in rows))
    pictures(build, lambda number: f"{number}.png", SHARED)
    return [Planted(str(row + 1), f"What is {row}?", row % SHARED, (f"{row}.",), kind="mmvp") for row in rows]


def pope(build: Builder) -> list[Planted]:
    planted = []
    kinds = ("adversarial", "popular", "random")
    for place, kind in enumerate(kinds):
        lines = []
        for number in range(1, len(range(place, ROWS, len(kinds))) + 1):
            label, image = ("yes", "no")[number % 2], number % SHARED
            lines.append(pope_entry(number, label, image=image, text=f"Is there a {number}?"))
            planted.append(Planted(f"{kind}-{number}", f"Is there a {number}?", image, (label,), kind=kind))
        build.lines(f"coco_pope_{kind}.json", *lines)
    pictures(build, lambda number: f"val2014/COCO_val2014_{number:012d}.jpg", SHARED)
    return planted


def textvqa(build: Builder) -> list[Planted]:
    planted, entries = [], []
    for row in range(ROWS):
        answers = [f"word {row}", "other"] * 4 + [f"word {row}"] * 2
        entries.append(
            TEXTVQA_ENTRY | {"question": f"what says {row}?", "image_id": f"{row % SHARED:016x}", "question_id": row,
                             "answers": answers}
        )  # fmt: skip
        references = (f"word {row}",) * 6 + ("other",) * 4
        planted.append(Planted(str(row), f"what says {row}?", row % SHARED, references))
    build.json("TextVQA_0.5.1_val.json", {"dataset_type": "val", "dataset_name": "textvqa", "data": entries})
    pictures(build, lambda number: f"train_images/{number:016x}.jpg", SHARED)
    return planted


def gqa(build: Builder) -> list[Planted]:
    rows = range(ROWS)
    questions = {
        f"{row:08d}": gqa_entry(f"What color is {row}?", f"red {row}", image=str(row % SHARED), question={"4": "100"})
        for row in rows
    }
    build.json("val_balanced_questions.json", questions)
    graphs = {str(image): gqa_graph(_100=("chair", 1, 2, 1 + image % 3, 2)) for image in range(SHARED)}
    build.json("val_sceneGraphs.json", graphs)
    pictures(build, lambda number: f"images/{number}.jpg", SHARED)
    return [
        Planted(f"{row:08d}", f"What color is {row}?", row % SHARED, (f"red {row}",), kind="query",
                evidence=2 * (1 + row % SHARED % 3))
        for row in rows
    ]  # fmt: skip


def refcoco(build: Builder) -> list[Planted]:
    """Two phrases for every object."""
    planted, entries, annotations = [], [], []
    for place in range(ROWS // 2):
        image, phrases = place % SHARED, {2 * place: f"the lady {place}", 2 * place + 1: f"number {place}"}
        sentences = [
            {"tokens": text.split(), "raw": text, "sent_id": number, "sent": text} for number, text in phrases.items()
        ]
        entries.append(
            REFCOCO_ENTRY | {"ref_id": place, "ann_id": 10_000 + place, "image_id": image, "sentences": sentences,
                             "file_name": f"COCO_train2014_{image:012d}_{place}.jpg", "sent_ids": list(phrases)}
        )  # fmt: skip
        annotations.append({"id": 10_000 + place, "bbox": [2.0, 1.0, 3.0, 1.0 + place % 4]})
        for number, text in phrases.items():
            question = f"Look at this: {text}. What is it, and what does it look like?"
            found = Planted(str(number), question, image, (), kind="val", group=str(place))
            planted.append(replace(found, evidence=3 * (1 + place % 4)))
    build.json("refs(unc).json", entries)
    build.json("instances.json", refcoco_instances(*annotations))
    pictures(build, lambda number: f"train2014/COCO_train2014_{number:012d}.jpg", SHARED)
    return planted


def vqa_hat(build: Builder) -> list[Planted]:
    rows = range(ROWS)
    numbers = [1_500_000 + row for row in rows]
    questions = [vqa_question(numbers[row], row % SHARED, f"What is on {row}?") for row in rows]
    build.json("OpenEnded_mscoco_val2014_questions.json", {"info": {}, "questions": questions})
    annotations = [vqa_annotation(numbers[row], row % SHARED, ["mug", f"cup {row}", f"cup {row}"]) for row in rows]
    build.json("mscoco_val2014_annotations.json", {"annotations": annotations})
    for number in numbers:
        build.gray(f"vqahat_val/{number}_1.png", np.full((6, 8), 200))
    pictures(build, lambda number: f"val2014/COCO_val2014_{number:012d}.jpg", SHARED)
    return [
        Planted(str(numbers[row]), f"What is on {row}?", row % SHARED, (f"cup {row}", f"cup {row}", "mug"),
                kind="what is")
        for row in rows
    ]  # fmt: skip


def table(build: Builder) -> list[Planted]:
    rows = range(ROWS)
    lines = [
        (
            f"row-{row}",
            f"{row % SHARED}.png",
            f"What, {row}?",
            f'"{row}"',
            json.dumps([f'"{row}"', "no"]),
            "[0, 0, 2, 3]",
        )
        for row in rows
    ]
    build.csv("data.csv", [("id", "picture", "question", "answer", "choices", "box"), *lines])
    pictures(build, lambda number: f"{number}.png", SHARED)
    return [
        Planted(f"row-{row}", f"What, {row}?", row % SHARED, (f'"{row}"',), (f'"{row}"', "no"), evidence=6)
        for row in rows
    ]


def hub(build: Builder) -> list[Planted]:
    rows = range(ROWS)
    stored = [
        {
            "picture": {"bytes": picture(build, row), "path": f"{row}.png"},
            "question": f"What is {row}?",
            "answer": str(row),
        }
        for row in rows
    ]
    build.parquet("data/train-00000-of-00001.parquet", stored)
    return [Planted(str(row + 1), f"What is {row}?", row, (str(row),)) for row in rows]


PLANTERS: Mapping[str, Callable[[Builder], list[Planted]]] = {
    "mmvp": mmvp, "cv-bench": cv_bench, "mmstar": mmstar, "llava-bench": llava_bench, "paper": paper, "pope": pope,
    "textvqa": textvqa, "gqa": gqa, "refcoco": refcoco, "vqa-hat": vqa_hat, "table": table, "hub": hub,
}  # fmt: skip
FOLDERS = ("mmstar", "paper", "table", "hub")
"""Read from a folder here; the others from a zip archive."""
COLUMNS = {"table": ",image=picture", "hub": ",image=picture"}


# ---- who answers ----


class StandIn:
    """A worker without a model: its answer is the number of the image, and it makes no map."""

    about: Mapping[str, Any] = {"id": "stand-in"}

    def __init__(self, asked: list[int], procedure: Procedure, model: str, options: Mapping[str, Any]) -> None:
        self.asked = asked
        self.procedure = procedure

    def __call__(self, task: Task) -> Finished:
        self.asked.append(task.position)
        sample, (run,) = task.sample, self.procedure.methods
        row = sample_row(sample) | method_row(run, self.procedure.seed) | {"position": task.position}
        try:
            row |= image_row(sample) | evidence_row(sample) | {"answer": f"image {number_of(sample)}"}
        except WherelookError as error:
            return Finished([row | {"status": "error", "error": str(error)}])
        row |= asdict(judge_answer(row["answer"], sample, judge=self.procedure.judge, style=self.procedure.prompt))
        return Finished([row | {"status": "not_visual", "reason": "a stand-in"}])

    def give_up(self, task: Task, error: str) -> Finished:
        raise NotImplementedError


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[
                pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="needs datasets"),
                pytest.mark.filterwarnings("ignore"),  # of the package and what it imports
            ]
            if name == "hub"
            else [],
        )
        for name in PLANTERS
    ],
)
def test_rows_of_every_format(command, tmp_path, monkeypatch, name):
    build = Builder(tmp_path / "data")
    planted = PLANTERS[name](build)
    assert len(planted) == ROWS
    asked: list[int] = []
    monkeypatch.setattr("os.fsync", lambda _: None)  # all of them take longer than all the rest
    monkeypatch.setattr("wherelook.evaluation.run_folder.BLOCK", 25)  # two whole files of records and one that is not
    monkeypatch.setattr("wherelook.evaluation.worker.load_worker", partial(StandIn, asked))
    path = build.root if name in FOLDERS else build.zip()
    dataset = f"{name}:{path}{COLUMNS.get(name, '')}"
    line = ("run", dataset, "--model", "embedded", "--out", tmp_path / "run", "--method", "center", "--json")

    def tallies(*options: object) -> tuple[int, int]:
        code, output, _ = command(*line, *options)  # a slow run tells its progress as errors
        assert code == 0
        summary = json.loads(output)
        return summary["samples"], summary["samples_now"]

    assert tallies("--limit", FIRST) == (FIRST, FIRST)
    assert tallies() == (ROWS, ROWS - FIRST)
    records = read_run(tmp_path / "run")[1]
    assert tallies() == (ROWS, 0)
    gc.collect()  # files that the package datasets leaves open, while its warnings are ignored
    assert asked == list(range(ROWS))
    assert read_run(tmp_path / "run")[1].equals(records)

    rows = records.to_pylist()
    assert [row["position"] for row in rows] == list(range(ROWS))
    assert [row["sample"] for row in rows] == [one.id for one in planted]
    assert len({row["sample"] for row in rows}) == ROWS
    for row, one in zip(rows, planted, strict=True):
        assert (row["question"], row["kind"], row["group"]) == (one.question, one.kind, one.group)
        assert (tuple(row["references"]), tuple(row["choices"])) == (one.references, one.choices)
        if one.image in BROKEN:
            assert (row["status"], row["answer"]) == ("error", None)
            assert "image" in row["error"]
        else:
            assert (row["status"], row["error"], row["answer"]) == ("not_visual", None, f"image {one.image}")
            assert (row["image_height"], row["image_width"]) == (6, 8)
            assert row["evidence_share"] == (None if one.evidence is None else pytest.approx(one.evidence / 48))
    assert sum(row["status"] == "error" for row in rows) == sum(one.image in BROKEN for one in planted) > 0


def test_every_data_set_of_files_is_among_them():
    others = {name for name, _ in LAYOUTS.values()}  # tests/e2e/test_layout_runs.py
    assert set(PLANTERS) | others == {name for name, dataset in DATASETS.items() if dataset.path == "needed"}
