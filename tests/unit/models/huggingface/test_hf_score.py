"""The score function on a tiny LLaVA: against the model called by hand, and in everything it must not do."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from tools.families import Pair, build
from torch import Tensor, nn

from wherelook.baselines import make_baseline
from wherelook.canvas import Canvas
from wherelook.errors import WherelookError
from wherelook.geometry import Geometry, TensorGeometry, sample
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.batching import BatchPlan
from wherelook.models.huggingface.score import HuggingFaceScore
from wherelook.models.huggingface.teacher_forcing import Conversation, teacher_forced_inputs
from wherelook.models.speedups.patching import frozen
from wherelook.score import Cost, Noise, PixelGradient

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8))
BASELINE = Image.fromarray(make_baseline("mean", np.asarray(PICTURE)))
QUESTION = "What color is the ring?"


def masks(count: int, *, seed: int = 0) -> Tensor:
    return torch.rand(count, 5, 8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pair() -> Pair:
    return build("llava")


class Watched:
    """A model whose forward calls are recorded: the inputs of each, and the images in it."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.calls: list[dict[str, Tensor]] = []
        self.fails_above: int | None = None
        self.result = lambda output: output
        self._forward = model.forward

        @functools.wraps(self._forward)
        def forward(*arguments, **inputs):
            self.calls.append(inputs)
            if self.fails_above is not None and len(inputs["input_ids"]) > self.fails_above:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 PiB")
            return self.result(self._forward(*arguments, **inputs))

        model.forward = forward

    @property
    def batches(self) -> list[int]:
        return [len(call["input_ids"]) for call in self.calls]


@pytest.fixture
def watched(pair) -> Iterator[Watched]:
    watched = Watched(pair[0])
    yield watched
    del pair[0].forward


@pytest.fixture
def model(pair) -> VisionLanguageModel:
    return VisionLanguageModel(*pair, batch_size=4)


@pytest.fixture
def answer(model) -> tuple[int, ...]:
    return model.tokenize_answer(model.encode(PICTURE, QUESTION), "The ring is purple.")


@pytest.fixture
def score(model, answer) -> HuggingFaceScore:
    return model.score(model.encode(PICTURE, QUESTION), BASELINE, answer)


def by_hand(pair: Pair, model: VisionLanguageModel, picture: Image.Image, answer: tuple[int, ...]) -> Tensor:
    """Log-probabilities from one full forward of the bare model over prompt and whole answer."""
    network, processor = pair
    inputs = processor(images=picture, text=model.render(QUESTION), return_tensors="pt")
    length = inputs["input_ids"].shape[1]
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer])], dim=1)
    with torch.no_grad():
        logits = network(input_ids=ids, pixel_values=inputs["pixel_values"]).logits[0]
    log_probabilities = logits.log_softmax(dim=-1)
    return torch.stack([log_probabilities[length - 1 + i, token] for i, token in enumerate(answer)])


# ---- values ----


def test_the_ends_are_the_models_own_probabilities(pair, model, score, answer):
    assert len(answer) > 4
    torch.testing.assert_close(score.original, by_hand(pair, model, PICTURE, answer), atol=1e-4, rtol=0)
    torch.testing.assert_close(score.baseline, by_hand(pair, model, BASELINE, answer), atol=1e-4, rtol=0)
    ends = score(torch.stack([torch.ones(5, 8), torch.zeros(5, 8)]))
    torch.testing.assert_close(ends, torch.stack([score.original, score.baseline]), atol=1e-5, rtol=0)
    assert (score.original - score.baseline).abs().max() > 0.1


def test_a_mask_shows_the_picture_that_it_describes(pair, model, score, answer):
    """The left half kept, the right half replaced: as if the pixels had been pasted before processing."""
    pasted = np.where(np.arange(64)[None, :, None] < 32, np.asarray(PICTURE), np.asarray(BASELINE))
    mask = (torch.arange(64) < 32).float().expand(40, 64)
    expected = by_hand(pair, model, Image.fromarray(pasted), answer)
    torch.testing.assert_close(score(mask[None])[0], expected, atol=0.05, rtol=0)
    assert (expected - score.original).abs().max() > 0.1


