"""The recipe of `photos`: packed questions are answered as they are alone, and updates change nothing at first."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from unit.models.photos.test_photos import build_stand_in
from wherelook.data.scenes import make_mosaic, read_photographs
from wherelook.models.photos import assemble
from wherelook.models.photos.assemble import CHAT_TEMPLATE, adapt

TRAINING = Path(__file__).parents[2] / "training" / "photos"
PAIRS = [("What is it?", "A star."), ("Is it red?", "No, it is green."), ("Where is the ring?", "On the left.")]


@pytest.fixture(scope="module")
def training() -> Iterator[SimpleNamespace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TRAINING))
        names = ("train_photos", "pack_mosaics", "binding", "evaluate_photos", "names")
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photographs")
    for name, shade in (("dog", (200, 40, 40)), ("cat", (40, 200, 40)), ("bell", (40, 40, 200))):
        Image.new("RGB", (60, 60), shade).save(root / f"{name}.png")
    return root


def test_a_packed_answer_is_as_likely_as_alone(training: SimpleNamespace, folder: Path) -> None:
    model, processor = build_stand_in()
    mosaic = make_mosaic(read_photographs(folder), 4, size=(128, 128), budget={})
    pixels = training.pack_mosaics.to_pixels(mosaic)
    batch = training.pack_mosaics.pack([(pixels, PAIRS), (pixels.flip(2), PAIRS[:1])], processor.tokenizer)
    packed = training.pack_mosaics.answer_loss(model, batch)
    alone = []
    for shown, pairs in ((pixels, PAIRS), (pixels.flip(2), PAIRS[:1])):
        for pair in pairs:
            one = training.pack_mosaics.pack([(shown, [pair])], processor.tokenizer)
            length = int((one.labels[0] >= 0).nonzero()[-1]) + 2
            logits = model(input_ids=one.ids[:, :length], pixel_values=shown[None]).logits[0, :-1]
            told = one.labels[0, : length - 1]
            losses = torch.nn.functional.cross_entropy(logits, told, reduction="none", ignore_index=-100)
            alone.append(losses[told >= 0])
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_questions_are_packed_as_the_processor_writes_them(training: SimpleNamespace) -> None:
    _, processor = build_stand_in()
    pixels = torch.zeros(3, 128, 128)
    packed = training.pack_mosaics.pack([(pixels, PAIRS[:1])], processor.tokenizer)
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": PAIRS[0][0]}]}]
    text = processor.apply_chat_template(messages, chat_template=CHAT_TEMPLATE, add_generation_prompt=True)
    ids = processor(images=Image.new("RGB", (128, 128)), text=text, return_tensors="pt").input_ids[0].tolist()
    assert packed.ids[0, : len(ids)].tolist() == ids
    assert packed.labels[0, : len(ids) - 1].eq(-100).all()
    assert packed.labels[0, len(ids) - 1] >= 0


def test_updates_change_nothing_at_first_and_become_part_of_the_weights(training: SimpleNamespace) -> None:
    model, processor = build_stand_in()
    batch = training.pack_mosaics.pack([(torch.zeros(3, 128, 128), PAIRS)], processor.tokenizer)
    before = training.pack_mosaics.answer_loss(model, batch)
    with torch.random.fork_rng(devices=[]):
        trained = training.train_photos.Trained.of(model)
    torch.testing.assert_close(training.pack_mosaics.answer_loss(model, batch), before)
    names = [name for name in trained.parts["low_rank"] if name.endswith(".down")]
    assert len(names) == 5 * model.config.text_config.num_hidden_layers
    trained.take_step(training.pack_mosaics.answer_loss(model, batch).mean(), 100)
    assert trained.step == 1
    after = training.pack_mosaics.answer_loss(model, batch)
    assert not torch.equal(after, before)
    again, _ = build_stand_in()
    adapt(again, {name: value.detach() for name, value in trained.values().items()})
    torch.testing.assert_close(training.pack_mosaics.answer_loss(again, batch), after, atol=1e-4, rtol=1e-4)
    frozen = {id(value) for value in model.parameters()} - {id(value) for value in trained.values().values()}
    assert all(value.grad is None for value in model.parameters() if id(value) in frozen)


def test_a_checkpoint_goes_on_where_it_was(training: SimpleNamespace, tmp_path: Path) -> None:
    def after(steps: int, first: Path | None = None) -> SimpleNamespace:
        model, processor = build_stand_in()
        batch = training.pack_mosaics.pack([(torch.ones(3, 128, 128), PAIRS)], processor.tokenizer)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            trained = training.train_photos.Trained.of(model)
        if first is not None:
            trained.load(first)
        while trained.step < steps:
            trained.take_step(training.pack_mosaics.answer_loss(model, batch).mean(), 10)
        return trained

    after(2).save(tmp_path / "state.pt", tmp_path / "adapter.safetensors")
    whole, resumed = after(4), after(4, tmp_path / "state.pt")
    for name, value in whole.values().items():
        torch.testing.assert_close(resumed.values()[name], value)
        torch.testing.assert_close(resumed.average[name], whole.average[name])


def test_binding_tells_a_model_that_knows_places_from_one_that_does_not(
    training: SimpleNamespace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses as of a model that finds swapped names worse by a nat a token, or better."""
    model, processor = build_stand_in()
    photographs = read_photographs(folder)

    def losses(worse: float) -> object:
        def answer_loss(model: object, batch: object) -> torch.Tensor:
            told = int((batch.labels >= 0).sum())
            return torch.cat([torch.ones(told // 2), torch.full((told - told // 2,), 1.0 + worse)])

        return answer_loss

    for worse, right in ((1.0, True), (-0.5, False)):
        monkeypatch.setattr(training.binding, "answer_loss", losses(worse))
        found, _, pairs = training.binding.binding(model, processor.tokenizer, photographs, 20).split()
        assert int(pairs) >= 6
        assert int(found) == (int(pairs) if right else 0)


def test_mosaics_for_training_have_questions_that_need_the_image_and_one_that_does_not(
    training: SimpleNamespace, folder: Path
) -> None:
    free = [("What is two plus two?", "Four.")]
    stream = training.train_photos.training_mosaics(read_photographs(folder), free, 5)
    for _, (pixels, pairs) in zip(range(3), stream, strict=False):
        assert pixels.shape == (3, 384, 384)
        assert pairs[-1] == free[0]
        assert 1 <= len(pairs) - 1 <= training.train_photos.MOST
        assert all(question and answer for question, answer in pairs)


def test_names_come_from_the_nearest_noun_that_has_one_and_not_from_homonyms(training: SimpleNamespace) -> None:
    nouns = {
        "1": (["thing"], []), "2": (["tool"], ["1"]), "3": (["knife"], ["2"]), "4": (["cleaver", "chopper"], ["3"]),
        "5": (["saw", "tool"], ["1"]),
    }  # fmt: skip
    rules = {"own": {"saw": "saw", "tool": "tool"}, "nearest": {"knife": "knife"}, "plural": [], "mass": [],
             "homonyms": {"tool": ["saw"]}}  # fmt: skip
    classes = [training.names.named(nouns, offset, rules) for offset in ("2", "4", "5")]
    assert list(training.names.rows(nouns, classes, rules)) == [
        ("n2", "tool", "tool", "", "", ""),
        ("n4", "cleaver", "knife", "", "chopper", "tool"),
        ("n5", "saw", "saw", "", "", ""),
    ]


def test_a_row_of_the_model_card_has_the_figures_and_the_interval(training: SimpleNamespace) -> None:
    figures = {"questions": 50, "own image": 0.8, "low": 0.67, "high": 0.89, "blank image": 0.02, "question alone": 0.0}
    row = training.evaluate_photos.card_row("name, alone", figures)
    assert row.replace("\N{NO-BREAK SPACE}", " ") == "| name, alone | 50 | 80 % (67\N{EN DASH}89) | 2.0 % | 0 % |"


def test_the_card_says_what_was_measured(training: SimpleNamespace) -> None:
    folder = Path(assemble.__file__).parent
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))["scores"]
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8").splitlines()
    evaluate = training.evaluate_photos
    for name in evaluate.GROUPS:
        assert evaluate.card_row(name, scores[name]) in card
    for line in evaluate.image_free_lines(scores["needs no image"]):
        assert line in card


def test_an_answer_is_right_when_it_says_a_right_name_of_everything(training: SimpleNamespace, folder: Path) -> None:
    mosaic = make_mosaic(read_photographs(folder), 2, layout="beside", budget={"description": 1})
    (question,) = mosaic.questions
    assert training.evaluate_photos.is_right(question.answer, question)
    names = [panel.noun.name for panel in mosaic.panels]
    assert not training.evaluate_photos.is_right(question.answer.replace(names[0], "spoon"), question)
    assert not training.evaluate_photos.is_right(question.answer.replace(names[1], f"{names[1]}fish"), question)
