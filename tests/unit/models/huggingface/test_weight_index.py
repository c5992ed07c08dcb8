"""Names in the index of a checkpoint are not trusted: what is outside the folder, or pickled, is never opened."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from tools import families

from wherelook.errors import InputError
from wherelook.load_options import LoadOptions
from wherelook.models.huggingface.loading import load
from wherelook.models.huggingface.weight_index import PICKLED_INDEX, SAFE_INDEX, check_name, read_index
from wherelook.models.ports.checkpoint import weight_files

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory) -> Path:
    """A model whose weights are two files and an index."""
    folder = tmp_path_factory.mktemp("sharded")
    model, processor = families.build("llava")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    halves = (names[::2], names[1::2])
    for file, half in zip(SHARDS, halves, strict=True):
        save_file({name: tensors[name] for name in half}, folder / file, {"format": "pt"})
    places = {name: file for file, half in zip(SHARDS, halves, strict=True) for name in half}
    write_index(folder, places)
    return folder


@pytest.fixture
def copy(sharded, tmp_path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copytree(sharded, tmp_path / "model"))


def write_index(folder: Path, places: dict[str, str], name: str = SAFE_INDEX) -> None:
    (folder / name).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))


def places_of(folder: Path) -> dict[str, str]:
    return json.loads((folder / SAFE_INDEX).read_text())["weight_map"]


class Marking:
    """An object whose unpickling makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.mkdir, (self.marker,)


# ---- what works ----


def test_a_sharded_model_loads(sharded):
    model, _ = load(str(sharded), LoadOptions(device="cpu"))
    expected, _ = families.build("llava")
    for name, value in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_the_cache_of_the_hub_loads_by_folder_and_by_name(sharded, tmp_path, monkeypatch):
    """There a snapshot is a folder of links to files of another folder."""
    repository = tmp_path / "models--owner--name"
    snapshot = repository / "snapshots" / ("0" * 40)
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    for number, file in enumerate(sorted(sharded.iterdir())):
        shutil.copy(file, repository / "blobs" / f"{number:040d}")
        (snapshot / file.name).symlink_to(f"../../blobs/{number:040d}")
    model, _ = load(str(snapshot), LoadOptions(device="cpu"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    by_name, _ = load("owner/name", LoadOptions(device="cpu"))
    assert all(torch.equal(value, by_name.state_dict()[name]) for name, value in model.state_dict().items())
    index = snapshot / SAFE_INDEX
    content = index.read_text().replace(SHARDS[1], "../../../elsewhere.safetensors")
    index.unlink()
    index.write_text(content)
    for name in (str(snapshot), "owner/name"):
        with pytest.raises(InputError, match=r"names '../../../elsewhere.safetensors', which is not inside its folder"):
            load(name, LoadOptions(device="cpu"))


# ---- what is never opened ----


def test_a_pickle_in_the_index_is_not_loaded(copy, tmp_path):
    """Transformers would: its request for safetensors chooses the index, not what that names."""
    marker = tmp_path / "was-here"
    (copy / "evil.bin").write_bytes(pickle.dumps(Marking(marker)))
    places = places_of(copy)
    write_index(copy, places | {min(places): "evil.bin"})
    with pytest.raises(InputError, match=r"names 'evil.bin' as weights; only files that end in .safetensors are read"):
        load(str(copy), LoadOptions(device="cpu"))
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../other.safetensors", "sub/../../other.safetensors", "{root}/other.safetensors"])
def test_a_file_outside_the_folder_is_not_loaded(copy, tmp_path, name):
    shutil.copy(copy / SHARDS[0], tmp_path / "other.safetensors")
    places = {key: name.format(root=tmp_path) if file == SHARDS[0] else file for key, file in places_of(copy).items()}
    write_index(copy, places)
    with pytest.raises(InputError, match="which is not inside its folder: do not trust this checkpoint"):
        load(str(copy), LoadOptions(device="cpu"))


@pytest.mark.parametrize("named", ["adapter_model.bin", "../other.safetensors", "other.index.json", 3])
def test_weights_that_the_configuration_names_are_checked_too(copy, named):
    config = json.loads((copy / "config.json").read_text()) | {"transformers_weights": named}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config.json' names"):
        load(str(copy), LoadOptions(device="cpu"))


@pytest.mark.parametrize(
    "name",
    [
        "/a.safetensors", "..\\a.safetensors", "C:\\a.safetensors", "C:a.safetensors", "\\\\host\\a.safetensors",
        "..", "a\0.safetensors", "", "a.SAFETENSORS", "a.safetensors.bin", "a.pt", "a",
    ],
)  # fmt: skip
def test_names_that_are_refused(name):
    with pytest.raises(InputError, match="names '"):
        check_name(name, Path("index"))


@pytest.mark.parametrize("name", ["model.safetensors", "part/model.safetensors", "a..b.safetensors", "ü 1.safetensors"])
def test_names_that_are_files_of_the_folder(name):
    check_name(name, Path("index"))


# ---- damaged, incomplete ----


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read as JSON"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b"[]", "holds a list; expected an object"),
        (b"{}", "has no weight_map"),
        (b'{"metadata": {}, "weight_map": {}}', "has no weight_map"),
        (b'{"metadata": {}, "weight_map": ["a.safetensors"]}', "has no weight_map"),
        (b'{"metadata": {}, "weight_map": {"a": ["b.safetensors"]}}', "has no weight_map"),
        (b'{"weight_map": {"a": "b.safetensors"}}', "has no metadata"),
        (b'{"metadata": {}, "weight_map": {"a": "b.safetensors"}}', "1 of 1 weight files are missing, such as"),
    ],
)
def test_an_index_that_is_damaged(copy, content, message):
    (copy / SAFE_INDEX).write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        load(str(copy), LoadOptions(device="cpu"))
    assert "\n" not in str(raised.value)


