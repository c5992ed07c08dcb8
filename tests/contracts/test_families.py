"""What must hold for every model family of Transformers: tiny ones with random weights and real processors."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from tools.families import build, missing_package
from torch import Tensor

from contracted import CONTRACTED
from wherelook import Explainer
from wherelook.attribution import METHODS, make_settings
from wherelook.baselines import make_baseline
from wherelook.check import Finding, check_model
from wherelook.check import test_picture as make_picture
from wherelook.errors import InputError
from wherelook.geometry import views
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface import score as score_module
from wherelook.models.huggingface.model import Prompt
from wherelook.models.huggingface.score import HuggingFaceScore
from wherelook.models.speedups.last_layer import parts_at_selected

# GLM-4V's processor in Transformers, on NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

QUESTION = "What color is the star?"
ANSWER = "The green star is left of the ring."
SIZE = (70, 130)
CROPPED = {"llava", "vipllava", "video_llava", "git"}
"""Families whose processors cut the sides of a wide image off."""
PADDED = {
    "llava_next",
    "llava_next_video",
    "llava_onevision",
    "mllama",
    "llama4",
    "lfm2_vl",
    "gemma4",
    "aria",
    "deepseek_vl",
    "deepseek_vl_hybrid",
    "janus",
    "mini_gemini",
    "mini_gemini_hd",
    "cambrian",
    "cambrian_phi3",
    "granite4_vision",
    "inkling2",
}
"""Families whose processors add a border to a wide image, or patches to a short sequence."""
ONE_AT_A_TIME = {"molmo2", "minicpmv4_6"}
"""Families whose processors make no plain batches: their images go through the model one at a time."""
COMPUTED_WHOLE = {"llama4", "lfm2_vl", "ernie4_5_vl_moe", "blip-2", "instructblip", "git", "inkling2"}
"""Families whose last layer's feed-forward part has another name, or asks for more than the hidden states."""


@dataclass(frozen=True)
class Case:
    """A family's model and one question about one wide picture."""

    name: str
    model: VisionLanguageModel
    picture: Image.Image
    baseline: Image.Image
    prompt: Prompt
    score: HuggingFaceScore
    findings: dict[str, Finding]


@pytest.fixture(scope="module", params=CONTRACTED)
def case(request) -> Case:
    missing = missing_package(request.param)
    if missing:
        pytest.skip(f"{request.param} needs {missing}")
    model = VisionLanguageModel(*build(request.param), identifier=request.param)
    picture = make_picture(SIZE)
    baseline = Image.fromarray(make_baseline("mean", np.asarray(picture)))
    prompt = model.encode(picture, QUESTION)
    score = model.score(prompt, baseline, model.tokenize_answer(prompt, ANSWER))
    return Case(
        request.param,
        model,
        picture,
        baseline,
        prompt,
        score,
        {finding.name: finding for finding in check_model(model)},
    )


def masks(count: int) -> Tensor:
    return torch.rand(count, 6, 8, generator=torch.Generator().manual_seed(count))


def figure(finding: Finding, pattern: str) -> float:
    found = re.search(pattern, finding.measured)
    assert found, finding.measured
    return float(found[1])


def test_every_check_passes(case):
    assert list(case.findings) == [
        "prompt", "geometry", "thinking", "answer", "teacher forcing", "score", "views", "batching", "gradient",
        "memory",
    ]  # fmt: skip
    assert all(finding.passed for finding in case.findings.values()), case.findings


def test_the_blend_in_model_space_is_the_blend_of_pixels(case):
    """On the picture of `check`, on this one, and on noise, which resampling mixes most."""
    assert figure(case.findings["geometry"], r"by ([\d.]+) of 255 on average") < 1
    assert case.model.check_blend(case.picture, case.baseline, QUESTION).mean < 1
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8))
    assert case.model.check_blend(noise, case.baseline, QUESTION).mean < 1.5


def test_teacher_forcing_sees_what_generation_saw(case):
    assert figure(case.findings["teacher forcing"], r"by ([\d.e+-]+) at most") < 1e-5


def test_the_gradient_is_that_of_finite_differences(case):
    """Along the gradient, and along random directions, where a part that is missing would show.

    It lies between the slopes on both sides: a ReLU that is about to turn on makes them differ.
    """
    assert figure(case.findings["gradient"], r"by ([\d.]+)%") < 5
    mask = 0.2 + 0.6 * masks(1)
    _, gradient = case.score.gradient(mask)
    step, tolerance = 7e-4, 0.02 * float(gradient.norm())
    for seed in range(3):
        direction = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(seed))
        below, here, above = case.score(torch.cat([mask - step * direction, mask, mask + step * direction])).double()
        slopes = sorted(float(change.sum()) / step for change in (here - below, above - here))
        assert slopes[0] - tolerance <= float((gradient * direction).sum()) <= slopes[1] + tolerance


