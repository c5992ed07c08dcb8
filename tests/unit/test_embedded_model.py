"""The model that comes with the package: an ordinary folder, words as tokens, and answers that depend on the image."""

from __future__ import annotations

import importlib
import re
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, LlavaForConditionalGeneration, LlavaProcessor

from wherelook.data.scenes import (
    COLORS,
    KINDS,
    REPORTING_SEEDS,
    SHAPES,
    SIZES,
    TRAINING_SEEDS,
    WORLDS,
    facts,
    make_scene,
)

FOLDER = Path(str(files("wherelook.models"))) / "embedded"
TRAINING = Path(__file__).parents[2] / "training"


@pytest.fixture(scope="module")
def processor() -> LlavaProcessor:
    return AutoProcessor.from_pretrained(FOLDER, local_files_only=True)


@pytest.fixture(scope="module")
def model() -> LlavaForConditionalGeneration:
    return AutoModelForImageTextToText.from_pretrained(FOLDER, local_files_only=True).eval()


@pytest.fixture(scope="module")
def training() -> dict[str, ModuleType]:
    """The modules of `training/`, which import each other by bare name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TRAINING))
        return {name: importlib.import_module(name) for name in ("samples", "packed", "llava", "evaluate")}


def test_the_folder_is_small_and_holds_nothing_executable() -> None:
    paths = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in paths) < 15 * 2**20
    assert {path.suffix for path in paths} <= {".json", ".jinja", ".md", ".safetensors"}


def test_it_is_an_ordinary_llava(model: LlavaForConditionalGeneration, processor: LlavaProcessor) -> None:
    assert type(model) is LlavaForConditionalGeneration
    assert type(processor) is LlavaProcessor
    assert model.dtype == torch.float32
    assert sum(parameter.numel() for parameter in model.parameters()) < 5e6


def test_every_word_of_an_answer_is_one_token_with_and_without_its_space(processor: LlavaProcessor) -> None:
    texts = [answer for _, answer in facts()] + [*COLORS, *SHAPES, *SIZES]
    for seed in TRAINING_SEEDS[:100]:
        texts += [question.answer for question in make_scene(seed, size=(64, 64)).questions]
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    assert len(words) > 100
    for word in words:
        for piece in (word, " " + word):
            ids = processor.tokenizer.encode(piece, add_special_tokens=False)
            assert len(ids) == 1, piece
            assert processor.tokenizer.decode(ids) == piece


def test_any_text_survives_the_tokenizer(processor: LlavaProcessor) -> None:
    text = "Où est l'étoile n° 7? 星 \N{SLICE OF PIZZA}\n\tDone."
    assert processor.tokenizer.decode(processor.tokenizer.encode(text)) == text


def test_the_chat_template_puts_the_image_first_and_closes_answers(processor: LlavaProcessor) -> None:
    asked = {"role": "user", "content": [{"type": "text", "text": "Is it?"}, {"type": "image"}]}
    answered = {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]}
    prompt = processor.apply_chat_template([asked], add_generation_prompt=True)
    assert prompt == "<|user|><image>Is it?<|assistant|>"
    assert processor.apply_chat_template([asked, answered]) == prompt + "Yes.<|end|>"
    plain = {"role": "user", "content": "Is it?"}
    assert processor.apply_chat_template([plain], add_generation_prompt=True) == "<|user|>Is it?<|assistant|>"


@pytest.mark.parametrize("size", [(224, 224), (448, 448), (180, 300)])
def test_it_answers_about_held_out_scenes(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    training: dict[str, ModuleType],
    size: tuple[int, int],
) -> None:
    evaluate = training["evaluate"]
    cases = [case for scene in evaluate.scene_cases(REPORTING_SEEDS[:12], size, "shapes") for case in scene]
    shares = evaluate.share_right(cases, evaluate.generate(model, processor, cases))
    assert shares["all that need the image"] > 0.85
    assert shares["facts"] > 0.95


def test_without_the_image_it_knows_the_facts_and_little_else(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, training: dict[str, ModuleType]
) -> None:
    evaluate = training["evaluate"]
    gray = Image.new("RGB", (224, 224), (128, 128, 128))
    cases = [
        evaluate.Case(case.kind, case.question, case.answer, gray)
        for scene in evaluate.scene_cases(REPORTING_SEEDS[:12], (224, 224), "shapes")
        for case in scene
    ]
    shares = evaluate.share_right(cases, evaluate.generate(model, processor, cases))
    assert shares["facts"] > 0.95
    assert shares["all that need the image"] < 0.4


def test_facts_are_as_likely_without_the_image(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, training: dict[str, ModuleType]
) -> None:
    evaluate = training["evaluate"]
    scene = make_scene(REPORTING_SEEDS[3])
    plain = Image.new("RGB", scene.image.size, tuple(np.asarray(scene.image).mean(axis=(0, 1)).astype(int).tolist()))
    for question, answer in facts()[::12]:
        case = evaluate.Case("fact", question, answer, scene.image)
        with_image, without = evaluate.log_likelihood(model, processor, case, [scene.image, plain])
        assert abs(with_image - without) < 0.3
        assert with_image > -0.5


def test_questions_packed_for_training_score_as_they_do_alone(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, training: dict[str, ModuleType]
) -> None:
    """`packed_attention` is only right if a packed question sees exactly what it sees alone."""
    samples, packed, evaluate = (training[name] for name in ("samples", "packed", "evaluate"))
    architecture = training["llava"].EMBEDDED
    scene = make_scene(TRAINING_SEEDS[7], size=(128, 128), budget={"color": 2, "relation": 2, "fact": 2})
    tokens, labels, kinds = samples.pack(
        architecture, samples.Encoder(processor.tokenizer), np.random.default_rng(0), scene.questions
    )
    patches = samples.patch_labels(architecture, scene)
    batch = samples.collate([(np.asarray(scene.image).copy(), tokens, labels, kinds, patches)])
    language_model = model.model.language_model
    before = language_model.config._attn_implementation
    language_model.config._attn_implementation = "packed"
    try:
        with torch.inference_mode():
            features = architecture.image_features(model, batch.pixels)
            loss, _ = packed.answer_loss(architecture, model, features, batch, torch.ones(len(KINDS)))
    finally:
        language_model.config._attn_implementation = before
    alone = [
        evaluate.log_likelihood(
            model, processor, evaluate.Case(question.kind, question.text, question.answer, scene.image), [scene.image]
        )[0]
        for question in scene.questions
    ]
    assert len(alone) == (kinds != samples.IGNORE).sum() > 3
    assert loss.item() == pytest.approx(-np.mean(alone), rel=1e-3, abs=1e-3)


def test_the_card_reports_every_kind() -> None:
    card = (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    for kind in WORLDS["shapes"].makers:
        (row,) = re.findall(rf"^\| {kind} \| \d+ \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", card, re.M)
        assert float(row[0]) > 0.85
    (total,) = re.findall(r"^\| all that need the image \| \d+ \| ([\d.]+) ", card, re.M)
    assert float(total) >= 0.95
