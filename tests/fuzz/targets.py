"""Every reader of the package, with inputs that begin as sound ones."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import math
import os
import zipfile
from collections.abc import Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import pyarrow
import pyarrow.parquet
import transformers
from PIL import Image
from tools import families

from fuzz import mutators
from fuzz.engine import Target
from wherelook import keys
from wherelook.arguments import check_text, key_values
from wherelook.attribution import METHODS, PRESET_NAMES, make_settings
from wherelook.cli.terminal import encodable, shown
from wherelook.config import ExplainConfig
from wherelook.data.datasets import Sample, prompt_text, read_samples
from wherelook.data.images import load_frames, load_image
from wherelook.data.scenes import make_mosaic, read_photographs
from wherelook.errors import WherelookError
from wherelook.evaluation.judges import JUDGES, judge_for
from wherelook.evaluation.method_spec import MethodSpec, parse_methods, sweep_methods
from wherelook.evaluation.model_judge import ReplyCache, parse_reply
from wherelook.evaluation.verdicts import read_verdicts
from wherelook.html import printable
from wherelook.load_options import LoadOptions, check_prompt_template
from wherelook.models import EndpointModel
from wherelook.models.endpoint.address import check_address
from wherelook.models.endpoint.client import Client
from wherelook.models.huggingface.loading import load
from wherelook.tokens import measure_reliance, select

MOST_SAMPLES = 20
"""Of a data set that are read; each with its image, evidence and attention."""

# ---- images ----


@cache
def pictures() -> tuple[bytes, ...]:
    """A tiny image in every format, with palettes, transparency, deep gray and frames."""
    values = np.random.default_rng(0).integers(0, 256, (9, 12, 4), dtype=np.uint8)
    color, clear = Image.fromarray(values[..., :3].copy()), Image.fromarray(values)
    deep = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    forms: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *((color, kind, {}) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")),
        *((clear, kind, {}) for kind in ("PNG", "WEBP", "TIFF")),
        *((deep, "PNG", {}), (deep, "TIFF", {}), (color.convert("CMYK"), "JPEG", {}), (color.convert("1"), "PNG", {})),
        (color.quantize(8), "PNG", {"transparency": 3}),
        *((color, kind, {"save_all": True, "append_images": [clear.convert("RGB")] * 2}) for kind in ("GIF", "WEBP")),
        (color, "TIFF", {"compression": "tiff_lzw"}),
        (
            color,
            "JPEG",
            {"progressive": True, "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"},
        ),
    ]
    found = []
    for image, kind, options in forms:
        file = io.BytesIO()
        image.save(file, kind, **options)
        found.append(file.getvalue())
    return tuple(found)


def make_picture(random: Random) -> bytes:
    return mutators.change_bytes(random.choice(pictures()), random, list(pictures()))


def read_picture(data: bytes, folder: Path) -> None:
    path = folder / "picture"
    path.write_bytes(data)
    load_image(path)
    try:
        load_frames(path, 2)
    except WherelookError as error:  # most hold one picture
        if "has one frame" not in str(error):
            raise


# ---- tables, archives ----

ROWS: list[dict[str, Any]] = [
    {"id": "1", "image": "a.png", "question": "What color?", "answer": "red", "choices": ["red", "blue"]},
    {"id": "2", "image": "a.png", "question": "Is it red?", "answer": "yes", "box": [1, 2, 5, 6]},
    {"id": "3", "image": "b.png", "question": "How many?", "answers": ["2", "two"], "mask": "b.png", "group": "g"},
]


def table(kind: str) -> bytes:
    """The rows as a file of this kind."""
    if kind == "json":
        return json.dumps(ROWS).encode()
    if kind == "jsonl":
        return b"\n".join(json.dumps(row).encode() for row in ROWS) + b"\n"
    names = list(dict.fromkeys(itertools.chain.from_iterable(ROWS)))
    cells = [[row.get(name) for name in names] for row in ROWS]
    texts = [[json.dumps(cell) if isinstance(cell, list) else cell for cell in row] for row in cells]
    if kind in ("csv", "tsv"):
        file = io.StringIO()
        csv.writer(file, delimiter="," if kind == "csv" else "\t").writerows([names, *texts])
        return file.getvalue().encode()
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), stream)
    return stream.getvalue()


def make_table(kind: str, random: Random) -> bytes:
    data = table(kind)
    if kind in ("json", "jsonl") and random.random() < 0.7:
        return mutators.change_json(data, random)
    if kind in ("csv", "tsv") and random.random() < 0.7:
        return mutators.change_cells(data, random, b"," if kind == "csv" else b"\t")
    if kind == "parquet" and random.random() < 0.3:
        return _other_parquet(random)
    return mutators.change_bytes(data, random, [data, *map(table, ("csv", "jsonl"))])


def _other_parquet(random: Random) -> bytes:
    """A sound file whose columns are of types that nobody expects."""
    values: list[Any] = [1, 2.5, b"\xff\xfe", "a.png", None, True, [1, 2], {"bytes": pictures()[0], "path": None}]
    columns = {}
    for name in ("id", "image", "question", "answer", "choices", "box", "mask"):
        if random.random() < 0.9:
            value = random.choice(values)
            columns[name] = pyarrow.array([value] * 3)
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def read_table(kind: str, data: bytes, folder: Path) -> None:
    for name in ("a.png", "b.png"):
        if not (folder / name).exists():
            (folder / name).write_bytes(pictures()[0])
    path = folder / f"questions.{kind}"
    path.write_bytes(data)
    open_all(read_samples(str(path)))


SEGMENTATIONS: list[Any] = [
    {"size": [9, 12], "counts": [20, 2, 86]},
    {"size": [9, 12], "counts": "d02j3"},
    [{"size": [9, 12], "counts": [0, 108]}, {"size": [9, 12], "counts": "0\\3"}],
    [[1, 1, 5.5, 1, 5, 6, 2, 7.25], [7, 7, 9, 7, 9, 9]],
    [[[1, 1], [5, 1], [5, 6]]],
]
"""Masks as runs and polygons, for an image of 9 x 12 pixels."""


def make_mask(random: Random) -> tuple[str, bytes]:
    """What stands in the column of a mask, or a file of an array."""
    if random.random() < 0.5:
        return "mask", mutators.change_json(json.dumps(random.choice(SEGMENTATIONS)).encode(), random)
    stream = io.BytesIO()
    np.save(stream, np.eye(9, 12, dtype=random.choice(("bool", "u1", "<i8", ">f4", "f8"))))
    return "array", mutators.change_bytes(stream.getvalue(), random, [stream.getvalue()])


def read_mask(made: tuple[str, bytes], folder: Path) -> None:
    kind, data = made
    (folder / "mask.npy").write_bytes(data)
    mask = data if kind == "mask" else b'"mask.npy"'
    extra = b"" if kind == "mask" else b', "human": "mask.npy"'
    read_table("jsonl", b'{"image": "a.png", "question": "?", "mask": ' + mask + extra + b"}\n", folder)


SCENE: dict[str, Any] = {
    "id": "0-0", "image": "a.png", "question": "Is there a dog?", "answer": "Yes, there is a dog.", "kind": "existence",
    "needs_image": True, "evidence": "b.png", "evidence_objects": 1, "exclusive": True, "box": [1, 2, 5, 6],
    "width": 12, "height": 9, "seed": 3, "paraphrase": None, "right": [["yes"]],
}  # fmt: skip
BOXED: dict[str, Any] = {
    "image": "a.png",
    "boxes": [{"name": "dog", "box": [1, 2, 5, 6]}, {"name": "cat", "box": [7, 1, 11, 8]}],
}


def make_line(line: dict[str, Any], random: Random) -> bytes:
    data = json.dumps(line).encode()
    return mutators.change_json(data, random) if random.random() < 0.8 else mutators.change_bytes(data, random, [data])


def read_scene_folder(data: bytes, folder: Path) -> None:
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(pictures()[0])
    (folder / "questions.jsonl").write_bytes(data)
    open_all(read_samples(f"{folder},kinds=all"))


def read_boxes(data: bytes, folder: Path) -> None:
    (folder / "a.png").write_bytes(pictures()[0])
    (folder / "boxes.jsonl").write_bytes(data)
    make_mosaic(read_photographs(folder), 0, size=(64, 64))


def open_all(samples: Iterable[Sample]) -> None:
    """Everything that is to be had of samples; a sample that is refused does not spare us the next one."""
    for sample in itertools.islice(samples, MOST_SAMPLES):
        for part in (
            lambda sample=sample: sample.image,
            lambda sample=sample: sample.truth,
            lambda sample=sample: sample.human,
            lambda sample=sample: sample.fingerprint,
            lambda sample=sample: prompt_text(sample),
            lambda sample=sample: JUDGES[judge_for("auto", sample, "open")]("red", sample),
        ):
            try:
                part()
            except WherelookError:
                continue


@cache
def archive() -> bytes:
    """POPE's files in a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        entry = {"question_id": 1, "image": "COCO_val2014_000000310196.jpg", "text": "Is there a dog?", "label": "no"}
        file.writestr("coco_pope_random.json", json.dumps(entry) + "\n")
        file.writestr("val2014/COCO_val2014_000000310196.jpg", pictures()[0])
        file.writestr("long/" + "x" * 200, bytes(5000))
    return stream.getvalue()


