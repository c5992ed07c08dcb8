"""Mini-Gemini against an independent computation, and what an explanation relies on in each of its encoders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tools import families
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageTextToText

import mini_gemini_reference as reference
from wherelook.check import test_picture as make_picture
from wherelook.load_options import LoadOptions
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.loading import load
from wherelook.models.ports.minigemini import register
from wherelook.models.ports.minigemini.configuration import MiniGeminiConfig
from wherelook.models.ports.minigemini.modeling import MiniGeminiForConditionalGeneration, PatchInfoMining
from wherelook.models.ports.minigemini.processing import MiniGeminiImageProcessor, MiniGeminiProcessor

SIZE = (60, 120)
GRID = (5, 10)
CELL = 12
QUESTION = "What color is the star?"
NAMES = ["mini_gemini", "mini_gemini_hd"]
LOW, HIGH = "pixel_values", "high_res_pixel_values"
# The crops of the padded square meet at row 30 and column 60 of the image. By crop, a cell of the mask (row, column).
PLACES = {1: (1, 2), 2: (0, 8), 3: (3, 3), 4: (4, 6)}


@pytest.fixture(params=NAMES)
def model(request) -> VisionLanguageModel:
    return VisionLanguageModel(*families.build(request.param), identifier=request.param)


# ---- forward ----


def test_patch_info_mining_equals_loops_over_tokens_and_cells():
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mining = PatchInfoMining(6, 10).double().requires_grad_(False)
    tokens = torch.randn(2, 9, 6, generator=generator, dtype=torch.float64)
    features = torch.randn(2, 10, 12, 12, generator=generator, dtype=torch.float64)
    weights = dict(mining.state_dict())
    expected = torch.stack([reference.mined(*each, weights) for each in zip(tokens, features, strict=True)])
    torch.testing.assert_close(mining(tokens, features), expected, atol=1e-12, rtol=0)


def test_a_token_mines_its_own_patch_alone():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mining = PatchInfoMining(4, 5)
    tokens = torch.ones(1, 4, 4)
    features = torch.zeros(1, 5, 6, 6)
    changed = features.clone()
    changed[:, :, 0:3, 3:6] = torch.arange(5.0)[:, None, None]
    difference = (mining(tokens, changed) - mining(tokens, features)).abs().sum(dim=(0, 2))
    assert (difference > 0).tolist() == [False, True, False, False]


def test_the_whole_model_equals_an_independent_computation(model):
    prompt = model.encode(make_picture(SIZE), QUESTION)
    network = model.model.double()
    weights = dict(network.state_dict())
    config = network.config
    pixels, high = (prompt.inputs[name][0].double() for name in (LOW, HIGH))
    expected = reference.image_tokens(pixels, high, weights, grid=config.image_grid, whole=config.image_global)
    tokens = network.get_image_features(pixels[None], high[None]).pooler_output[0]
    torch.testing.assert_close(tokens, expected, atol=1e-10, rtol=0)

    ids = prompt.inputs["input_ids"][0]
    embedded = []
    rest = iter(expected)
    for token in ids.tolist():
        image = token == config.image_token_id
        embedded.append(next(rest) if image else weights["model.language_model.embed_tokens.weight"][token])
    assert next(rest, None) is None
    logits = reference.llama_logits(
        torch.stack(embedded),
        reference.part_of(weights, "model.language_model."),
        weights["lm_head.weight"],
        layers=2,
        heads=2,
    )
    found = network(input_ids=ids[None], pixel_values=pixels[None], high_res_pixel_values=high[None]).logits[0]
    assert found.std() > 0.1  # what the tolerance is small against
    torch.testing.assert_close(found, logits, atol=1e-6, rtol=0)


def test_images_of_a_batch_do_not_mix(model):
    pictures = [make_picture(SIZE), make_picture((90, 60))]
    single = [model.encode(picture, QUESTION).inputs for picture in pictures]
    together = {name: torch.cat([inputs[name] for inputs in single]) for name in single[0]}
    logits = model.model(**together).logits
    for row, inputs in zip(logits, single, strict=True):
        torch.testing.assert_close(row, model.model(**inputs).logits[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("change", ["no high resolution", "no ids", "neither", "too few"])
def test_inputs_that_do_not_go_together(model, change):
    inputs = dict(model.encode(make_picture(SIZE), QUESTION).inputs)
    count = int((inputs["input_ids"] == model.model.config.image_token_id).sum())
    if change == "no high resolution":
        inputs.pop(HIGH)
        message = "expected both pixel_values and high_res_pixel_values, or neither"
    elif change == "no ids":
        inputs["inputs_embeds"] = torch.zeros(1, 5, 32)
        inputs.pop("input_ids")
        message = "pixel values need input_ids, which say where the image is"
    elif change == "neither":
        inputs.pop("input_ids")
        message = "expected either input_ids or inputs_embeds"
    else:
        inputs["input_ids"] = inputs["input_ids"].clone()
        first = int((inputs["input_ids"][0] == model.model.config.image_token_id).nonzero()[0])
        inputs["input_ids"][0, first] = 5
        message = f"the prompt has {count - 1} image placeholders for {count} image tokens"
    with pytest.raises(ValueError, match=message):
        model.model(**inputs)


def test_text_alone_needs_no_image(model):
    ids = torch.tensor([[5, 6, 7]])
    by_embedding = model.model(inputs_embeds=model.model.get_input_embeddings()(ids)).logits
    assert torch.equal(model.model(input_ids=ids).logits, by_embedding)


def test_the_loss_is_that_of_the_next_tokens(model):
    inputs = model.encode(make_picture(SIZE), QUESTION).inputs
    labels = torch.full_like(inputs["input_ids"], -100)
    labels[:, -3:] = torch.tensor([7, 8, 9])
    output = model.model(**inputs, labels=labels)
    expected = -output.logits[0, -4:-1].log_softmax(-1)[range(3), [7, 8, 9]].mean()
    assert float(output.loss) == pytest.approx(float(expected), rel=1e-5)


# ---- generate, save, load ----


def test_generation_with_and_without_cache_agrees(model):
    inputs = model.encode(make_picture(SIZE), QUESTION).inputs
    options = {"max_new_tokens": 8, "do_sample": False, "return_dict_in_generate": True, "output_logits": True}
    cached, uncached = (model.model.generate(**inputs, use_cache=use, **options) for use in (True, False))
    assert torch.equal(cached.sequences, uncached.sequences)
    torch.testing.assert_close(torch.stack(cached.logits), torch.stack(uncached.logits), atol=1e-5, rtol=0)


def test_saved_and_loaded_by_the_auto_classes(model, tmp_path):
    model.model.save_pretrained(tmp_path)
    model.processor.save_pretrained(tmp_path)
    loaded, processor = load(str(tmp_path), LoadOptions(device="cpu"))
    assert type(loaded) is MiniGeminiForConditionalGeneration
    assert type(processor) is MiniGeminiProcessor
    assert type(AutoImageProcessor.from_pretrained(tmp_path)) is MiniGeminiImageProcessor
    config, before = AutoConfig.from_pretrained(tmp_path), model.model.config
    for name in ("image_token_id", "image_grid", "image_global", "vision_feature_layer", "tie_word_embeddings"):
        assert getattr(config, name) == getattr(before, name), name
    assert type(config.text_config) is type(before.text_config)
    first = model.encode(make_picture(SIZE), QUESTION).inputs
    second = VisionLanguageModel(loaded, processor).encode(make_picture(SIZE), QUESTION).inputs
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=0, rtol=0, msg=name)
    assert torch.equal(model.model(**first).logits, loaded(**first).logits)


def test_spread_over_memory_and_disk(model, tmp_path):
    """`device_map`: what is left on the disk is fetched where it is needed, in the towers as in the language model."""
    model.model.save_pretrained(tmp_path / "model")
    places = {name: "cpu" for name, _ in model.model.named_children()} | {"model": "disk"}
    spread = AutoModelForImageTextToText.from_pretrained(
        tmp_path / "model", device_map=places, offload_folder=tmp_path / "offload"
    )
    inputs = model.encode(make_picture(SIZE), QUESTION).inputs
    with torch.no_grad():
        torch.testing.assert_close(spread(**inputs).logits, model.model(**inputs).logits)


def test_registering_twice_changes_nothing():
    register()
    register()
    assert AutoConfig.for_model("mini_gemini").model_type == "mini_gemini"


def test_configurations_that_make_no_sense():
    with pytest.raises(ValueError, match="image_grid is 0; expected 1 or more"):
        MiniGeminiConfig(image_grid=0)
    with pytest.raises(ValueError, match="image_global needs an image_grid of 2 or more"):
        MiniGeminiConfig(image_global=True)


def test_the_published_sizes_are_the_defaults():
    config = MiniGeminiConfig()
    assert (config.vision_config.hidden_size, sum(config.high_resolution_config.hidden_sizes)) == (1024, 2880)
    assert (config.vision_config.image_size // config.vision_config.patch_size) ** 2 == 576
    assert config.views == 1
    assert MiniGeminiConfig(image_grid=2, image_global=True).views == 5


# ---- the mask in each encoder ----


def alone(score, name, view=None):
    """The score in which the mask acts on one pixel tensor alone, or on one view of it."""
    baseline = dict(score.image_pixels)
    baseline[name] = score.baseline_pixels[name]
    if view is not None:
        baseline[name] = score.image_pixels[name].clone()
        baseline[name][:, view] = score.baseline_pixels[name][:, view]
    return score.with_baseline(baseline)


def parts(model) -> list[tuple[str, int | None]]:
    views = model.model.config.views
    return [(HIGH, None), (LOW, None)] + [(LOW, view) for view in range(views) if views > 1]


def test_the_gradient_reaches_the_mask_through_each_encoder(model):
    picture = make_picture(SIZE)
    prompt = model.encode(picture, QUESTION)
    answer = model.tokenize_answer(prompt, "The green star.")
    score = model.score(prompt, Image.new("RGB", SIZE[::-1], (120, 120, 120)), answer)
    mask = torch.full((1, *GRID), 0.5)
    for name, view in parts(model):
        _, gradient = alone(score, name, view).gradient(mask)
        largest = float(gradient.abs().max())
        assert largest > 1e-3, (name, view)
        reached = (gradient[0].abs() > 1e-6 * largest).float().mean()
        assert reached == 1 if view in (None, 0) else 0.2 < reached < 0.6, (name, view)


@pytest.mark.parametrize("crop", PLACES)
def test_a_planted_patch_is_found_by_each_encoder_alone(model, crop, monkeypatch):
    """Image and baseline differ in the middle of one cell of the mask: removing that cell changes the answer most."""
    monkeypatch.setattr("wherelook.models.huggingface.batching.UNMEASURED_BATCH", 16)  # the model is tiny
    row, column = PLACES[crop]
    baseline = np.asarray(make_picture(SIZE))
    planted = baseline.copy()
    planted[row * CELL + 3 : row * CELL + 9, column * CELL + 3 : column * CELL + 9] = (255, 255, 0)
    prompt = model.encode(Image.fromarray(planted), QUESTION)
    answer = model.tokenize_answer(prompt, "The green star.")
    score = model.score(prompt, Image.fromarray(baseline), answer)
    masks = 1 - torch.eye(GRID[0] * GRID[1]).reshape(-1, *GRID)
    other = crop % 4 + 1
    for name, view in [(None, None), *parts(model)]:
        if view not in (None, 0, crop, other):
            continue
        one = score if name is None else alone(score, name, view)
        with torch.no_grad():
            response = (one(masks) - one.original).abs().sum(dim=1).reshape(GRID)
        if view == other:
            assert response.max() < 1e-4, (name, view)
            continue
        assert divmod(int(response.argmax()), GRID[1]) == (row, column), (name, view)
        assert response.max() > 1e-3, (name, view)
        far = torch.ones(GRID, dtype=torch.bool)
        far[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = False
        assert response[far].max() < 0.02 * response.max(), (name, view)
