"""Threads that share a model: each gets the map and the cost that it would have got alone; nothing is left behind."""

from __future__ import annotations

import importlib.util
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageFile
from torch import nn

from wherelook import Explainer
from wherelook.answer import Relevance
from wherelook.attribution import METHODS
from wherelook.check import test_picture as make_picture
from wherelook.data.images import load_image
from wherelook.errors import InputError
from wherelook.models.turns import in_turn, turn

PATH = Path(__file__).parents[2] / "benchmarks" / "threads.py"
_spec = importlib.util.spec_from_file_location("threads_benchmark", PATH)
assert _spec is not None
assert _spec.loader is not None
threads = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(threads)


@pytest.fixture(scope="module")
def explainers() -> list[Explainer]:
    return threads.make_explainers()


def test_every_method_in_four_threads(explainers):
    """`benchmarks/threads.py` does a hundred."""
    threads.check_threads(explainers, len(METHODS))


def test_relevance_in_four_threads(explainers):
    tasks = [make_picture((48, 48 + 16 * index)) for index in range(4)]

    def ask(picture: Image.Image) -> Relevance:
        return explainers[0].relevance(picture, threads.QUESTION, answer=threads.ANSWER)

    alone = [ask(picture) for picture in tasks]
    with ThreadPoolExecutor(threads.THREADS) as pool:
        together = list(pool.map(ask, tasks))
    for one, other in zip(alone, together, strict=True):
        assert [token.llr for token in other.tokens] == pytest.approx([token.llr for token in one.tokens], abs=1e-4)


def test_a_score_that_a_thread_uses_by_itself_waits_too(explainers):
    """What an optimizer of the user's own calls: not one forward meets the patched model of another thread."""
    model = explainers[0].model
    prompt = model.encode(make_picture((64, 64)), threads.QUESTION)
    score = model.score(prompt, Image.new("RGB", (64, 64)), model.tokenize_answer(prompt, threads.ANSWER))
    masks = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    alone = [(score(mask), score.gradient(mask)[1]) for mask in masks]
    before = model.cost.forward
    with ThreadPoolExecutor(threads.THREADS) as pool:
        noise = [
            pool.submit(threads.explain, explainers[1], method, 0)
            for method in ("attention", "guided-igos", "relevancy")
        ]
        together = list(pool.map(lambda mask: (score(mask), score.gradient(mask)[1]), masks))
        for one in noise:
            one.result()
    for (value, gradient), (other_value, other_gradient) in zip(alone, together, strict=True):
        torch.testing.assert_close(other_value, value, atol=1e-4, rtol=0)
        torch.testing.assert_close(other_gradient, gradient, atol=1e-4, rtol=0)
    assert model.cost.forward - before == 2 * len(masks)


# ---- whose turn it is ----


class Part(nn.Module):
    def __init__(self, *parts: nn.Module, weight: nn.Parameter | None = None, config: object = None) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.weight = nn.Parameter(torch.zeros(1)) if weight is None else weight
        if config is not None:
            self.config = config


class Configuration:
    pass


def waits(first: nn.Module, second: nn.Module) -> bool:
    """Whether another thread has to wait with the second model while this one is inside with the first."""
    entered, done = threading.Event(), threading.Event()

    def other() -> None:
        with turn(second):
            entered.set()
        done.set()

    thread = threading.Thread(target=other)
    with turn(first):
        thread.start()
        waited = not entered.wait(0.2)
    assert done.wait(10)
    thread.join()
    return waited


def test_models_that_share_nothing_do_not_wait_for_each_other():
    assert not waits(Part(Part()), Part(Part()))


def test_models_that_share_a_module_a_weight_or_a_configuration_do():
    shared, configuration = Part(), Configuration()
    assert waits(Part(shared), Part(Part(), shared))
    assert waits(Part(weight=shared.weight), Part(Part(weight=shared.weight)))
    assert waits(Part(Part(config=configuration)), Part(config=configuration))
    wrapped = Part()
    assert waits(wrapped, Part(wrapped))
    assert waits(Part(wrapped), wrapped)


def test_a_model_that_shares_with_two_others_waits_for_either():
    first, second = Part(), Part()
    for model in (first, second):
        with turn(model):
            pass
    both = Part(first, second)
    assert waits(first, both)
    assert waits(second, both)
    assert waits(both, first)
    assert waits(both, second)
    assert not waits(first, second)


def test_a_thread_may_enter_again_and_the_mode_is_restored_at_the_end():
    model = Part(Part())
    with turn(model):
        with turn(model):
            assert not model.training
        assert not model.training
    assert all(module.training for module in model.modules())
    with pytest.raises(ZeroDivisionError), turn(model):
        _ = 1 / 0
    assert model.training
    assert not waits(model, Part())


def test_what_is_made_to_run_in_turn_is_found_by_position_and_by_name():
    class Owner:
        model = Part()

    @in_turn
    def mode(owner: Owner) -> bool:
        return owner.model.training

    assert mode(Owner()) is False
    assert mode(owner=Owner()) is False


# ---- images ----


def test_threads_that_read_images_leave_pillow_as_the_application_has_set_it(tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole.jpg", tmp_path / "cut.jpg"
    make_picture((200, 200)).save(whole)
    cut.write_bytes(whole.read_bytes()[:-800])
    seen: list[bool] = []

    original = ImageFile.ImageFile.load

    def load(self):
        seen.append(ImageFile.LOAD_TRUNCATED_IMAGES)
        return original(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    for tolerant in (False, True):
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", tolerant)
        before = list(warnings.filters)

        def read(path):
            try:
                return load_image(path).size
            except InputError as error:
                return "damaged" in str(error)

        with ThreadPoolExecutor(threads.THREADS) as pool:
            assert list(pool.map(read, [whole, cut] * 8)) == [(200, 200), True] * 8
        assert set(seen) == {tolerant}
        assert list(warnings.filters) == before
        seen.clear()