def make_archive(random: Random) -> bytes:
    return mutators.change_bytes(archive(), random, [archive(), pictures()[0]])


def read_archive(data: bytes, folder: Path) -> None:
    path = folder / "data.zip"
    path.write_bytes(data)
    open_all(read_samples(f"pope:{path}"))


# ---- files that wherelook writes itself ----


def make_verdicts(random: Random) -> tuple[str, bytes]:
    rows = [{"sample": "1", "answer": "red", "verdict": "yes", "judge": "a"}, {"sample": "2", "verdict": "no"}]
    lines = b"\n".join(json.dumps(row).encode() for row in rows) + b"\n"
    if random.random() < 0.5:
        return "jsonl", mutators.change_json(lines, random)
    return "csv", mutators.change_cells(b"sample,verdict,judge\n1,yes,a\n2,no,b\n", random, b",")


def read_both_verdicts(made: tuple[str, bytes], folder: Path) -> None:
    kind, data = made
    path = folder / f"verdicts.{kind}"
    path.write_bytes(data)
    ReplyCache(path).get("key")
    read_verdicts(path)


# ---- model folders ----


@cache
def model_files(family: str) -> Mapping[str, bytes]:
    """The files of a tiny model but its weights, and an index that names some."""
    import tempfile

    transformers.utils.logging.disable_progress_bar()
    model, processor = families.build(family)
    with tempfile.TemporaryDirectory() as place:
        model.config.save_pretrained(place)
        model.generation_config.save_pretrained(place)
        processor.save_pretrained(place)
        files = {path.name: path.read_bytes() for path in sorted(Path(place).iterdir())}
    weights = {"metadata": {"total_size": 4}, "weight_map": {"a.weight": "model-00001-of-00001.safetensors"}}
    return files | {"model.safetensors.index.json": json.dumps(weights).encode()}


