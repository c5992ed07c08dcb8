"""Folders that the command-line tests share: a tiny LLaVA, sound and broken in many ways, and good and bad images."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from tools import families

WEIGHTS = "model.safetensors"


@pytest.fixture(autouse=True)
def _commands_run_as_for_users(_as_users_run_it) -> None:
    """Types are checked in the unit tests of what the commands call; here that would take longer than all the rest."""


@pytest.fixture(autouse=True)
def _photos_is_not_made(monkeypatch, tmp_path) -> None:
    """The same on every machine: a command without --model is refused where it would take `photos`."""
    monkeypatch.setattr("wherelook.models.zoo.photos_folder", lambda: tmp_path / "not made")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A tiny LLaVA with random weights, as save_pretrained writes it."""
    return save_family("llava", tmp_path_factory.mktemp("models") / "llava")


@pytest.fixture(scope="session")
def patches_folder(tmp_path_factory) -> Path:
    """A tiny Qwen2-VL, whose processor refuses extreme aspect ratios."""
    return save_family("qwen2_vl", tmp_path_factory.mktemp("models") / "qwen2_vl")


@pytest.fixture
def quick_evaluations(undrawn, monkeypatch) -> None:
    """For what is not about plots, nor about measures that ask the model again: most of the time of `evaluate`."""
    from wherelook.metrics import measure_map

    def quick(metrics, context):
        return measure_map({name: metric for name, metric in metrics.items() if metric.level != "all"}, context)

    monkeypatch.setattr("wherelook.explain.measure_map", quick)


def save_family(name: str, folder: Path) -> Path:
    model, processor = families.build(name)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def broken(tmp_path_factory, model_folder) -> Path:
    """A folder of broken copies of `model_folder`, one for each function in `BREAKS`, under its name."""
    root = tmp_path_factory.mktemp("broken")
    for name, damage in BREAKS.items():
        damage(shutil.copytree(model_folder, root / name))
    (root / "empty").mkdir()
    (root / "file").write_text("not a folder")
    return root


def configuration(**changes: object) -> Callable[[Path], None]:
    """Changes keys of config.json."""

    def damage(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def written(name: str, content: str | bytes) -> Callable[[Path], None]:
    """Replaces a file."""
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data) and None


def removed(*names: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return damage


def tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    """Changes the weights."""

    def damage(folder: Path) -> None:
        changed = change(load_file(folder / WEIGHTS))
        save_file({name: value.contiguous() for name, value in changed.items()}, folder / WEIGHTS, {"format": "pt"})

    return damage


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def shard_missing(folder: Path) -> None:
    names = list(load_file(folder / WEIGHTS))
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    shards = {name: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, name in enumerate(names)}
    index = {"metadata": {}, "weight_map": shards}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def truncated(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def silent(folder: Path) -> None:
    """Every token ends an answer, the first one too."""
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"eos_token_id": list(range(300))}))


def _without_queries(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights.items() if not name.endswith("layers.1.self_attn.q_proj.weight")}


BREAKS: dict[str, Callable[[Path], None]] = {
    "config-not-json": written("config.json", "{ model"),
    "config-without-type": written("config.json", "{}"),
    "config-unknown-type": configuration(model_type="does-not-exist"),
    "config-text-only": configuration(model_type="llama"),
    "config-remote-code": configuration(model_type="mine", auto_map={"AutoConfig": "configuration_mine.MyConfig"}),
    "no-weights": removed(WEIGHTS),
    "pickled-weights": pickled,
    "corrupt-weights": written(WEIGHTS, b"\xff" * 5000),
    "empty-weights": written(WEIGHTS, b""),
    "truncated-weights": truncated,
    "missing-shard": shard_missing,
    "missing-tensors": tensors(_without_queries),
    "foreign-weights": tensors(lambda weights: {"another.model": torch.zeros(3)}),
    "wrong-shapes": tensors(lambda weights: {name: value[:1] for name, value in weights.items()}),
    "nan-weights": tensors(lambda weights: {name: value * float("nan") for name, value in weights.items()}),
    "no-tokenizer": removed("tokenizer.json", "tokenizer_config.json"),
    "broken-tokenizer": written("tokenizer.json", "{"),
    "no-processor": removed("processor_config.json"),
    "broken-processor": written("processor_config.json", "nonsense"),
    "silent": silent,
}


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """A folder of good and bad images, and one of a folder."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    picture = Image.fromarray(generator.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    picture.save(folder / "good.png")
    picture.save(folder / "good.jpg")
    for name in ("good.png", "good.jpg"):
        data = (folder / name).read_bytes()
        (folder / name.replace("good", "truncated")).write_bytes(data[: len(data) // 2])
    picture.save(folder / "icon.ico")
    picture.save(folder / "document.pdf")
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("This is no image.")
    (folder / "random.png").write_bytes(generator.bytes(3000))
    (folder / "bomb.png").write_bytes(png_header(50_000, 50_000))
    (folder / "large.png").write_bytes(png_header(12_000, 12_000))
    (folder / "unreadable.png").write_bytes((folder / "good.png").read_bytes())
    (folder / "unreadable.png").chmod(0)
    Image.fromarray(generator.integers(0, 256, (1, 2000, 3), dtype=np.uint8)).save(folder / "thin.png")
    Image.new("RGB", (64, 64), (200, 30, 30)).save(folder / "plain.png")
    Image.new("RGB", (1, 1), (200, 30, 30)).save(folder / "one.png")
    (folder / "folder").mkdir()
    return folder


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces its size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.fixture
def command(capsys, monkeypatch, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in this process, in an empty folder; returns exit code, standard output and error."""
    from wherelook.cli.app import run

    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()  # as the command does, unless Transformers was imported before
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield call
    transformers.utils.logging.set_verbosity(verbosity)
