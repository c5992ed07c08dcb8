"""What only a CUDA device can show; skipped where there is none. The CPU's results are what is expected."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tools.families import build, missing_package

from contracted import CONTRACTED
from wherelook import Explainer
from wherelook.attribution import METHODS
from wherelook.check import check_model
from wherelook.cost import PeakMemory
from wherelook.data.scenes import TUNING_SEEDS, make_scene
from wherelook.metrics.map_similarity import rank_correlation
from wherelook.models import VisionLanguageModel

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("default"),
]

SCENE = make_scene(TUNING_SEEDS[0])
QUESTION = next(question for question in SCENE.questions if question.kind == "relation")
MASKS = 0.2 + 0.6 * torch.rand(12, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def on_cpu() -> Explainer:
    return Explainer.from_pretrained("embedded", device="cpu")


@pytest.fixture(scope="module")
def on_cuda() -> Explainer:
    return Explainer.from_pretrained("embedded", device="cuda")


def embedded(**options) -> VisionLanguageModel:
    return VisionLanguageModel.from_pretrained("embedded", **{"device": "cuda"} | options)


def score_of(model: VisionLanguageModel):
    prompt = model.encode(SCENE.image, QUESTION.text)
    blurred = SCENE.image.resize((8, 8)).resize(SCENE.image.size)
    return model.score(prompt, blurred, model.tokenize_answer(prompt, QUESTION.answer))


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    found = rank_correlation(torch.from_numpy(first), torch.from_numpy(second))
    assert found is not None, "a map is flat"
    return found


@pytest.mark.parametrize("method", [name for name in METHODS if "fast" in METHODS[name].presets])  # the others amplify
def test_every_method_gives_the_map_of_the_cpu(method, on_cpu, on_cuda):
    options = {"answer": QUESTION.answer, "method": method, "preset": "fast", "replay_steps": 8}
    expected = on_cpu.explain(SCENE.image, QUESTION.text, **options)
    found = on_cuda.explain(SCENE.image, QUESTION.text, **options)
    assert (found.status, found.answer) == (expected.status, expected.answer) == ("ok", QUESTION.answer)
    assert found.cost["forward"] == expected.cost["forward"]
    assert agreement(found.heatmap, expected.heatmap) > 0.95
    assert found.metrics["deletion"] == pytest.approx(expected.metrics["deletion"], abs=0.02)


@pytest.mark.parametrize("family", CONTRACTED)
def test_every_family_passes_its_check(family):
    missing = missing_package(family)
    if missing:
        pytest.skip(f"{family} needs {missing}")
    model, processor = build(family)
    findings = check_model(VisionLanguageModel(model.to("cuda"), processor))
    assert not [finding for finding in findings if not finding.passed]


@pytest.mark.parametrize("name", ["tiled", "minigemini", "cambrian", "qwen2vl"])
def test_the_zoo_gives_the_maps_of_the_cpu(name):
    options = {"answer": QUESTION.answer, "tokens": "all", "preset": "fast", "replay_steps": 0, "baseline": "blur"}
    expected, found = (
        Explainer.from_pretrained(f"zoo:{name}", device=device).explain(SCENE.image, QUESTION.text, **options)
        for device in ("cpu", "cuda")
    )
    assert agreement(found.heatmap, expected.heatmap) > 0.95


def test_the_same_seed_gives_the_same_map(on_cuda):
    """To rounding: attention adds up its gradients in any order unless PyTorch is told to be deterministic."""
    first, second = (
        on_cuda.explain(SCENE.image, QUESTION.text, preset="fast", seed=3, replay_steps=0).heatmap for _ in range(2)
    )
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_the_same_seed_gives_the_same_bytes_where_pytorch_is_deterministic(on_cuda, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (
            on_cuda.explain(SCENE.image, QUESTION.text, preset="fast", seed=3, replay_steps=0).heatmap for _ in range(2)
        )
    finally:
        torch.use_deterministic_algorithms(False)
    assert first.tobytes() == second.tobytes()


def test_batches_do_not_change_gradients():
    single, batched = (score_of(embedded(batch_size=size)).gradient(MASKS) for size in (1, 8))
    for one, other in zip(single, batched, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_looks_at_the_same_places(dtype, on_cuda):
    options = {"answer": QUESTION.answer, "preset": "fast", "replay_steps": 0}
    expected = on_cuda.explain(SCENE.image, QUESTION.text, **options)
    found = Explainer.from_pretrained("embedded", device="cuda", dtype=dtype).explain(
        SCENE.image, QUESTION.text, **options
    )
    assert agreement(found.heatmap, expected.heatmap) > 0.9


def test_a_full_device_gets_smaller_batches():
    """The rest of the device is taken away after the first image told what one costs, as another process may do it."""
    score = score_of(embedded(batch_size=256))
    expected = score.gradient(MASKS.repeat(20, 1, 1))
    assert score.plan.shrunk is None
    per_image = score.plan.bytes_per_image
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 24 * per_image) / total)
        found = score.gradient(MASKS.repeat(20, 1, 1))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert score.plan.shrunk is not None
    assert score.plan.shrunk < 256
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


def test_recomputing_gives_the_same_gradients_with_less_memory():
    results, peaks = [], []
    for checkpointing in (False, True):
        score = score_of(embedded(checkpointing=checkpointing, batch_size=12))
        score.gradient(MASKS)
        torch.cuda.empty_cache()
        memory, before = PeakMemory(score.device), torch.cuda.memory_allocated()
        results.append(score.gradient(MASKS))
        peaks.append(memory.bytes() - before)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)
    assert peaks[1] < 0.7 * peaks[0]


def test_layers_that_wait_on_the_cpu_give_the_same_gradients():
    from transformers import AutoModelForImageTextToText

    from wherelook.models.huggingface.loading import load_processor, locate

    place = {"model.vision_tower": 0, "model.multi_modal_projector": 0, "model.language_model": "cpu", "lm_head": "cpu"}
    model = AutoModelForImageTextToText.from_pretrained(locate("embedded"), device_map=place, dtype=torch.float32)
    spread = VisionLanguageModel(model.eval(), load_processor(locate("embedded")))
    for one, other in zip(score_of(embedded()).gradient(MASKS), score_of(spread).gradient(MASKS), strict=True):
        torch.testing.assert_close(other.cpu(), one.cpu(), rtol=1e-3, atol=1e-4)


def test_the_layers_may_go_where_there_is_room():
    spread = embedded(device="auto")
    for one, other in zip(score_of(embedded()).gradient(MASKS), score_of(spread).gradient(MASKS), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_quantized_models_look_at_the_same_places(quantize, on_cuda):
    pytest.importorskip("bitsandbytes")
    options = {"answer": QUESTION.answer, "preset": "fast", "replay_steps": 0}
    expected = on_cuda.explain(SCENE.image, QUESTION.text, **options)
    found = Explainer.from_pretrained("embedded", device="cuda", quantize=quantize).explain(
        SCENE.image, QUESTION.text, **options
    )
    assert agreement(found.heatmap, expected.heatmap) > 0.8
