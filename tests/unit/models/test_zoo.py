"""The zoo: what is here, what it is made of, and names that stand for its folders."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from safetensors.torch import load_file

from wherelook.errors import InputError, WherelookError
from wherelook.models import zoo
from wherelook.models.huggingface.loading import locate

EMBEDDED_FOLDER = Path(str(files("wherelook.models") / "embedded"))
MODELS = {model.name: model for model in zoo.zoo_models()}


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where the package is installed without its repository."""
    monkeypatch.setattr(zoo, "CHECKOUT", tmp_path / "missing")


def make_model(folder: Path) -> Path:
    """A model of the zoo without weights to speak of and without scores."""
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).symlink_to(EMBEDDED_FOLDER / name)
    return folder


def test_the_models_of_a_checkout_are_listed_with_the_embedded_one_first() -> None:
    assert list(MODELS)[:1] == ["embedded"]
    assert set(MODELS) == {*zoo.BUNDLED, *(path.parent.name for path in zoo.CHECKOUT.glob("*/config.json"))}
    assert "tiled" in MODELS


@pytest.mark.parametrize("name", MODELS)
def test_figures_of_the_list_are_those_of_the_files(name: str) -> None:
    model = MODELS[name]
    weights = model.folder / "model.safetensors"
    assert model.parameters == sum(tensor.numel() for tensor in load_file(weights).values())
    assert model.megabytes == weights.stat().st_size / 1e6
    assert "None" not in model.architecture
    family = json.loads((model.folder / "config.json").read_text())["model_type"]
    assert model.architecture.startswith(zoo.ARCHITECTURES[family])


@pytest.mark.parametrize("name", MODELS)
def test_the_card_and_the_scores_say_the_same(name: str) -> None:
    folder = MODELS[name].folder
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    for kind, columns in scores["exact_match"].items():
        (row,) = re.findall(rf"^\| {kind} \| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", card, re.M)
        assert int(row[0]) == scores["questions"][kind]
        assert [float(value) for value in row[1:]] == list(columns.values())
    assert "all that need the image" in scores["exact_match"]
    needing = scores["exact_match"]["all that need the image"]
    assert (MODELS[name].image, MODELS[name].blank, MODELS[name].other) == tuple(list(needing.values())[:3])


def test_a_name_stands_for_the_folder() -> None:
    assert locate("zoo:tiled") == str(zoo.CHECKOUT / "tiled")
    assert locate("zoo:embedded") == locate("embedded") == str(EMBEDDED_FOLDER)
    assert locate("zoo:things") == locate("things") == str(EMBEDDED_FOLDER.with_name("things"))


@pytest.mark.parametrize("name", ["", "..", "tiled/", "../zoo/tiled", "Tiled"])
def test_an_unknown_name_lists_the_valid_ones(name: str) -> None:
    valid = ", ".join(MODELS)
    with pytest.raises(InputError, match=re.escape(f"no model {name!r} in the zoo; valid: {valid}") + "$"):
        locate(f"zoo:{name}")


@pytest.mark.usefixtures("wheel")
def test_without_a_checkout_the_message_says_where_the_others_are() -> None:
    assert [model.name for model in zoo.zoo_models()] == ["embedded", "things"]
    with pytest.raises(InputError) as caught:
        locate("zoo:tiled")
    assert str(caught.value) == (
        "no model 'tiled' in the zoo; valid: embedded, things; "
        "the others come with a checkout of the repository (training/zoo)"
    )


def test_a_model_without_scores_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_model(tmp_path / "young")
    monkeypatch.setattr(zoo, "CHECKOUT", tmp_path)
    model = zoo.zoo_models()[-1]
    assert (model.name, model.image, model.blank, model.other, model.command) == ("young", None, None, None, None)


@pytest.mark.parametrize("name", ["scores.json", "model.safetensors", "config.json"])
def test_a_damaged_file_is_named_with_its_model(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "broken")
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text("[1, 2")
    monkeypatch.setattr(zoo, "CHECKOUT", tmp_path)
    with pytest.raises(WherelookError, match=r"files of zoo model 'broken' in .*broken cannot be read"):
        zoo.zoo_models()
