"""Cambrian against the same computation in plain loops; batches, caches, gradients, and where its encoders look."""

from __future__ import annotations

import contextlib
import copy

import numpy as np
import pytest
import torch
from cambrian_reference import aggregate, logits
from PIL import Image
from tools.families import build

from wherelook.load_options import LoadOptions
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.loading import load
from wherelook.models.ports.cambrian.configuration import TOWERS, CambrianConfig
from wherelook.models.ports.cambrian.grids import cut_windows, window_masks

SIZES = [(70, 130), (130, 70), (90, 90), (61, 64)]
PIXELS = [f"pixel_values_{tower}" for tower in TOWERS]
IMAGES = [*PIXELS, "image_sizes"]


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


@pytest.fixture(scope="module", params=["cambrian", "cambrian_phi3"])
def pair(request):
    return build(request.param)


@pytest.fixture(scope="module")
def cambrian():
    return build("cambrian")


def encode(processor, images, text="<image>\nWhat color?"):
    return processor(text=[text] * len(images), images=images, return_tensors="pt", padding=True)


def test_every_weight_has_a_first_value(pair):
    """New memory is filled with NaN, which nothing may be left with."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng():
            model = type(pair[0])(pair[0].config)
    finally:
        torch.use_deterministic_algorithms(before)
    weights = dict(model.named_parameters())
    assert [name for name, weight in weights.items() if not weight.isfinite().all()] == []
    embeddings = torch.cat([w.flatten() for name, w in weights.items() if ".layers.0.position_embeddings." in name])
    assert embeddings.std().item() == pytest.approx(1.0, abs=0.2)


# ---- the computation ----


@pytest.mark.parametrize("size", SIZES)
def test_the_whole_model_is_the_loop_over_queries(pair, size):
    model, processor = pair
    inputs = encode(processor, [noise(size)])
    exact = copy.deepcopy(model).double()
    inputs = {name: value.double() if value.is_floating_point() else value for name, value in inputs.items()}
    with torch.no_grad():
        found = exact(**inputs).logits
        expected = logits(
            exact.config,
            exact.state_dict(),
            inputs["input_ids"],
            {tower: inputs[f"pixel_values_{tower}"] for tower in TOWERS},
            [size],
        )
    assert found.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_an_aggregator_is_the_loop_over_queries(cambrian):
    """Random queries, contexts and maps of two images, one of which has padded windows that are re-opened."""
    model = copy.deepcopy(cambrian[0]).double()
    config, sizes = model.config, [(20, 100), (100, 90)]
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    grid, width = config.image_grid, config.vision_hidden_size
    maps = [draw(2, side, side, width) for side in config.vision_grids]
    queries, context = draw(2, grid, grid, width), draw(2, width)
    with torch.no_grad():
        found = model.model.connector.layers[1](
            queries.flatten(0, 2),
            context.repeat_interleave(grid**2, dim=0),
            [cut_windows(each, grid).flatten(0, 2) for each in maps],
            [window_masks(sizes, side, grid).flatten(0, 2) for side in config.vision_grids],
        ).unflatten(0, (2, grid, grid))
    weights = model.state_dict()
    for image, row, column in np.ndindex(2, grid, grid):
        expected = aggregate(
            config,
            weights,
            "model.connector.layers.1",
            queries[image, row, column],
            context[image],
            [each[image] for each in maps],
            (row, column),
            sizes[image],
        )
        torch.testing.assert_close(found[image, row, column], expected, atol=1e-10, rtol=0)


def test_newlines_and_text_pass_the_aggregators_unchanged(cambrian):
    model, processor = cambrian
    inputs = encode(processor, [noise((70, 130))])
    with torch.no_grad():
        found = model.get_image_features(*(inputs[name] for name in IMAGES))
    rows, columns = 4, 6  # 6 x 6 less the padding: 6 * 70 / 130 = 3.2 rows, rounded down and cut evenly
    assert found.is_cell.reshape(rows, columns + 1).tolist() == [[True] * columns + [False]] * rows
    tokens = found.pooler_output[0].reshape(rows, columns + 1, -1)
    assert torch.equal(tokens[:, -1], model.model.image_newline.expand(rows, -1))
    assert [len(each) for each in found.aggregation["windows"]] == [rows * columns] * 4

    seen = {}

    def note(layer, arguments, options, output):
        seen["out"] = output

    layer = model.model.language_model.layers[0]
    with torch.no_grad():
        aggregated = layer.register_forward_hook(note, with_kwargs=True)
        model(**inputs)
        aggregated.remove()
        first = layer.register_forward_hook(note, with_kwargs=True, prepend=True)
        after = seen["out"]
        model(**inputs)
        first.remove()
    moved = (after - seen["out"]).abs().amax(dim=-1)[0] > 0
    placeholders = (inputs["input_ids"][0] == model.config.image_token_id).nonzero()[:, 0]
    assert moved.nonzero()[:, 0].tolist() == placeholders[found.is_cell].tolist()


def test_a_deep_copy_runs_its_own_aggregators(cambrian):
    model, processor = cambrian
    inputs = encode(processor, [noise((70, 130))])
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.model.language_aggregators.parameters():
            parameter.zero_()
        before, zeroed = model(**inputs).logits, other(**inputs).logits
        assert (before - zeroed).abs().max() > 1e-3
        torch.testing.assert_close(model(**inputs).logits, before)


def test_images_of_several_shapes_in_a_batch_and_in_one_prompt(cambrian):
    model, processor = cambrian
    processor.tokenizer.padding_side = "left"
    images = [noise(size, seed) for seed, size in enumerate(SIZES)]
    with torch.no_grad():
        together = model(**encode(processor, images)).logits[:, -1]
        apart = torch.cat([model(**encode(processor, [image])).logits[:, -1] for image in images])
        torch.testing.assert_close(together, apart, atol=1e-4, rtol=0)
        # Two images in one prompt: the second is read too.
        text = "<image> and <image>?"
        pairs = [
            processor(text=[text], images=[images[0], other], return_tensors="pt")
            for other in (images[1], noise(SIZES[1], 9))
        ]
        first, second = (model(**inputs).logits[0, -1] for inputs in pairs)
    assert (first - second).abs().max() > 1e-3


def test_generation_with_and_without_a_cache(pair):
    model, processor = pair
    inputs = encode(processor, [noise((70, 130))])
    runs = [
        model.generate(
            **inputs,
            max_new_tokens=8,
            do_sample=False,
            use_cache=cached,
            output_logits=True,
            return_dict_in_generate=True,
        )
        for cached in (True, False)
    ]
    assert torch.equal(runs[0].sequences, runs[1].sequences)
    for cached, plain in zip(runs[0].logits, runs[1].logits, strict=True):
        torch.testing.assert_close(cached, plain, atol=1e-4, rtol=0)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_gradient_reaches_the_pixels_of_every_encoder(pair, attention):
    model, processor = pair
    model.set_attn_implementation(attention)
    assert model.model.siglip_tower.config._attn_implementation == attention
    inputs = dict(encode(processor, [noise((70, 130))]))
    for name in PIXELS:
        inputs[name].requires_grad_()
    model(**inputs).logits[0, -1].square().sum().backward()
    for name in PIXELS:
        assert inputs[name].grad.abs().max() > 1e-5, name


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
def test_gradient_checkpointing_changes_no_gradient(cambrian):
    model, processor = copy.deepcopy(cambrian[0]), cambrian[1]
    model.requires_grad_(True).train()
    inputs = encode(processor, [noise((70, 130))])
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.zero_grad()
        model(**inputs, use_cache=False).logits[0, -1].square().sum().backward()
        gradients.append(
            {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
        )
    assert gradients[0].keys() == gradients[1].keys()
    assert any("language_aggregators" in name for name in gradients[0])
    for name, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][name], atol=1e-5, rtol=1e-4)


# ---- where the encoders look ----


@pytest.mark.parametrize("encoder", [*TOWERS, None])
@pytest.mark.parametrize(("size", "cell"), [((70, 130), (1, 4)), ((130, 70), (4, 1))])
def test_the_response_to_a_planted_patch_peaks_there(cambrian, encoder, size, cell, monkeypatch):
    """The middle of one cell of 6 x 8 (or 8 x 6) is changed; features of all encoders but one are zeros.

    The score answers to that cell most, and the image token that moves most lies there too.
    """
    monkeypatch.setattr("wherelook.models.huggingface.batching.UNMEASURED_BATCH", 16)  # the model is tiny
    model = VisionLanguageModel(*cambrian)
    grid = (6, 8) if size[1] > size[0] else (8, 6)
    place = [
        slice(round((at + 0.2) * side / cells), round((at + 0.8) * side / cells))
        for at, side, cells in zip(cell, size, grid, strict=True)
    ]
    plain = [noise(size, seed) for seed in range(8)]
    planted = [np.asarray(image).copy() for image in plain]
    for image in planted:
        image[tuple(place)] = 255 - image[tuple(place)]
    planted = [Image.fromarray(image) for image in planted]
    with only(model.model, encoder):
        prompt = model.encode(planted[0], "What color?")
        score = model.score(prompt, plain[0], model.tokenize_answer(prompt, "The red ring."))
        single = torch.eye(grid[0] * grid[1]).reshape(-1, *grid)
        response = (score(single) - score(torch.zeros(1, *grid))).norm(dim=1).reshape(grid)
        with torch.no_grad():
            before, after = (
                torch.stack(model.model.get_image_features(*(inputs[name] for name in IMAGES)).pooler_output)
                for inputs in (encode(model.processor, plain), encode(model.processor, planted))
            )
    assert divmod(int(response.argmax()), grid[1]) == cell
    assert response.max() > 1e-4
    # 70 of 130 pixels are 3.2 of 6 rows: rounded down to 3, and cut evenly, 4 are left.
    rows, columns = (4, 6) if size[1] > size[0] else (6, 4)
    moved = (after - before).square().sum(dim=(0, 2)).reshape(rows, columns + 1)[:, :-1]
    peak = divmod(int(moved.argmax()), columns)
    for at, cells, side, span in zip(peak, (rows, columns), size, place, strict=True):
        middle = (span.start + span.stop) / 2 + (max(size) - side) / 2  # in the padded square
        assert abs(at + 0.5 + (6 - cells) / 2 - 6 * middle / max(size)) < 1


@contextlib.contextmanager
def only(model, encoder):
    """The features of all encoders but one are zeros inside; None leaves them as they are."""
    hooks = [
        projector.register_forward_hook(lambda module, arguments, output: torch.zeros_like(output))
        for tower, projector in zip(TOWERS, model.model.vision_projectors, strict=True)
        if encoder not in (None, tower)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


# ---- Transformers' ways ----


def test_saved_and_loaded_by_the_auto_classes(pair, tmp_path):
    model, processor = pair
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded, its_processor = load(str(tmp_path), LoadOptions(device="cpu"))
    assert type(loaded) is type(model)
    assert its_processor.chat_template == processor.chat_template
    image = noise((70, 130))
    inputs, its_inputs = encode(processor, [image]), encode(its_processor, [image])
    assert inputs.keys() == its_inputs.keys()
    for name, value in inputs.items():
        assert torch.equal(value, its_inputs[name]), name
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name
    with torch.no_grad():
        torch.testing.assert_close(loaded(**its_inputs).logits, model(**inputs).logits)


def test_spread_over_devices_no_layer_is_split(cambrian):
    model = cambrian[0]
    layers = {"LlamaDecoderLayer", "AggregatorLayer", "VisionProjector", "SiglipEncoderLayer", "CLIPEncoderLayer"}
    layers |= {"Dinov2Layer", "ConvNextLayer"}
    assert layers <= {type(module).__name__ for module in model.modules()}
    assert layers <= set(model._no_split_modules)


# ---- what is refused ----


def test_inputs_that_do_not_fit_are_refused(cambrian):
    model, processor = cambrian
    inputs = dict(encode(processor, [noise((70, 130))]))
    ids = inputs["input_ids"]
    first = int((ids[0] == model.config.image_token_id).nonzero()[0])
    shorter = {"input_ids": torch.cat([ids[:, :first], ids[:, first + 1 :]], dim=1)}
    with pytest.raises(ValueError, match="has 27 image placeholders for 28 image tokens"):
        model(**shorter, **{name: inputs[name] for name in IMAGES})
    without = {name: value for name, value in inputs.items() if name != "pixel_values_clip"}
    with pytest.raises(
        ValueError, match="expected image_sizes and the pixel values of all of siglip, clip, dinov2, convnext"
    ):
        model(**without)
    embedded = model.get_input_embeddings()(torch.zeros(1, 3, dtype=torch.long))
    pixels = {name: inputs[name] for name in PIXELS}
    with pytest.raises(ValueError, match="pixel values need input_ids"):
        model(inputs_embeds=embedded, **pixels)
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        model(input_ids=ids, inputs_embeds=embedded)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vision_grids": [6, 6, 6, 13]}, r"expected a multiple of image_grid \(6\) for each of siglip, clip"),
        ({"vision_grids": [6, 6, 6]}, "expected a multiple"),
        ({"language_aggregators": 4}, "4 aggregators from layer 0, one every 1, do not fit into 3 decoder layers"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(cambrian, settings, message):
    with pytest.raises(ValueError, match=message):
        CambrianConfig(**{**cambrian[0].config.to_dict(), **settings})