def test_gradient_is_autograd_of_the_score(score):
    given = masks(5)
    leaf = given.clone().requires_grad_()
    values = score(leaf)
    (expected,) = torch.autograd.grad(values.sum(), leaf)
    got_values, got = score.gradient(given)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(got_values, values.detach(), atol=1e-5, rtol=0)
    torch.testing.assert_close(score(given), values.detach(), atol=1e-5, rtol=0)
    assert not got.requires_grad
    assert not score(given).requires_grad


def test_selecting_tokens_selects_columns(score, watched):
    full = score(masks(2))
    before = len(watched.calls)
    ends = score.original, score.baseline
    part = score.select([1, 3])
    torch.testing.assert_close(part.original, ends[0][[1, 3]])
    torch.testing.assert_close(part.baseline, ends[1][[1, 3]])
    assert len(watched.calls) == before + 1  # the ends of the whole; those of the part follow without the model
    torch.testing.assert_close(part(masks(2)), full[:, [1, 3]], atol=1e-5, rtol=0)
    torch.testing.assert_close(part.select([3]).original, ends[0][[3]])


def test_nothing_after_the_last_selected_token_is_computed(score, answer, watched):
    score.select([0, 2])(masks(1))
    prompt = score.conversation.prompt_length
    call = watched.calls[-1]
    assert call["input_ids"].shape == call["attention_mask"].shape == (1, prompt + 2)
    assert call["logits_to_keep"].tolist() == [-3, -1]
    score.select([0])(masks(1))
    assert watched.calls[-1]["input_ids"].shape == (1, prompt)


def test_another_baseline_replaces_only_the_baseline(model, score):
    black = Image.new("RGB", PICTURE.size)
    other = score.with_baseline(model.pixels(model.encode(PICTURE, QUESTION), black))
    torch.testing.assert_close(other.original, score.original)
    assert (other.baseline - score.baseline).abs().max() > 1e-3
    fresh = model.score(model.encode(PICTURE, QUESTION), black, score.conversation.answer)
    torch.testing.assert_close(other(masks(2)), fresh(masks(2)))


def test_flips_say_where_the_baseline_changes_the_choice(pair, model, answer):
    """For tokens that the model would choose with the image, and for an answer that it would not give."""
    network, _ = pair
    prompt, blank = model.encode(PICTURE, QUESTION), model.encode(BASELINE, QUESTION)

    def choices(inputs, forced: tuple[int, ...]) -> list[int]:
        ids = torch.cat([inputs["input_ids"], torch.tensor([forced])], dim=1)
        with torch.no_grad():
            logits = network(input_ids=ids, pixel_values=inputs["pixel_values"]).logits[0]
        return logits[-len(forced) - 1 : -1].argmax(dim=-1).tolist()

    chosen: tuple[int, ...] = (answer[0],)
    for _ in range(6):  # greedy over the whole vocabulary: token by token what the model prefers
        chosen = (*chosen[:-1], choices(prompt.inputs, chosen)[-1], answer[0])
    chosen = chosen[:-1]
    assert choices(prompt.inputs, chosen) == list(chosen)
    expected = [choice != token for choice, token in zip(choices(blank.inputs, chosen), chosen, strict=True)]
    assert model.score(prompt, BASELINE, chosen).flips() == expected
    assert any(expected)
    assert not any(model.score(prompt, PICTURE, chosen).flips())  # the same picture changes nothing
    expected = [
        seen == token != blind
        for seen, token, blind in zip(
            choices(prompt.inputs, answer), answer, choices(blank.inputs, answer), strict=True
        )
    ]
    assert model.score(prompt, BASELINE, answer).flips() == expected
    assert not all(expected)


# ---- noise ----


def test_noise_does_not_depend_on_the_batches(pair, answer):
    noise = Noise(0.2, tuple(range(100, 106)))
    results = []
    for batch_size in (1, 4, 6):
        model = VisionLanguageModel(*pair, batch_size=batch_size)
        model.plan.bytes_per_image = 1  # measured already: full batches from the start
        results.append(model.score(model.encode(PICTURE, QUESTION), BASELINE, answer).gradient(masks(6), noise=noise))
    for values, gradients in results[1:]:
        torch.testing.assert_close(values, results[0][0], atol=1e-5, rtol=0)
        torch.testing.assert_close(gradients, results[0][1], atol=1e-5, rtol=1e-3)


