"""Model folders with impossible settings: one line each, before any weight is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tools import families
from transformers import LlavaConfig

from wherelook import Explainer
from wherelook.check import test_picture as make_picture
from wherelook.errors import InputError, WherelookError
from wherelook.models.huggingface.sane_settings import check_config_numbers


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("llava")
    model, processor = families.build("llava")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def change(folder: Path, file: str, path: str, value: object) -> None:
    content = json.loads((folder / file).read_text())
    part = content
    *above, last = path.split(".")
    for key in above:
        part = part[key]
    assert last in part, "the test names a setting that there is"
    part[last] = value
    (folder / file).write_text(json.dumps(content))


CONFIG = [
    ("text_config.num_hidden_layers", -1, "has text_config.num_hidden_layers = -1; expected a whole number from 1 up"),
    ("text_config.num_hidden_layers", 0, "has text_config.num_hidden_layers = 0; expected"),
    ("text_config.num_hidden_layers", "2", "has text_config.num_hidden_layers = '2'; expected"),
    ("text_config.num_hidden_layers", 2.5, "has text_config.num_hidden_layers = 2.5; expected"),
    ("text_config.num_hidden_layers", 3, "do not fit its config.json: .* tensors are missing"),
    ("text_config.hidden_size", 33, "describes no model that can be built|do not fit its config.json"),
    ("text_config.hidden_size", 10**9, r"hidden_size = 1000000000; expected a whole number from 1 up to 100000000"),
    ("text_config.num_attention_heads", 0, "has text_config.num_attention_heads = 0"),
    ("text_config.num_attention_heads", 5, "describes no model that can be built|do not fit its config.json"),
    ("text_config.vocab_size", 5, "describes no model that can be built|do not fit its config.json"),
    ("text_config.vocab_size", True, "has text_config.vocab_size = True; expected"),
    ("text_config.hidden_act", "none", "describes no model that can be built"),
    ("text_config.model_type", "nothing", "config.json of model .* (cannot be used|describes no model)"),
    ("text_config.pad_token_id", 10**6, "describes no model that can be built|has .* = 1000000; expected"),
    ("vision_config.patch_size", -8, "has vision_config.patch_size = -8; expected"),
    ("vision_config.patch_size", 0, "has vision_config.patch_size = 0; expected"),
    ("vision_config.image_size", [32, 0], r"has vision_config.image_size = \[32, 0\]; expected"),
    ("vision_config.hidden_size", 31, "describes no model that can be built|do not fit its config.json"),
    ("vision_feature_layer", 50, "cannot read this prompt"),
]
PROCESSOR = [
    ("image_processor.crop_size", {"height": 0, "width": 0}, r"has crop_size = .*; expected numbers from 1 to"),
    ("image_processor.crop_size", {"height": -48, "width": 48}, r"has crop_size = .*; expected numbers from 1 to"),
    ("image_processor.size", {"shortest_edge": 0}, r"has size = .*; expected numbers from 1 to"),
    ("image_processor.size", {"shortest_edge": 10**12}, r"has size = .*; expected numbers from 1 to"),
    ("image_processor.image_mean", [0.5, 0.5], r"has image_mean = .0.5, 0.5.; expected a number for each of 3"),
    ("image_processor.image_mean", ["a", "b", "c"], "has image_mean = .*; expected a number for each of 3"),
    ("image_processor.image_std", [0.5, 0.5, 0], r"has image_std = .*; expected numbers above 0"),
    ("image_processor.image_std", [0.5] * 4, r"has image_std = .*; expected a number for each of 3"),
    ("image_processor.rescale_factor", 0, "has rescale_factor = 0; expected a number above 0"),
    ("patch_size", -8, "has patch_size = -8; expected numbers from 1 to"),
    ("patch_size", 0, "has patch_size = 0; expected numbers from 1 to"),
    ("image_token", 3, "processor"),
]


@pytest.mark.usefixtures("_as_users_run_it")
@pytest.mark.parametrize(
    ("file", "path", "value", "message"),
    [("config.json", *row) for row in CONFIG] + [("processor_config.json", *row) for row in PROCESSOR],
)
def test_a_setting_that_cannot_be(folder, tmp_path, file, path, value, message):
    place = Path(shutil.copytree(folder, tmp_path / "model"))
    change(place, file, path, value)
    with pytest.raises(WherelookError, match=message) as raised:
        Explainer.from_pretrained(place, device="cpu").explain(make_picture((60, 100)), "What is it?", answer="A ring")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 700


@pytest.mark.parametrize("key", ["image_token_index", "image_token_id"])
def test_an_image_token_that_the_tokenizer_has_not(folder, tmp_path, key):
    place = Path(shutil.copytree(folder, tmp_path / "model"))
    content = json.loads((place / "config.json").read_text())
    content.pop("image_token_index", None)
    content.pop("image_token_id", None)
    (place / "config.json").write_text(json.dumps(content | {key: 10**7}))
    with pytest.raises(WherelookError, match=r"cannot read this prompt .*: do model and processor belong together"):
        Explainer.from_pretrained(place, device="cpu").explain(make_picture((60, 100)), "What is it?", answer="A ring")


def test_settings_of_published_models_pass():
    check_config_numbers(LlavaConfig().to_dict(), "llava")
    for name in ("qwen2_vl", "gemma3", "llama4", "internvl", "mllama"):
        check_config_numbers(families.build(name)[0].config.to_dict(), name)


def test_numbers_that_json_writes_as_fractions_are_whole():
    check_config_numbers({"hidden_size": 8.0, "depth": [2, 2]}, "x")
    with pytest.raises(InputError, match="x' has depth"):
        check_config_numbers({"depth": [2, float("nan")]}, "x")