def test_every_cell_of_the_mask_that_the_model_sees_has_a_gradient(case):
    """A crop cuts the sides of a wide picture off; every other family reads all of it."""
    _, gradient = case.score.gradient(0.2 + 0.6 * masks(1))
    seen = (gradient[0].abs() > 1e-7 * gradient.abs().max()).all(dim=0)
    assert seen.tolist() == ([False, *[True] * 6, False] if case.name in CROPPED else [True] * 8)


PLANTED = [(35 * row, 43 * column) for row in range(2) for column in range(3)]
"""Top left corners of patches of 35 x 43 pixels that cover the picture."""


def test_a_changed_patch_is_found_in_every_view_by_itself(case):
    """In each tile, thumbnail and encoder alone: the gradient through the model lies where the picture was changed."""
    grid, cell, height, width = (14, 26), 5, 35, 43
    seen: dict[tuple[str, tuple[int, ...]], bool] = {}
    for top, left in PLANTED:
        changed = np.array(case.picture)
        changed[top : top + height, left : left + width] ^= 128
        prompt = case.model.encode(Image.fromarray(changed), QUESTION)
        score = case.model.score(prompt, case.picture, case.score.conversation.answer)
        for name, place in score.geometry.tensors.items():
            change = (score.image_pixels[name] - score.baseline_pixels[name]).abs() * place.pixel / place.value_range
            for view in views(change):
                if not place.pixel.expand_as(change)[view].any():
                    continue  # a tile of padding alone
                seen.setdefault((name, view), False)
                if change[view].max() < 0.25:
                    continue
                before = dict(score.image_pixels)
                before[name] = before[name].clone()
                before[name][view] = score.baseline_pixels[name][view]
                _, gradient = score.with_baseline(before).gradient(torch.ones(1, *grid))
                response = gradient[0].abs()
                near = torch.zeros(grid)
                rows = slice(max(0, top // cell - 2), (top + height) // cell + 2)
                near[rows, max(0, left // cell - 2) : (left + width) // cell + 2] = 1
                row, column = divmod(int(response.argmax()), grid[1])
                assert top - cell <= cell * (row + 0.5) <= top + height + cell, (name, view)
                assert left - cell <= cell * (column + 0.5) <= left + width + cell, (name, view)
                assert (response * near).sum() > 0.95 * response.sum(), (name, view)
                seen[name, view] = True
    assert all(seen.values()), seen


def test_batched_equals_single(case, monkeypatch):
    together = case.score(masks(4))
    apart = torch.cat([case.score(mask[None]) for mask in masks(4)])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)
    assert (together[0] - together[1]).abs().max() > 1e-4
    results = []
    for size in (1, 4):
        monkeypatch.setattr(case.model.plan, "largest", size)
        score = case.model.score(case.prompt, case.baseline, case.score.conversation.answer)
        monkeypatch.setattr(case.model.plan, "bytes_per_image", 1)
        assert case.model.plan.size(with_graph=True) == (1 if case.name in ONE_AT_A_TIME else size)
        results.append(score.gradient(masks(4)))
    torch.testing.assert_close(results[0][0], results[1][0], atol=1e-5, rtol=0)
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-5, rtol=1e-3)


def test_what_no_selected_token_reads_is_left_out(case, monkeypatch):
    """Most of the last layer runs where tokens are predicted only; values and gradients are the same."""
    if case.name in COMPUTED_WHOLE:
        pytest.skip("this family's layers are built otherwise: everything is computed")
    parts = parts_at_selected(case.model.model)
    assert len(parts) == 3 or not case.name.startswith(("llava", "qwen2"))
    assert parts
    lengths: dict[torch.nn.Module, set[int]] = {part: set() for part in parts}

    def watch(part, inner):
        def watched(hidden, *arguments, **inputs):
            lengths[part].add(hidden.shape[1])
            return inner(hidden, *arguments, **inputs)

        return watched

    for part in parts:
        monkeypatch.setattr(part, "forward", watch(part, part.forward))
    score = case.score.select(case.score.selected[2:4])
    values, gradients = score.gradient(masks(2))
    assert all(seen == {2} for seen in lengths.values())
    for seen in lengths.values():
        seen.clear()
    monkeypatch.setattr(score_module, "only_at", lambda parts, places: contextlib.nullcontext())
    whole_values, whole_gradients = score.gradient(masks(2))
    assert all(min(seen) > 2 for seen in lengths.values())
    torch.testing.assert_close(values, whole_values, atol=1e-5, rtol=0)
    torch.testing.assert_close(gradients, whole_gradients, atol=1e-5, rtol=1e-3)


def test_no_cache_of_keys_and_values_is_built(case, monkeypatch):
    """Nothing is generated after a score: a cache would only hold memory."""
    outputs = []
    forward = case.model.model.forward

    @functools.wraps(forward)
    def watched(*arguments, **inputs):
        outputs.append(forward(*arguments, **inputs))
        return outputs[-1]

    monkeypatch.setattr(case.model.model, "forward", watched)
    fresh = case.model.score(case.prompt, case.baseline, case.score.conversation.answer)
    assert fresh.original.shape == (len(case.score.conversation.answer),)
    assert outputs
    assert all(getattr(output, "past_key_values", None) is None for output in outputs)
    if "logits_to_keep" in inspect.signature(forward).parameters:
        assert all(output.logits.shape[1] == len(fresh.selected) for output in outputs)


def test_masking_equals_pasting(case):
    """The left half kept: the score of a mask is that of the picture that it describes."""
    if case.name == "gemma4":
        pytest.skip("its random weights magnify what resampling does at the edge: 0.18 of 1.4 nats")
    left = (torch.arange(SIZE[1]) < SIZE[1] // 2).expand(*SIZE)
    pasted = np.where(left.numpy()[..., None], np.asarray(case.picture), np.asarray(case.baseline))
    direct = case.model.score(
        case.model.encode(Image.fromarray(pasted), QUESTION), case.baseline, case.score.conversation.answer
    )
    masked = case.score(left[None].float())[0]
    effect = (direct.original - case.score.original).abs().max()
    assert (masked - direct.original).abs().max() < 0.1 * effect + 1e-3


def test_what_the_processor_adds_is_never_masked(case):
    """Padding is the same for any mask, up to what resampling smears over its border."""
    given = torch.stack([torch.zeros(6, 8), torch.ones(6, 8), masks(1)[0]])
    padding = 0
    for name, blends in case.score.blend(given).items():
        place, image = case.score.geometry.tensors[name], case.score.image_pixels[name]
        added = ~place.pixel.expand_as(image)
        padding += int(added.sum())
        for blend in blends.reshape(3, *image.shape):
            torch.testing.assert_close(blend[added], image[added], atol=0.05 * place.value_range, rtol=0)
    assert bool(padding) is (case.name in PADDED)


def test_explained_from_end_to_end(case):
    explanation = Explainer(case.model).explain(
        case.picture, QUESTION, answer=ANSWER, preset="fast", alpha=0.0, replay_steps=2
    )
    assert explanation.status == "ok", explanation.reason
    assert explanation.heatmap.shape == (21, 38)
    assert np.isfinite(explanation.heatmap).all()
    assert explanation.heatmap.min() >= 0
    assert explanation.heatmap.max() == 1
    assert explanation.answer == ANSWER
    assert {"deletion", "insertion", "deletion_unseen", "insertion_unseen"} <= explanation.metrics.keys()
    for name, value in explanation.metrics.items():
        assert (value is None and "normalized" in name) or 0 <= value <= 1
    assert (
        explanation.cost["backward"]
        == METHODS["guided-igos"].passes(make_settings("guided-igos", "fast"), (336, 336)).backward
    )
    assert all("the word with the largest drop" in note for note in explanation.notes)  # weights are random


def test_an_answer_of_the_models_own_with_all_words(case):
    explanation = Explainer(case.model).explain(
        case.picture, QUESTION, method="gradient", tokens="all", max_new_tokens=5, replay_steps=0
    )
    assert explanation.answer == "".join(token.text for token in explanation.tokens).strip()
    assert all(token.selected is (token.word is not None) for token in explanation.tokens)
    assert np.isfinite(explanation.heatmap).all()
    assert explanation.meaningful == bool(explanation.heatmap.any())


def test_an_answer_ends_where_the_model_writes_an_image(case):
    """A token that stands for an image or marks one, generated after two words, ends them; no text may hold it."""
    pictured = sorted(case.model.prompting.picture_ids)
    words = case.model.generate_ids(case.prompt, max_new_tokens=2)
    assert not set(words) & set(pictured)
    head = case.model.model.get_output_embeddings()
    for token in {*pictured[:1], *pictured[-2:]}:
        if head is not None and token < head.weight.shape[0]:
            steps = []

            def prefer(module, arguments, output, token=token, steps=steps):
                steps.append(1)
                if len(steps) > 2:
                    output[..., -1, token] = 1e4

            handle = head.register_forward_hook(prefer)
            try:
                assert case.model.generate(case.prompt, max_new_tokens=4) == words
            finally:
                handle.remove()
            with pytest.raises(InputError, match="which stands for the image: remove it"):
                case.model.score(case.prompt, case.baseline, (*words, token, *words))
        if token < len(case.model.tokenizer):
            text = f"a {case.model.tokenizer.convert_ids_to_tokens(token)} b"
            with pytest.raises(InputError, match=r"the answer contains .* which stands for the image: remove it"):
                case.model.tokenize_answer(case.prompt, text)
            with pytest.raises(InputError, match=r"the question contains .* which stands for the image: remove it"):
                case.model.render(text)