def test_noise_is_gaussian_on_pixels_and_absent_from_padding():
    """DeepSeek pads to a square: the rows above and below the picture stay what the processor made them."""
    model = VisionLanguageModel(*build("deepseek_vl_hybrid"))
    prompt = model.encode(PICTURE, QUESTION)
    score = model.score(prompt, BASELINE, model.tokenize_answer(prompt, "It is red."))
    watched = Watched(model.model)
    same = torch.ones(2, 1, 1)
    score.gradient(same, noise=Noise(0.5, (1, 2)))
    clean = {name: prompt.inputs[name] for name in ("pixel_values", "high_res_pixel_values")}
    for name, pixels in clean.items():
        first, second = (call[name][0].detach() - pixels[0] for call in watched.calls)
        pixel = score.geometry.tensors[name].pixel[0].expand(first.shape)
        assert 0 < pixel.float().mean() < 1
        assert first[~pixel].abs().max() < 1e-5
        assert float(first[pixel].std()) == pytest.approx(0.5, rel=0.05)
        assert abs(float((first[pixel] * second[pixel]).mean())) < 0.02  # independent
    assert not torch.equal(*(call["pixel_values"] for call in watched.calls))


# ---- gradient by the pixels ----


def test_the_pixel_gradient_is_that_of_the_bare_model(pair, model, score, answer):
    """Its magnitude, in nats from black to white, added up: LLaVA's tensor is one picture without padding."""
    network, processor = pair
    assert isinstance(score, PixelGradient)
    inputs = processor(images=PICTURE, text=model.render(QUESTION), return_tensors="pt")
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer])], dim=1)
    pixels = inputs["pixel_values"].requires_grad_()
    log_probabilities = network(input_ids=ids, pixel_values=pixels).logits[0].log_softmax(dim=-1)
    rows = torch.arange(len(answer)) + inputs["input_ids"].shape[1] - 1
    (slope,) = torch.autograd.grad(log_probabilities[rows, list(answer)].sum(), pixels)
    place = score.geometry.tensors["pixel_values"]
    expected = (slope.abs() * place.value_range * place.pixel).sum()
    assert expected > 0
    torch.testing.assert_close(score.pixel_gradient((1, 1))[0, 0], expected, rtol=1e-3, atol=0)
    cells = score.pixel_gradient((5, 8))
    torch.testing.assert_close(cells.sum(), expected, rtol=1e-3, atol=0)
    assert cells.shape == (5, 8)
    assert not cells.requires_grad
    # And each element goes to the cells that a mask reaches it from.
    slopes = [
        float((sample(cell.reshape(1, 5, 8), place)[0] * slope.abs() * place.value_range).sum())
        for cell in torch.eye(40)
    ]
    torch.testing.assert_close(cells.flatten(), torch.tensor(slopes), rtol=1e-3, atol=1e-6)


def test_the_pixel_gradient_is_averaged_over_noisy_copies_before_its_magnitude_is_taken(pair, answer):
    """Whatever the batches; noise of nothing changes nothing."""
    results = []
    for batch_size in (1, 4, 6):
        model = VisionLanguageModel(*pair, batch_size=batch_size)
        model.plan.bytes_per_image = 1  # measured already: full batches from the start
        score = model.score(model.encode(PICTURE, QUESTION), BASELINE, answer)
        results.append(score.pixel_gradient((5, 8), noise=Noise(0.3, tuple(range(6)), relative=True)))
        assert (model.cost.forward, model.cost.backward) == (6, 6)
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], atol=1e-6, rtol=1e-3)
    clean = score.pixel_gradient((5, 8))
    torch.testing.assert_close(score.pixel_gradient((5, 8), noise=Noise(0.0, (1, 2))), clean, atol=1e-6, rtol=1e-3)
    singles = [score.pixel_gradient((5, 8), noise=Noise(0.3, (seed,), relative=True)) for seed in range(6)]
    assert results[0].sum() < 0.99 * torch.stack(singles).mean(dim=0).sum()  # signs that disagree cancel


