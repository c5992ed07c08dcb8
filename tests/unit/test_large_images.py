"""Images far larger than a model's input: it looks at them once, and everything else is made of smaller copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tools.families import build

from wherelook import Explainer
from wherelook.answer import ask
from wherelook.baselines import make_baseline
from wherelook.check import test_picture as make_picture
from wherelook.config import ExplainConfig
from wherelook.data.datasets import read_samples
from wherelook.errors import InputError
from wherelook.evaluation.failures import Watch
from wherelook.evaluation.method_spec import parse_methods
from wherelook.evaluation.run import Extent, execute
from wherelook.evaluation.run_folder import open_run
from wherelook.evaluation.worker import ModelWorker, Procedure
from wherelook.explanation import command_line
from wherelook.geometry import Geometry
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface import model as model_module

QUESTION, ANSWER = "What color is the circle?", "The circle is red."
LARGE = (2000, 2600)
OPTIONS = {"answer": ANSWER, "tokens": "all", "alpha": 0.0}


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    return VisionLanguageModel.from_pretrained("embedded", device="cpu")


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return make_picture(LARGE)


@pytest.fixture
def processed(model, monkeypatch) -> list[tuple[int, int]]:
    """(width, height) of every image that the processor is given."""
    seen: list[tuple[int, int]] = []
    whole = model.prompting.process

    def process(images, text, **options):
        seen.extend(image.size for image in images)
        return whole(images, text, **options)

    monkeypatch.setattr(model.prompting, "process", process)
    return seen


def test_the_processor_is_given_the_large_image_once(model, picture, processed):
    explanation = Explainer(model).explain(picture, QUESTION, method="center", replay_steps=2, **OPTIONS)
    assert processed.count(picture.size) == 1
    assert max(width * height for width, height in processed if (width, height) != picture.size) < 1.1e6
    assert explanation.canvas.size == explanation.pixels.shape[:2] == LARGE
    assert explanation.overlay().size == picture.size


def test_scores_are_those_of_the_large_image_and_its_large_baselines(model, picture):
    case = ask(model, picture, QUESTION, ExplainConfig(baseline="blur", **OPTIONS))
    assert case.working[0].pixels.size < case.image.pixels.size / 4
    assert case.score.canvas.size == LARGE
    prompt = model.encode(picture, QUESTION)
    blurred = Image.fromarray(make_baseline("blur", np.asarray(picture)))
    whole = model.score(prompt, blurred, [token.id for token in case.relevance.tokens])
    torch.testing.assert_close(case.score.original, whole.original, atol=1e-4, rtol=0)
    torch.testing.assert_close(case.score.baseline, whole.baseline, atol=0.02, rtol=0)
    masks = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(case.score(masks), whole(masks), atol=0.05, rtol=0)
    place, other = (next(iter(geometry.tensors.values())) for geometry in (case.score.geometry, whole.geometry))
    assert float((place.grid - other.grid).abs().max()) < 2e-3


@pytest.mark.parametrize("size", [(64, 64), (900, 1200)])
def test_images_that_are_not_large_are_taken_as_they_are(model, size):
    image = make_picture(size)
    assert model.stand_ins(model.encode(image, QUESTION), image) == [image]


def test_a_processor_that_does_something_else_with_a_smaller_image_gets_the_large_one(model, picture, monkeypatch):
    """One that cuts a piece of a thousand pixels out of the middle: the same shapes, and another picture."""
    whole = model.prompting.process

    def cropping(images, text, **options):
        middles = [(one.width // 2, one.height // 2) for one in images]
        boxes = [(x - 300, y - 300, x + 300, y + 300) for x, y in middles]
        return whole([one.crop(box) for one, box in zip(images, boxes, strict=True)], text, **options)

    monkeypatch.setattr(model.prompting, "process", cropping)
    monkeypatch.setattr(model, "_geometries", type(model._geometries)())
    assert model.stand_ins(model.encode(picture, QUESTION), picture) == [picture]


def test_no_geometry_is_measured_for_a_smaller_image_of_other_shapes(model, picture, monkeypatch):
    prompt = model.encode(picture, QUESTION)
    whole = model.prompting.process
    cut = {name for name, value in prompt.inputs.items() if value.is_floating_point()}

    def other_shapes(images, text, **options):
        return {
            name: value[..., 1:] if name in cut else value for name, value in whole(images, text, **options).items()
        }

    monkeypatch.setattr(model.prompting, "process", other_shapes)
    monkeypatch.setattr(model, "geometry", lambda *_, **__: pytest.fail("was measured"))
    assert model.stand_ins(prompt, picture) == [picture]


def test_the_blur_of_a_smaller_copy_is_that_of_the_large_image():
    pixels = np.asarray(make_picture((1200, 1600)))
    small = np.asarray(Image.fromarray(pixels).resize((800, 600), Image.Resampling.BOX))
    for name in ("blur", "strong-blur", "mean", "zeros"):
        whole = Image.fromarray(make_baseline(name, pixels)).resize((800, 600), Image.Resampling.BOX)
        copy = make_baseline(name, small, size=(1200, 1600))
        assert np.abs(np.asarray(whole).astype(int) - copy).max() <= 2, name


def test_measured_places_hold_for_images_of_the_same_shape(model):
    measured = model.geometry((300, 400))
    larger = measured.of([(1200, 1600)])
    assert isinstance(larger, Geometry)
    assert larger.canvas.size == (1200, 1600)
    assert measured.of([(300, 400)]) is measured


# ---- fewer pixels on demand ----


@pytest.fixture(scope="module")
def qwen():
    """A model and a processor whose number of image tokens grows with the image, up to a limit of pixels."""
    return build("qwen2_vl")


def test_a_processor_with_a_limit_of_pixels_is_told_another(qwen):
    picture = make_picture((168, 224))
    whole, fewer = VisionLanguageModel(*qwen), VisionLanguageModel(*qwen, max_pixels=4000)
    given, less = (model.encode(picture, QUESTION) for model in (whole, fewer))
    patch = fewer.processor.image_processor.patch_size
    pixels, allowed = (int(prompt.inputs["image_grid_thw"].prod()) * patch**2 for prompt in (less, given))
    assert fewer.prompting.pixel_range is not None
    assert pixels <= 4000 < allowed
    assert less.inputs["input_ids"].shape[1] < given.inputs["input_ids"].shape[1]
    assert fewer.description["max_pixels"] == 4000
    assert "max_pixels" not in whole.description
    assert fewer.size_notes(less) == ()
    assert fewer.check_blend(picture, Image.new("RGB", picture.size, "gray")).verdict == "exact"


def test_where_the_processor_has_no_limit_the_image_is_made_smaller_and_it_is_said(model):
    fewer = VisionLanguageModel(model.model, model.processor, max_pixels=60 * 80)
    picture = make_picture((300, 400))
    prompt = fewer.encode(picture, QUESTION)
    by_hand = model.encode(picture.resize((80, 60), Image.Resampling.BICUBIC), QUESTION)
    torch.testing.assert_close(prompt.inputs["pixel_values"], by_hand.inputs["pixel_values"])
    (note,) = fewer.size_notes(prompt)
    assert "at most 4800 pixels" in note
    assert "400 x 300" in note
    assert fewer.size_notes(fewer.encode(make_picture((60, 80)), QUESTION)) == ()
    explanation = Explainer(fewer).explain(picture, QUESTION, method="center", replay_steps=0, **OPTIONS)
    assert note in explanation.notes
    assert " --max-pixels 4800 " in " ".join(command_line.words(explanation))


def test_a_long_prompt_comes_with_advice(qwen, monkeypatch):
    model = VisionLanguageModel(*qwen)
    prompt = model.encode(make_picture((168, 224)), QUESTION)
    assert model.size_notes(prompt) == ()
    monkeypatch.setattr(model_module, "MANY_TOKENS", 10)
    (note,) = model.size_notes(prompt)
    assert f"{prompt.inputs['input_ids'].shape[1]} tokens" in note
    assert "--max-pixels" in note


LONG = "the prompt has"


def test_a_long_prompt_is_told_of_once_by_everything_that_runs_a_model(model, tmp_path, monkeypatch):
    """An explanation has a note; of many samples the first one earns a warning."""
    monkeypatch.setattr(model_module, "MANY_TOKENS", 10)
    explanation = Explainer(model).explain(make_picture((60, 80)), QUESTION, method="center", replay_steps=0, **OPTIONS)
    assert [note[: len(LONG)] for note in explanation.notes].count(LONG) == 1

    methods, said = tuple(parse_methods("center")), []
    procedure, watch = Procedure("scenes", methods, metrics=("map",)), Watch(said.append, "auto")
    with open_run(tmp_path, {"model": "embedded", **procedure.record}, {}) as folder:
        execute(
            lambda: read_samples("scenes"),
            folder,
            lambda: ModelWorker(procedure, model),
            extent=Extent(answers=2),
            watch=watch,
        )
    assert sum(LONG in text for text in said) == 1


@pytest.mark.parametrize("wrong", [0, -1, 100])
def test_impossible_limits_are_refused(model, wrong):
    with pytest.raises(InputError, match="max_pixels is"):
        VisionLanguageModel(model.model, model.processor, max_pixels=wrong)