def make_model(random: Random) -> dict[str, bytes]:
    files = dict(model_files(random.choice(("llava", "qwen2_vl"))))
    for _ in range(random.choice((1, 1, 2))):
        name = random.choice(list(files))
        data = files[name]
        if random.random() < 0.75:
            files[name] = mutators.change_json(data, random)
        elif random.random() < 0.1:
            del files[name]
        else:
            files[name] = mutators.change_bytes(data, random, list(files.values()))
    return files


def read_model(files: dict[str, bytes], folder: Path) -> None:
    place = folder / "model"
    place.mkdir(exist_ok=True)
    for path in place.iterdir():
        path.unlink()
    for name, data in files.items():
        (place / name).write_bytes(data)
    load(str(place), LoadOptions(device="cpu"))  # ends where weights would be read: there are none


# ---- replies of an endpoint ----

ANSWER = "A red dog"
WORDS = ("A", " red", " dog")
REPLIES: tuple[dict[str, Any], ...] = (
    {"choices": [{"message": {"content": ANSWER}, "finish_reason": "stop"}], "usage": {"completion_tokens": 3}},
    {
        "choices": [{}],
        "prompt_logprobs": [
            None,
            *({str(n): {"logprob": -0.5 - n, "decoded_token": word}} for n, word in enumerate(("?", *WORDS))),
        ],
    },
    {
        "choices": [
            {
                "logprobs": {
                    "content": [
                        {"id": n, "token": word, "logprob": -0.5, "top_logprobs": [{"logprob": -0.1}]}
                        for n, word in enumerate(WORDS)
                    ]
                }
            }
        ]
    },
    {"data": [{"id": "small"}]},
)


def make_replies(random: Random) -> list[bytes]:
    """The replies to four requests, one or two of them changed."""
    replies = [json.dumps(reply).encode() for reply in (REPLIES[3], REPLIES[0], REPLIES[1], REPLIES[1])]
    if random.random() < 0.5:
        replies[2:] = [json.dumps(reply).encode() for reply in ({"choices": [{}]}, REPLIES[2])]
    for _ in range(random.choice((1, 2))):
        which = random.randrange(len(replies))
        if random.random() < 0.8:
            replies[which] = mutators.change_json(replies[which], random)
        else:
            replies[which] = mutators.change_bytes(replies[which], random, replies)
    return replies


