"""Data sets in their published formats: the files, and one entry of each, which tests change as they need.

Entries have every field of the published ones. Images are plain and tiny; a name that ends with .jpg holds a PNG, so
that colors stay as they are.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Color = tuple[int, int, int]
Entry = dict[str, Any]


class Builder:
    """Writes the files of a data set."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()

    def image(self, name: str, color: Color = (200, 30, 40), size: tuple[int, int] = (6, 8)) -> None:
        """A plain image of (height, width)."""
        self.bytes(name, self.picture(color, size))

    @staticmethod
    def picture(color: Color = (200, 30, 40), size: tuple[int, int] = (6, 8)) -> bytes:
        """A plain PNG of (height, width)."""
        stream = io.BytesIO()
        Image.new("RGB", (size[1], size[0]), color).save(stream, "PNG")
        return stream.getvalue()

    def gray(self, name: str, values: np.ndarray) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(self.root / name)

    def bytes(self, name: str, data: bytes) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_bytes(data)

    def text(self, name: str, text: str) -> None:
        self.bytes(name, text.encode())

    def csv(self, name: str, rows: Iterable[Sequence[object]]) -> None:
        stream = io.StringIO()
        csv.writer(stream).writerows(rows)
        self.text(name, stream.getvalue())

    def json(self, name: str, value: object) -> None:
        self.text(name, json.dumps(value))

    def lines(self, name: str, *rows: object) -> None:
        self.text(name, "".join(json.dumps(row) + "\n" for row in rows))

    def parquet(self, name: str, rows: list[dict[str, object]]) -> None:
        import pyarrow
        from pyarrow import parquet

        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.Table.from_pylist(rows), self.root / name)

    def zip(self, top: str = "") -> Path:
        """All files in an archive, below a folder."""
        path = self.root.with_suffix(".zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(self.root.rglob("*")):
                if file.is_file():
                    archive.write(file, f"{top}{file.relative_to(self.root).as_posix()}")
        return path


def mmvp_header(first: str = "lndex") -> tuple[str, ...]:
    """Of Questions.csv; `first` is as published, or as in copies."""
    return first, "Question", "Options", "Correct Answer"


CV_ENTRY: Entry = {
    "idx": 7, "type": "2D", "task": "Relation", "question": "Where is the lamp?", "choices": ["left", "right"],
    "answer": "(B)", "prompt": "Where is the lamp? Select. (A) left (B) right", "filename": "img/2D/relation/1.png",
    "source": "COCO", "source_dataset": "COCO", "source_filename": "1.jpg", "target_class": None, "target_size": None,
    "bbox": [[1.2, 2.0, 4.0, 3.5], [6.0, 0.0, 8.0, 1.0]],
}  # fmt: skip


def mmstar_entry(index: int, question: str, answer: str) -> Entry:
    """A row of mmstar.parquet but for its image."""
    return {
        "index": index, "question": question, "answer": answer, "category": "perception", "l2_category": "x",
        "meta_info": {"source": "MMBench", "split": "val", "image_path": "images/0.jpg"},
    }  # fmt: skip


def llava_question(number: int, image: str, text: str, category: str = "conv") -> Entry:
    """A line of questions.jsonl."""
    return {"question_id": number, "image": image, "category": category, "text": text}


def llava_answer(number: int, text: str) -> Entry:
    """A line of answers_gpt4.jsonl."""
    return {"question_id": number, "text": text, "answer_id": "x", "model_id": "gpt-4"}


def pope_entry(number: int, label: str, *, image: int = 310196, text: str = "Is there a dog?") -> Entry:
    """A line of coco_pope_random.json and its like."""
    return {"question_id": number, "image": f"COCO_val2014_{image:012d}.jpg", "text": text, "label": label}


TEXTVQA_ENTRY: Entry = {
    "question": "what is the brand of this camera?", "image_id": "003a8ae2ef43b901", "image_classes": ["Cassette"],
    "image_width": 8, "image_height": 6, "question_tokens": ["what"], "question_id": 34602, "set_name": "val",
    "answers": ["nokia", "no", "nokia", "nokia", "toshiba", "no", "nokia", "unanswerable", "nokia", "no"],
}  # fmt: skip


def gqa_entry(text: str, said: str, *, image: str = "2405722", **annotations: Entry) -> Entry:
    """A question of val_balanced_questions.json."""
    return {
        "question": text, "imageId": image, "answer": said, "fullAnswer": said, "isBalanced": True,
        "types": {"structural": "query", "semantic": "attr", "detailed": "color"},
        "annotations": {"answer": {}, "question": {}, "fullAnswer": {}} | annotations,
    }  # fmt: skip


def gqa_graph(**objects: tuple[str, int, int, int, int]) -> Entry:
    """An image of val_sceneGraphs.json; objects are (name, x, y, width, height), after an underscore their number."""
    return {
        "width": 8, "height": 6, "location": "indoors",
        "objects": {
            key.removeprefix("_"): {"name": name, "x": x, "y": y, "w": width, "h": height, "attributes": [],
                                    "relations": []}
            for key, (name, x, y, width, height) in objects.items()
        },
    }  # fmt: skip


REFCOCO_ENTRY: Entry = {
    "ref_id": 5, "ann_id": 1719310, "image_id": 581857, "split": "val", "category_id": 1, "sent_ids": [0, 1],
    "file_name": "COCO_train2014_000000581857_16.jpg",
    "sentences": [
        {"tokens": ["the", "lady"], "raw": "THE LADY", "sent_id": 0, "sent": "the lady with the blue shirt"},
        {"tokens": ["lady"], "raw": "lady", "sent_id": 1, "sent": "lady"},
    ],
}  # fmt: skip


def refcoco_instances(*annotations: Entry) -> Entry:
    """instances.json with these annotations: id and bbox, (x, y, width, height)."""
    return {"info": {}, "images": [{"id": 581857}], "annotations": [one | {"iscrowd": 0} for one in annotations]}


def vqa_question(number: int, image: int, text: str) -> Entry:
    """A question of VQA v1."""
    return {"question_id": number, "image_id": image, "question": text}


def vqa_annotation(number: int, image: int, texts: Sequence[str]) -> Entry:
    """The answers to it."""
    answers = [{"answer": text, "answer_id": place} for place, text in enumerate(texts, start=1)]
    return {"question_id": number, "image_id": image, "question_type": "what is", "answers": answers}


def paper_entry(image: str, text: str, answer: str, dataset: str = "mmvp") -> Entry:
    """A line of the paper's own set, as far as its columns are known."""
    return {"image_path": image, "text": text, "answer": answer, "dataset": dataset}