def test_an_endless_index_is_not_read(tmp_path):
    with (tmp_path / SAFE_INDEX).open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(InputError, match="has more than 200 MB"):
        read_index(tmp_path / SAFE_INDEX)


def test_shards_that_are_missing_are_counted(copy):
    (copy / SHARDS[1]).unlink()
    with pytest.raises(InputError, match=r"1 of 2 weight files are missing, such as .*model-00002-of-00002.safetens"):
        load(str(copy), LoadOptions(device="cpu"))


@pytest.mark.parametrize("single", [True, False])
def test_pointers_of_git_lfs_are_no_weights(copy, single):
    if single:
        (copy / SAFE_INDEX).unlink()
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (copy / ("model.safetensors" if single else SHARDS[1])).write_bytes(pointer)
    with pytest.raises(InputError, match="is a pointer of Git LFS, not the weights: run `git lfs pull`"):
        load(str(copy), LoadOptions(device="cpu"))


# ---- checkpoints to convert ----


@pytest.mark.parametrize(("index", "ending"), [(SAFE_INDEX, ".safetensors"), (PICKLED_INDEX, ".bin")])
def test_checkpoints_to_convert_are_read_by_the_same_rules(tmp_path, index, ending):
    for name in (f"model-1{ending}", f"model-2{ending}", f"stray-model{ending}"):
        (tmp_path / name).write_bytes(b"x")
    write_index(tmp_path, {"a": f"model-2{ending}", "b": f"model-1{ending}"}, index)
    assert weight_files(tmp_path) == [tmp_path / f"model-1{ending}", tmp_path / f"model-2{ending}"]
    write_index(tmp_path, {"a": f"../model-2{ending}"}, index)
    with pytest.raises(InputError, match="not inside its folder"):
        weight_files(tmp_path)
    write_index(tmp_path, {"a": "model.pkl"}, index)
    with pytest.raises(InputError, match=f"only files that end in {ending} are read"):
        weight_files(tmp_path)
    write_index(tmp_path, {"a": f"model-3{ending}"}, index)
    with pytest.raises(InputError, match="1 of 1 weight files are missing"):
        weight_files(tmp_path)