def read_replies(replies: list[bytes], folder: Path) -> None:
    waiting = iter([(200, None, reply) for reply in (*replies, *replies[-1:] * 20)])
    with (
        mock.patch.object(Client, "_send", side_effect=waiting),
        mock.patch.dict(os.environ, {"WHERELOOK_API_KEY": "sk-0123456789"}),
    ):
        model = EndpointModel("http://127.0.0.1:9/v1", retries=0, concurrency=1)
        picture = Image.new("RGB", (4, 3))
        prompt = model.encode(picture, "?")
        ids = model.generate(prompt, max_new_tokens=8)
        score = model.score(prompt, picture, ids)
        original, baseline = score.original.tolist(), score.baseline.tolist()
    tokens = select(model.pieces(ids), ids, original, baseline, score.flips())
    measure_reliance(tokens, alpha=1.0, baseline="blur")
    assert "".join(model.pieces(ids)) == model.decode(ids)
    assert all(map(math.isfinite, original + baseline))
    model.decode(ids).encode()


# ---- settings and texts ----

SETTINGS = ("iterations=8", "cells=14", "tv=0.1", "relative=true", "update=adam", "steps=3", "l1=1e999", "seed=1")
SPECIFICATIONS = (
    "guided-igos:fast",
    "rise",
    ",",
    "strips:best",
    "table:x.csv",
    "mmvp:/nowhere",
    "scenes",
    "http://a:1/v1",
)
TEXTS = (
    "What color is the red car?",
    "yes",
    "B",
    "(B) red",
    "A",
    "1,000",
    "狗在哪里",
    "\u0e2a\u0e35",
    "🐶",
    "→",
    "no.",
)


def make_settings_text(random: Random) -> tuple[str, str, str, str]:
    return (
        random.choice([*METHODS, "", "x", "guided-igos:fast"]),
        random.choice([*PRESET_NAMES, "x"]),
        mutators.text(random, SETTINGS),
        mutators.text(random, SPECIFICATIONS),
    )


def read_settings(made: tuple[str, str, str, str], folder: Path) -> None:
    method, preset, pair, specification = made

    def changes() -> object:
        return make_settings(method, preset, key_values([pair]))

    for read in (
        changes,
        lambda: parse_methods(specification),
        lambda: sweep_methods([MethodSpec("rise", "fast")], key_values([pair])),
        lambda: check_address(specification),
        lambda: check_prompt_template(specification),
        lambda: load_image(specification),
        lambda: next(iter(read_samples(specification)), None),
    ):
        try:
            read()
        except WherelookError:
            continue


def make_texts(random: Random) -> list[str]:
    return [mutators.text(random, TEXTS) for _ in range(4)]


def read_texts(texts: list[str], folder: Path) -> None:
    question, answer, reference, option = texts
    sample = Sample(
        id=question, source=mock.sentinel.none, question=question, references=(reference, option), choices=(option, "A")
    )
    for judge in JUDGES.values():
        judge(answer, sample)
    JUDGES[judge_for("auto", sample, "open")](answer, sample)
    prompt_text(sample)
    parse_reply(answer)
    pieces = [answer[start : start + 3] for start in range(0, len(answer), 3)] or [""]
    numbers = [-float(place) for place in range(len(pieces))]
    for wanted in ("auto", "all"):
        tokens = select(pieces, range(len(pieces)), numbers, [-9.0] * len(pieces), [False] * len(pieces), wanted=wanted)
        assert [token.text for token in tokens] == pieces
    keys.cut(question)
    for encoding in ("cp1252", "gbk", "ascii"):
        encodable(shown(answer), encoding).encode(encoding)
    str(printable(answer)).encode()
    with contextlib.suppress(WherelookError):
        check_text("question", question)
        ExplainConfig(answer=answer, max_new_tokens=8)
    select(pieces, range(len(pieces)), numbers, [-9.0] * len(pieces), [False] * len(pieces), wanted=option)


TABLES = ("csv", "tsv", "jsonl", "json", "parquet")

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("images", make_picture, read_picture, 3),
        *(Target(f"table-{kind}", partial(make_table, kind), partial(read_table, kind)) for kind in TABLES),
        Target("masks", make_mask, read_mask),
        Target("scenes", partial(make_line, SCENE), read_scene_folder),
        Target("boxes", partial(make_line, BOXED), read_boxes),
        Target("archives", make_archive, read_archive),
        Target("verdicts", make_verdicts, read_both_verdicts),
        Target("models", make_model, read_model, 0.25),
        Target("replies", make_replies, read_replies, 3),
        Target("settings", make_settings_text, read_settings),
        Target("texts", make_texts, read_texts, 2),
    )
}