def test_the_pixel_gradient_of_every_tensor_counts_and_padding_does_not():
    model = VisionLanguageModel(*build("deepseek_vl_hybrid"))
    prompt = model.encode(PICTURE, QUESTION)
    score = model.score(prompt, BASELINE, model.tokenize_answer(prompt, "It is red."))
    whole = float(score.pixel_gradient((1, 1)).sum())
    parts = []
    for name, place in score.geometry.tensors.items():
        only = Geometry(score.canvas, {name: place})
        score.geometry = only
        parts.append(float(score.pixel_gradient((1, 1)).sum()))
        nothing = TensorGeometry(place.grid, torch.zeros_like(place.pixel), place.value_range, place.canvas)
        score.geometry = Geometry(only.canvas, {name: nothing})
        assert not score.pixel_gradient((3, 4)).any()
        score.geometry = model.geometry((PICTURE.height, PICTURE.width))
    assert len(parts) == 2
    assert min(parts) > 0
    assert whole == pytest.approx(sum(parts), rel=1e-3)


def test_relative_noise_is_a_share_of_the_range_from_black_to_white(score):
    place = score.geometry.tensors["pixel_values"]
    one = torch.ones(1, 1, 1)
    relative = score.blend(one, Noise(0.1, (7,), relative=True))["pixel_values"]
    absolute = score.blend(one, Noise(0.1 * place.value_range, (7,)))["pixel_values"]
    torch.testing.assert_close(relative, absolute)
    assert place.value_range > 1.5
    assert not torch.allclose(relative, score.blend(one, Noise(0.1, (7,)))["pixel_values"], atol=0.1)


def test_the_pixel_gradient_in_smaller_batches_after_running_out_of_memory(score, model, watched):
    model.plan.bytes_per_image = 1
    noise = Noise(0.1, (1, 2, 3, 4))
    expected = score.pixel_gradient((5, 8), noise=noise)
    watched.fails_above = 3
    torch.testing.assert_close(score.pixel_gradient((5, 8), noise=noise), expected, atol=1e-6, rtol=1e-3)
    assert watched.batches == [4, 4, 2, 2]


# ---- cost and memory ----


def test_every_pass_is_counted_once(score, model, watched):
    model.cost.forward = 0  # one pass has told whether the given answer begins with a space
    assert model.cost.backward == 0
    _ = score.original, score.baseline, score.original
    assert (model.cost.forward, model.cost.backward) == (2, 0)
    score(masks(7))
    score.gradient(masks(5))
    assert (model.cost.forward, model.cost.backward) == (14, 5)
    assert model.cost.forward == sum(watched.batches)


