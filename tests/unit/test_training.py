"""The recipes of `training/`: a packed question is answered as it is alone, by the model as it is saved."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from tools.families.parts import spread_weights

from wherelook.data.scenes import TRAINING_SEEDS, make_scene
from wherelook.load_options import LoadOptions
from wherelook.models import zoo
from wherelook.models.huggingface.loading import load

TRAINING = Path(__file__).parents[2] / "training"
ARCHITECTURES = ("embedded", "things", "tiled", "minigemini", "cambrian", "qwen2vl")
SCENE = make_scene(TRAINING_SEEDS[7], size=(128, 128), budget={"color": 2, "relation": 2, "fact": 2})
SCENES = {"shapes": SCENE, "things": make_scene(TRAINING_SEEDS[7], size=(224, 224), world="things")}


@pytest.fixture(scope="module")
def training() -> Iterator[SimpleNamespace]:
    """The modules of `training/`, which import each other by bare name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TRAINING))
        names = ("train", "samples", "packed", "prompts", "qwen2vl", "evaluate")
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def untrained(training: SimpleNamespace, name: str, folder: Path) -> tuple:
    """The architecture, and its model and processor with random weights as they load from a saved folder."""
    architecture = training.train.ARCHITECTURES[name]
    questions = SCENES[architecture.world].questions
    tokenizer = training.prompts.build_tokenizer([q.text for q in questions], [q.answer for q in questions])
    processor = architecture.build_processor(tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = architecture.build_model(processor.tokenizer, "base")
    spread_weights(model, torch.Generator().manual_seed(0))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return architecture, *load(str(folder), LoadOptions(device="cpu"))


def packed_logits(training: SimpleNamespace, architecture: object, model: torch.nn.Module, processor: object) -> tuple:
    """Logits of the scene's questions in one sequence, and the batch."""
    samples, scene = training.samples, SCENES[architecture.world]
    encoder = samples.Encoder(processor.tokenizer)
    tokens, labels, kinds = samples.pack(architecture, encoder, np.random.default_rng(0), scene.questions)
    pixels = architecture.view_pixels(scene.image).copy()
    batch = samples.collate([(pixels, tokens, labels, kinds, samples.patch_labels(architecture, scene))])
    language_model = model.model.language_model
    before = language_model.config._attn_implementation
    language_model.config._attn_implementation = "packed"
    with torch.inference_mode():
        features = architecture.image_features(model, batch.pixels)
        logits = training.packed.answer_logits(architecture, model, features, batch)
    language_model.config._attn_implementation = before
    return logits, batch


@torch.inference_mode()
def logits_alone(
    training: SimpleNamespace, architecture: object, model: torch.nn.Module, processor: object
) -> dict[str, torch.Tensor]:
    """Question -> logits (answer tokens, vocabulary) of an ordinary forward of the whole model."""
    found, scene = {}, SCENES[architecture.world]
    for question in scene.questions:
        start = training.evaluate.prompt(processor, question.text)
        text = start + question.answer + processor.tokenizer.eos_token
        inputs = processor(images=[scene.image], text=[text], return_tensors="pt")
        answered = len(processor.tokenizer(question.answer).input_ids) + 1
        found[question.text] = model(**inputs).logits[0, -answered - 1 : -1]
    return found


def in_packed_order(batch: object, processor: object, alone: dict[str, torch.Tensor]) -> torch.Tensor:
    """The logits of each question one after another, as the slots hold them."""
    text = processor.tokenizer.decode(batch.tokens[0])
    return torch.cat([alone[question] for question in sorted(alone, key=text.index)])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_packed_questions_have_the_logits_of_the_saved_model(
    training: SimpleNamespace, name: str, tmp_path: Path
) -> None:
    architecture, model, processor = untrained(training, name, tmp_path)
    logits, batch = packed_logits(training, architecture, model, processor)
    alone = in_packed_order(batch, processor, logits_alone(training, architecture, model, processor))
    assert (batch.kinds != training.samples.IGNORE).sum() == len(SCENES[architecture.world].questions) > 3
    assert logits.std() > 0.1
    torch.testing.assert_close(logits, alone, atol=1e-4, rtol=0.0)


def test_the_packed_model_needs_positions_of_three_axes(training: SimpleNamespace, tmp_path: Path) -> None:
    architecture, model, processor = untrained(training, "qwen2vl", tmp_path)
    right, _ = packed_logits(training, architecture, model, processor)
    inputs = processor(
        images=[SCENE.image], text=[training.evaluate.prompt(processor, "What is it?")], return_tensors="pt"
    )
    whole, _ = model.model.get_rope_index(
        inputs.input_ids, inputs.mm_token_type_ids, image_grid_thw=inputs.image_grid_thw
    )
    places = training.packed.positions(architecture)
    length = 1 + architecture.image_tokens
    assert torch.equal(places[:, :, :length], whole[:, :, :length])
    assert torch.equal(places[:, :, length : length + 4], whole[:, :, length : length + 4])

    in_order = replace(architecture, prefix_positions=training.train.EMBEDDED.prefix_positions)
    wrong, _ = packed_logits(training, in_order, model, processor)
    assert (wrong - right).abs().max() > 0.01


def test_heads_of_the_packed_tower_start_by_looking_at_neighbors(training: SimpleNamespace) -> None:
    recipe: ModuleType = training.qwen2vl
    tokenizer = training.prompts.build_tokenizer(["What is it?"], ["A dog."])
    with torch.random.fork_rng():
        model = recipe.build_model(recipe.build_processor(tokenizer).tokenizer, "base")
    pixels = torch.from_numpy(np.asarray(SCENE.image).copy())[None]
    recipe.initialize(model, pixels)
    tower = model.model.visual
    with torch.inference_mode():
        embedded = tower.patch_embed(recipe.flatten_patches(pixels))
    assert embedded.std(dim=0).median() == pytest.approx(1.0, abs=0.1)

    for layer, offsets in zip(tower.blocks, recipe.NEIGHBOURS, strict=False):
        query, key, _ = layer.attn.qkv.bias.detach().view(3, recipe.VISION_HEADS, -1)
        for head, (down, right) in enumerate(offsets):
            row, column = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
            planes = query.shape[-1] // 2
            turns = torch.cat(
                [place[..., None] * tower.rotary_pos_emb.inv_freq for place in (row - 8, column - 8)], dim=-1
            )
            rotated = torch.complex(key[head, :planes], key[head, planes:]) * torch.polar(torch.ones(()), turns)
            wanted = torch.complex(query[head, :planes], query[head, planes:])
            scores = (wanted.conj() * rotated).real.sum(-1) * layer.attn.scaling
            assert divmod(int(scores.argmax()), 16) == (8 + down, 8 + right)
            assert 0.4 < scores.flatten().softmax(0).max() < 0.8


def test_workers_take_turns(training: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch n is the same whoever draws it: of two workers the second makes batches 1, 3, ..."""
    samples, architecture = training.samples, training.train.ARCHITECTURES["embedded"]
    questions = SCENE.questions
    tokenizer = training.prompts.build_tokenizer([q.text for q in questions], [q.answer for q in questions])
    batches = samples.Batches(architecture, tokenizer, size=2, start=5, budget={})

    def drawn(worker: SimpleNamespace | None, count: int) -> list[torch.Tensor]:
        monkeypatch.setattr(samples, "get_worker_info", lambda: worker)
        return [batch.pixels for batch in islice(batches, count)]

    alone = drawn(None, 4)
    first, second = (drawn(SimpleNamespace(id=number, num_workers=2), 2) for number in (0, 1))
    for expected, found in zip(alone, [first[0], second[0], first[1], second[1]], strict=True):
        assert torch.equal(expected, found)
    assert not torch.equal(alone[0], alone[1])


def test_a_second_scale_takes_the_tower_of_the_first(training: SimpleNamespace, tmp_path: Path) -> None:
    architecture, first, processor = untrained(training, "tiled", tmp_path)
    with torch.random.fork_rng():
        second = architecture.build_model(processor.tokenizer, "small")
    training.train.take_tower(architecture, second, tmp_path)
    taken, given = architecture.encoder(second).state_dict(), architecture.encoder(first).state_dict()
    assert taken
    assert all(torch.equal(taken[name], given[name]) for name in given)
    sizes = [sum(p.numel() for p in model.model.language_model.parameters()) for model in (second, first)]
    assert sizes[0] < 0.5 * sizes[1]

    other = training.train.ARCHITECTURES["embedded"]
    with torch.random.fork_rng():
        stranger = other.build_model(processor.tokenizer, "base")
    with pytest.raises(RuntimeError, match="state_dict"):
        training.train.take_tower(other, stranger, tmp_path)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_has_a_small_language_model(training: SimpleNamespace, name: str) -> None:
    architecture = training.train.ARCHITECTURES[name]
    processor = architecture.build_processor(training.prompts.build_tokenizer(["What is it?"], ["A dog."]))
    with torch.random.fork_rng():
        models = [architecture.build_model(processor.tokenizer, scale) for scale in ("small", "base")]
    layers = [len(model.model.language_model.layers) for model in models]
    assert layers == [3, 5]


def test_scores_are_written_as_they_are_printed_and_as_the_zoo_reads_them(
    training: SimpleNamespace, tmp_path: Path
) -> None:
    evaluate = training.evaluate
    cases = [evaluate.Case(kind, "Q", "A", SCENE.image) for kind in ("color", "count", "fact")]
    columns = {
        zoo.OWN_IMAGE: evaluate.share_right(cases * 3, ["A", "A", "A", "A", "B", "A", "A", "B", "A"]),
        zoo.BLANK_IMAGE: evaluate.share_right(cases, ["B", "B", "A"]),
    }
    counts = Counter({"color": 3, "count": 3, "fact": 3, zoo.NEED_THE_IMAGE: 6})
    evaluate.write_scores(tmp_path, "things", 7, counts, columns)
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores["command"].endswith(" --world things --scenes 7")
    assert scores["questions"] == counts
    assert scores["exact_match"] == {
        "color": {zoo.OWN_IMAGE: 1.0, zoo.BLANK_IMAGE: 0.0},
        "count": {zoo.OWN_IMAGE: 0.333, zoo.BLANK_IMAGE: 0.0},
        "fact": {zoo.OWN_IMAGE: 1.0, zoo.BLANK_IMAGE: 1.0},
        zoo.NEED_THE_IMAGE: {zoo.OWN_IMAGE: 0.667, zoo.BLANK_IMAGE: 0.0},
    }
