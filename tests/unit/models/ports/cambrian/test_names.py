"""Cambrian's weights load under the names of any version of Transformers."""

from __future__ import annotations

import shutil

import torch
from safetensors.torch import load_file, save_file

from wherelook.load_options import LoadOptions
from wherelook.models.huggingface.loading import load, locate
from wherelook.models.ports.cambrian import renamed_weights

OLD = {"q_proj": "attention.query", "k_proj": "attention.key", "v_proj": "attention.value", "o_proj": "output.dense"}


def test_old_and_new_names_of_dinov2_give_the_same_model(tmp_path):
    folders = {"new": locate("zoo:cambrian"), "old": tmp_path / "old"}
    shutil.copytree(folders["new"], folders["old"])
    weights = load_file(folders["old"] / "model.safetensors")
    renamed = {}
    for name, value in weights.items():
        start, dot, end = name.rpartition(".attention.")
        part, _, kind = end.partition(".")
        is_dinov2 = "dinov2_tower.encoder" in start
        renamed[f"{start}{dot}{OLD[part]}.{kind}" if is_dinov2 else name] = value
    assert len(renamed.keys() - weights.keys()) == 16
    save_file(renamed, folders["old"] / "model.safetensors", {"format": "pt"})
    new, old = (load(str(folder), LoadOptions(device="cpu"))[0].state_dict() for folder in folders.values())
    assert new.keys() == old.keys()
    assert all(torch.equal(value, old[name]) for name, value in new.items())


def test_other_models_keep_their_names():
    assert renamed_weights("llava") is None