@pytest.mark.parametrize("fits", [1, 2, 3])
def test_smaller_batches_after_running_out_of_memory(score, model, watched, fits):
    expected_values, expected_gradients = score.gradient(masks(7))
    expected = score(masks(7))
    watched.calls.clear()
    watched.fails_above = fits
    values, gradients = score.gradient(masks(7))
    torch.testing.assert_close(values, expected_values, atol=1e-5, rtol=0)
    torch.testing.assert_close(gradients, expected_gradients, atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(score(masks(7)), expected, atol=1e-5, rtol=0)
    tried = [batch for batch in watched.batches if batch > fits]
    assert tried == [4, 2][: len(tried)]  # halved, and not tried again
    assert sum(batch for batch in watched.batches if batch <= fits) == 14


def test_a_single_image_that_does_not_fit_is_an_error_with_advice(score, watched):
    watched.fails_above = 0
    with pytest.raises(WherelookError, match="out of memory with a single image: use a smaller image or model"):
        score.gradient(masks(3))


def test_other_errors_are_not_taken_for_a_lack_of_memory(score, watched):
    def broken(output):
        raise RuntimeError("shapes do not match")

    watched.result = broken
    with pytest.raises(RuntimeError, match="shapes do not match"):
        score(masks(3))
    assert watched.batches == [3]


def test_the_memory_limit_is_kept(pair, answer, watched):
    model = VisionLanguageModel(*pair, batch_size=16)
    score = model.score(model.encode(PICTURE, QUESTION), BASELINE, answer)
    score.gradient(masks(3))
    assert watched.batches == [1, 2]  # one is measured, then what memory allows
    measured = model.plan.bytes_per_image
    assert measured is not None
    for limit, largest in ((1, 1), (int(2.5 * measured), 2), (100 * measured, 6)):
        limited = VisionLanguageModel(*pair, batch_size=16, memory_limit=limit)
        watched.calls.clear()
        limited.score(limited.encode(PICTURE, QUESTION), BASELINE, answer).gradient(masks(7))
        assert watched.batches[0] == 1
        assert max(watched.batches[1:]) == largest


class LiveGraphs:
    """Bytes that autograd holds for backward: now, and at most."""

    def __init__(self) -> None:
        self.now = self.peak = 0

    def pack(self, tensor: Tensor) -> LiveGraphs._Saved:
        return self._Saved(self, tensor)

    class _Saved:
        def __init__(self, owner: LiveGraphs, tensor: Tensor) -> None:
            # Detached: an output that its own node saves would otherwise hold itself alive.
            self.owner, self.tensor = owner, tensor.detach()
            owner.now += tensor.nbytes
            owner.peak = max(owner.peak, owner.now)

        def __del__(self) -> None:
            self.owner.now -= self.tensor.nbytes


def test_memory_does_not_grow_with_the_number_of_masks(pair, answer):
    model = VisionLanguageModel(*pair, batch_size=5)
    score = model.score(model.encode(PICTURE, QUESTION), BASELINE, answer)
    score.gradient(masks(1))  # measures, with hooks of its own
    peaks = []
    for count in (5, 50):
        graphs = LiveGraphs()
        with torch.autograd.graph.saved_tensors_hooks(graphs.pack, lambda saved: saved.tensor):
            score.gradient(masks(count))
        assert graphs.now == 0
        peaks.append(graphs.peak)
    assert peaks[0] == peaks[1] > 0
    # And one image costs what was measured, but for the leaf and shared buffers.
    assert peaks[0] / 5 == pytest.approx(model.plan.bytes_per_image, rel=0.3)


# ---- nothing is left behind ----


def test_no_graph_outlives_a_gradient_also_not_the_measured_one(score, model):
    """LLaVA never reads its last vision layer: no backward frees that part of the graph."""
    outputs: list[weakref.ref[Tensor]] = []

    def remember(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            outputs.append(weakref.ref(output))

    handles = [module.register_forward_hook(remember) for module in model.model.modules()]
    try:
        score.gradient(masks(1))
    finally:
        for handle in handles:
            handle.remove()
    assert model.plan.bytes_per_image is not None
    gc.collect()
    assert len(outputs) > 20
    assert [output() for output in outputs] == [None] * len(outputs)


def hooks(model: nn.Module) -> list[int]:
    return [
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for module in model.modules()
    ]


def test_flags_and_hooks_are_as_before_also_after_an_error(score, model, watched):
    _ = score.original  # Transformers installs hooks of its own in a model's first forward
    hooks_before = hooks(model.model)
    parameters = list(model.model.parameters())
    for parameter in parameters[::2]:
        parameter.requires_grad_(True)
    flags = [parameter.requires_grad for parameter in parameters]
    try:
        score.gradient(masks(2))
        assert [parameter.requires_grad for parameter in parameters] == flags
        assert all(parameter.grad is None for parameter in parameters)
        with frozen(model.model):
            assert not any(parameter.requires_grad for parameter in parameters)
        watched.fails_above = 0
        with pytest.raises(WherelookError):
            score.gradient(masks(2))
        assert [parameter.requires_grad for parameter in parameters] == flags
    finally:
        model.model.requires_grad_(False)
    assert hooks(model.model) == hooks_before


def test_inputs_are_not_changed(model, answer):
    prompt = model.encode(PICTURE, QUESTION)
    before = {name: value.clone() for name, value in prompt.inputs.items()}
    given = masks(3)
    score = model.score(prompt, BASELINE, answer)
    score.gradient(given, noise=Noise(0.1, (1, 2, 3)))
    score(given)
    assert torch.equal(given, masks(3))
    assert given.grad is None
    assert not given.requires_grad
    assert all(torch.equal(prompt.inputs[name], value) for name, value in before.items())


# ---- numbers that are not numbers ----


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_an_error(score, watched, bad):
    def spoil(output):
        output.logits = output.logits * bad
        return output

    watched.result = spoil
    for call in (score, score.gradient):
        with pytest.raises(WherelookError, match="logits are not finite"):
            call(masks(2))


def test_a_gradient_that_is_not_finite_is_an_error(score, watched):
    def spoil(output):
        output.logits = output.logits + (output.logits.sum() * 0).sqrt()  # zero with an infinite slope
        return output

    watched.result = spoil
    with pytest.raises(WherelookError, match="gradient with respect to the mask is not finite"):
        score.gradient(masks(2))
    with pytest.raises(WherelookError, match="gradient with respect to the pixels is not finite"):
        score.pixel_gradient((5, 8))


# ---- models unlike LLaVA ----


class Plain(nn.Module):
    """No `logits_to_keep`, no cache; three image tokens of its own in front; a vocabulary of four.

    The logits after each text token are its id times the image's mean, for token 1; 0 for the others.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, input_ids: Tensor, pixel_values: Tensor) -> object:
        mean = pixel_values.to(self.dtype).flatten(1).mean(dim=1)
        logits = torch.zeros(*input_ids.shape, 4, dtype=self.dtype)
        logits[..., 1] = input_ids * mean[:, None]
        prefix = torch.full((len(logits), 3, 4), 99.0, dtype=self.dtype)
        return type("Output", (), {"logits": torch.cat([prefix, logits], dim=1)})


def plain_score(image: float, baseline: float, *, selected: tuple[int, ...] = (0, 1), dtype=torch.float32):
    grid, canvas = torch.zeros(1, 1, 2, 2, 2), Canvas(((2, 2),))
    return HuggingFaceScore(
        Plain(dtype),
        Conversation({"input_ids": torch.tensor([[3, 2]])}, (1, 0)),
        {"pixel_values": torch.full((1, 1, 2, 2), image, dtype=dtype)},
        {"pixel_values": torch.full((1, 1, 2, 2), baseline, dtype=dtype)},
        Geometry(canvas, {"pixel_values": TensorGeometry(grid, torch.ones(1, 1, 2, 2, dtype=torch.bool), 1.0, canvas)}),
        selected=selected,
        plan=BatchPlan(torch.device("cpu")),
        cost=Cost(),
    )


def test_logits_are_found_behind_image_tokens_of_the_models_own():
    """Closed form: after token 2 the answer 1 has logit 2 * mean; after token 1 the answer 0 competes with 1 * mean."""
    score = plain_score(2.0, -1.0)
    for values, mean in ((score.original, 2.0), (score.baseline, -1.0), (score(torch.full((1, 1, 1), 0.5))[0], 0.5)):
        logits = torch.tensor([[0, 2 * mean, 0, 0], [0, mean, 0, 0]])
        expected = logits.log_softmax(dim=-1)[[0, 1], [1, 0]]
        torch.testing.assert_close(values, expected)
    torch.testing.assert_close(plain_score(2.0, -1.0, selected=(1,)).original, score.original[1:])


def test_half_precision_logits_are_normalised_in_single_precision():
    """Probability exp(-200) has no float16, and its logarithm would be off by 0.03 nats."""
    score = plain_score(-100.0, 1.0, selected=(0,), dtype=torch.float16)
    assert score.original.dtype == torch.float32
    torch.testing.assert_close(score.original, torch.tensor([-200 - np.log(3)], dtype=torch.float32), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("name", "prompt", "expected"),
    [
        ("attention_mask", [[0, 1, 1]], [[0, 1, 1, 1, 1]]),
        ("token_type_ids", [[0, 0, 0]], [[0, 0, 0, 1, 1]]),  # prefix and suffix
        ("token_type_ids", [[0, 1, 0]], [[0, 1, 0, 0, 0]]),  # image and text
        ("mm_token_type_ids", [[0, 1, 0]], [[0, 1, 0, 0, 0]]),
        ("mm_token_type_ids", [[0, 0, 0]], [[0, 0, 0, 0, 0]]),
        (
            "cross_attention_mask",
            [[[[1, 0]], [[1, 1]], [[0, 1]]]],
            [[[[1, 0]], [[1, 1]], [[0, 1]], [[0, 1]], [[0, 1]]]],
        ),
        ("image_sizes", [[40, 64]], [[40, 64]]),
        ("image_grid_thw", [[1, 4, 6]], [[1, 4, 6]]),
    ],
)
def test_inputs_grow_with_the_answer(name, prompt, expected):
    ids = [5, 6, 7, 8] if name == "image_grid_thw" else [5, 6, 7]
    conversation = Conversation({"input_ids": torch.tensor([ids]), name: torch.tensor(prompt)}, (8, 9, 10))
    inputs = teacher_forced_inputs(conversation, [0, 2])
    assert inputs["input_ids"].tolist() == [[*ids, 8, 9]]
    assert inputs[name].tolist() == expected
