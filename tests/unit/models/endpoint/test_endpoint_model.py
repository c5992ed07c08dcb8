"""A model behind an address: the same maps as in this process, and a server that cannot be trusted."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import re
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scripted_server import serving
from wherelook import Explainer, InputError, WherelookError
from wherelook.attribution import METHODS, make_settings
from wherelook.config import ExplainConfig
from wherelook.data.scenes import TUNING_SEEDS, make_scene
from wherelook.explain import most_requests
from wherelook.models import EndpointModel, VisionLanguageModel
from wherelook.models.endpoint import EndpointScore
from wherelook.models.endpoint.protocols import ScoredToken

ROOT = Path(__file__).parents[4]
FORWARD_ONLY = {"occlusion", "strips", "rise", "greedy", "greedy-window", "random", "center", "edges"}
QUESTION = "What is right of the circle?"
PICTURE = Image.new("RGB", (20, 10), "red")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for variable in ("WHERELOOK_API_KEY", "OPENAI_API_KEY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


# ---- the embedded model through examples/serve_endpoint.py ----


@pytest.fixture(scope="module")
def model():
    return VisionLanguageModel.from_pretrained("embedded", device="cpu")


@pytest.fixture(scope="module")
def address(model):
    specification = importlib.util.spec_from_file_location("serve_endpoint", ROOT / "examples" / "serve_endpoint.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    server = module.make_server(module.Endpoint(model, "small"))
    threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def scene():
    return make_scene(TUNING_SEEDS[1721], size=(128, 128)).image  # the size that the embedded model's processor makes


def read_here(model, ids, pictures):
    """The scores of the same pixels without PNG, server, protocol or tokens' texts."""
    rows = []
    for picture in pictures:
        image = Image.fromarray(picture[0].permute(1, 2, 0).numpy())
        values = model.score(model.encode(image, QUESTION), image, ids).original.tolist()
        rows.append(tuple(ScoredToken(token, "", value, True) for token, value in zip(ids, values, strict=True)))
    return rows


@pytest.mark.parametrize("method", ["strips", "occlusion"])
def test_through_a_server_the_map_of_the_same_pixels_is_the_same(model, address, scene, method):
    levels = np.random.default_rng(0).integers(0, 256, (128, 128, 3))
    base = Image.fromarray(levels.astype(np.uint8))
    endpoint = EndpointModel(address)
    prompt = endpoint.encode(scene, QUESTION)
    ids = endpoint.generate(prompt)
    assert ids == model.generate(model.encode(scene, QUESTION))
    through = endpoint.score(prompt, base, ids)
    here = EndpointScore(
        partial(read_here, model, ids),
        through.image_pixels,
        through.baseline_pixels,
        selected=through.selected,
        cost=model.cost,
    )
    settings = make_settings(method, "fast", {"cells": 14, "window": 4, "stride": 4})
    first, second = (METHODS[method].run(score, torch.zeros(3, 128, 128), settings) for score in (through, here))
    assert first.saliency.max() == 1
    assert (first.saliency - second.saliency).abs().max() < 1e-3
    assert (through.original - here.original).abs().max() < 1e-3
    assert (through.baseline - here.baseline).abs().max() < 1e-3


@pytest.mark.parametrize("method", ["strips", "occlusion"])
def test_an_explanation_through_a_server_is_that_of_this_process(model, address, scene, method):
    # A mask of one cell for each pixel has no value but 0 and 1 on the way to the pixels: nothing is rounded.
    settings = {"cells": 128, "window": 32, "stride": 32}
    options = {"method": method, "preset": "fast", "settings": settings, "baseline": "mean", "replay_steps": 0}
    first = Explainer(model).explain(np.asarray(scene), QUESTION, **options)
    second = Explainer.from_pretrained(address).explain(np.asarray(scene), QUESTION, **options)
    assert second.status == first.status == "ok"
    assert second.answer == first.answer
    assert [(t.text, t.id, t.word, t.selected, t.flips) for t in second.tokens] == [
        (t.text, t.id, t.word, t.selected, t.flips) for t in first.tokens
    ]
    assert np.abs([a.llr - b.llr for a, b in zip(first.tokens, second.tokens, strict=True)]).max() < 1e-3
    assert np.abs(second.heatmap - first.heatmap).max() < 1e-3
    assert second.cost["forward"] == first.cost["forward"] + 1  # the request that cuts the answer into tokens
    assert second.model == {
        "id": address, "name": "small", "revision": None, "class": "endpoint", "dtype": None, "attention": None,
        "quantization": None,
    }  # fmt: skip


def test_an_answer_that_does_not_rest_on_the_image_is_asked_again_blind(address, scene):
    found = Explainer.from_pretrained(address).explain(
        np.asarray(scene), QUESTION, answer="Purple elephants sing.", method="strips", preset="fast"
    )
    assert found.status == "not_visual"
    assert found.reliance["blind_answer"]


FEWER = {
    "rise": {"masks": 16},
    "occlusion": {"cells": 8, "window": 4, "stride": 4},
    "strips": {"cells": 8, "window": 4, "stride": 4},
    "greedy": {"count": 3},
    "greedy-window": {"count": 3, "window": 2, "rounds": 2},
}


@pytest.mark.parametrize("method", sorted(FORWARD_ONLY))
def test_the_estimate_holds_for_every_method_that_works(address, scene, method):
    explainer = Explainer.from_pretrained(address)
    fewer = FEWER.get(method, {})
    explanation = explainer.explain(
        np.asarray(scene), QUESTION, method=method, preset="fast", settings=fewer, replay_steps=2
    )
    config = ExplainConfig(method=method, preset="fast", settings=fewer, replay_steps=2)
    most = most_requests(config, (128, 128))
    assert explanation.status == "ok"
    assert explanation.metrics["deletion"] is not None
    assert explanation.cost["forward"] < most


# ---- methods ----


def test_the_methods_that_need_log_probabilities_alone():
    assert {name for name, method in METHODS.items() if method.forward_only} == FORWARD_ONLY


@pytest.mark.parametrize("method", sorted(set(METHODS) - FORWARD_ONLY))
def test_other_methods_say_so_before_anything_is_sent(method):
    with serving(lambda *_: (500, {}, {})) as log:
        explainer = Explainer.from_pretrained(log.address, model_name="m")
        with pytest.raises(InputError, match=r"needs .*, and an endpoint tells log-probabilities alone"):
            explainer.explain(np.zeros((8, 8, 3), np.uint8), "?", method=method)
    assert log.requests == []


def test_several_images_are_refused_before_anything_is_sent():
    picture = np.zeros((8, 8, 3), np.uint8)
    with serving(lambda *_: (500, {}, {})) as log:
        explainer = Explainer.from_pretrained(log.address, model_name="m")
        with pytest.raises(InputError, match=r"^an endpoint is asked about one image at a time; got 2 images$"):
            explainer.explain([picture, picture], "?", method="strips")
    assert log.requests == []


# ---- a server of our own words ----

TOKENS = ((5, "A"), (6, " cat"))


def vllm(values=(-0.5, -0.25), tokens=TOKENS, answer="A cat"):
    """Generates one answer, and scores it with these log-probabilities."""

    def reply(_, body):
        if body is None:
            return 200, {}, {"data": [{"id": "m"}]}
        if "prompt_logprobs" not in body:
            content = {"message": {"content": answer}}
            return 200, {}, {"choices": [content], "usage": {"completion_tokens": 2}}
        places = [
            {str(token): {"logprob": value, "decoded_token": text}}
            for (token, text), value in zip(tokens, values, strict=True)
        ]
        return 200, {}, {"choices": [{}], "prompt_logprobs": [None, *places]}

    return reply


def llama(number, body):
    """As the llama.cpp server: it knows no prompt_logprobs and goes on with the message; a grammar holds it."""
    if "grammar" not in body:
        return 200, {}, {"choices": [{"message": {"content": "A cat"}}]}
    biased = [token for token, _ in body.get("logit_bias", [])]
    tokens = TOKENS if number < 3 or biased == [5, 6] else ((5, "A"), (7, " c"), (8, "at"))
    content = [{"id": i, "token": t, "logprob": -0.5, "top_logprobs": [{"logprob": -0.5}]} for i, t in tokens]
    return 200, {}, {"choices": [{"logprobs": {"content": [*content, {"id": 2, "token": "", "logprob": 0.0}]}}]}


def test_the_image_is_sent_without_loss_and_the_question_as_it_is():
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (7, 9, 3)).astype(np.uint8))
    with serving(vllm()) as log:
        endpoint = EndpointModel(log.address)
        ids = endpoint.generate(endpoint.encode(picture, "Wh\u00e4t?"), max_new_tokens=9)
    assert ids == (5, 6)
    assert endpoint.pieces(ids) == ["A", " cat"]
    assert endpoint.decode(ids) == "A cat"
    assert endpoint.cost.generated_tokens == 2
    assert endpoint.cost.forward == 1
    (_, _, listed), (_, _, asked), (_, _, scored) = log.requests
    assert listed is None
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("m", 9, 0)
    image, text = scored["messages"][0]["content"]
    assert text == {"type": "text", "text": "Wh\u00e4t?"}
    header, data = image["image_url"]["url"].split(",")
    assert header == "data:image/png;base64"
    sent = Image.open(io.BytesIO(base64.b64decode(data)))
    assert np.array_equal(np.asarray(sent), np.asarray(picture))
    assert abs(endpoint.request_bytes(picture, "Wh\u00e4t?") - len(json.dumps(asked))) < 200


def test_the_second_protocol_is_found_and_kept_and_holds_the_tokens():
    with serving(llama) as log:
        endpoint = EndpointModel(log.address, model_name="m")
        prompt = endpoint.encode(PICTURE, "?")
        ids = endpoint.tokenize_answer(prompt, "A cat")
        assert endpoint.score(prompt, PICTURE, ids).original.tolist() == [-0.5, -0.5]
    assert ids == (5, 6)
    assert ["grammar" in body for body in log.bodies] == [False, True, True, True]
    assert [body.get("logit_bias") for body in log.bodies] == [None, None, [[5, 100], [6, 100]], [[5, 100], [6, 100]]]


def test_other_tokens_under_another_image_are_refused():
    def reply(number, body):
        return vllm(tokens=TOKENS if number == 0 else ((9, "A"), (6, " cat")))(number, body)

    with serving(reply) as log:
        endpoint = EndpointModel(log.address, model_name="m", concurrency=1)
        prompt = endpoint.encode(PICTURE, "?")
        score = endpoint.score(prompt, PICTURE, endpoint.tokenize_answer(prompt, "A cat"))
        with pytest.raises(WherelookError, match="cuts the answer 'A cat' into other tokens with another image"):
            score.original  # noqa: B018 - asks


def test_a_server_without_log_probabilities_says_what_each_way_lacked():
    def reply(number, _):
        if number == 0:
            return 400, {}, {"error": {"message": "Unrecognized request argument: prompt_logprobs"}}
        return 200, {}, {"choices": [{"message": {"content": "A cat"}}]}

    with serving(reply) as log:
        endpoint = EndpointModel(log.address, model_name="m")
        with pytest.raises(InputError) as caught:
            endpoint.tokenize_answer(endpoint.encode(PICTURE, "?"), "A cat")
    assert str(caught.value) == (
        f"{log.address} does not tell the log-probabilities of a given answer (prompt_logprobs: {log.address} refuses "
        "the request: HTTP 400: Unrecognized request argument: prompt_logprobs; grammar: the reply has no logprobs); "
        "vLLM and the llama.cpp server do"
    )


@pytest.mark.parametrize(
    ("reply", "part"),
    [
        ({"choices": [{"message": {"content": None}}]}, "the model's answer is empty"),
        ({"choices": [{"message": {"content": " \n"}}]}, "the model's answer is empty"),
        ({"choices": [{"message": None}]}, "the model's answer is empty"),
        ({"choices": [{"message": {"content": ["A"]}}]}, "is no text but a list"),
        ({"error": "x"}, "has no choices"),
    ],
)
def test_an_answer_that_is_none_is_one_line(reply, part):
    with serving(lambda *_: (200, {}, reply)) as log:
        endpoint = EndpointModel(log.address, model_name="m")
        with pytest.raises(WherelookError, match=part):
            endpoint.generate(endpoint.encode(PICTURE, "?"))


@pytest.mark.parametrize(
    ("listed", "part"),
    [
        ({"data": [{"id": "a"}, {"id": "b"}]}, "Give --model-name; it has: a, b"),
        ({"data": []}, r"it has: \(it lists none\)"),
        ({"data": "x"}, r"it has: \(it lists none\)"),
        ({"data": [3, {"id": 4}]}, r"it has: \(it lists none\)"),
    ],
)
def test_a_name_that_is_missing_is_asked_for(listed, part):
    with serving(lambda *_: (200, {}, listed)) as log, pytest.raises(InputError, match=part):
        EndpointModel(log.address)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_requests_than_allowed_are_under_way(concurrency):
    lock, now, most = threading.Lock(), [0], [0]

    def reply(number, body):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.03)
        with lock:
            now[0] -= 1
        return vllm()(number, body)

    with serving(reply) as log:
        endpoint = EndpointModel(log.address, model_name="m", concurrency=concurrency)
        prompt = endpoint.encode(PICTURE, "?")
        score = endpoint.score(prompt, PICTURE, endpoint.tokenize_answer(prompt, "A cat"))
        assert score(torch.linspace(0, 1, 9)[:, None, None]).shape == (9, 2)
    assert most[0] == concurrency
    assert endpoint.cost.forward == 10


def test_rows_come_back_in_the_order_of_the_masks_however_long_each_takes():
    def reply(number, body):
        url = body["messages"][0]["content"][0]["image_url"]["url"]
        level = float(np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))).mean())
        time.sleep(0.05 if level > 100 else 0)
        return vllm(values=(-level, -1.0))(number, body)

    white = Image.new("RGB", (4, 4), "white")
    with serving(reply) as log:
        endpoint = EndpointModel(log.address, model_name="m", concurrency=4)
        prompt = endpoint.encode(white, "?")
        ids = endpoint.tokenize_answer(prompt, "A cat")
        score = endpoint.score(prompt, Image.new("RGB", (4, 4)), ids)
        values = score(torch.linspace(1, 0, 6)[:, None, None])
    assert values[:, 0].tolist() == [-255, -204, -153, -102, -51, 0]


def test_after_a_failure_nothing_more_is_sent():
    with serving(lambda number, body: vllm()(number, body) if number < 3 else (400, {}, {})) as log:
        endpoint = EndpointModel(log.address, model_name="m", concurrency=1)
        prompt = endpoint.encode(PICTURE, "?")
        score = endpoint.score(prompt, PICTURE, endpoint.tokenize_answer(prompt, "A cat"))
        with pytest.raises(WherelookError, match="refuses the request: HTTP 400"):
            score(torch.linspace(0, 1, 50)[:, None, None])
    assert len(log.requests) < 10


def test_nothing_that_is_saved_shows_the_key(monkeypatch, tmp_path):
    key = "sk-very-secret-0123"
    monkeypatch.setenv("WHERELOOK_API_KEY", key)
    with serving(vllm()) as log:
        explanation = Explainer.from_pretrained(log.address).explain(
            np.zeros((8, 8, 3), np.uint8), "?", method="strips", preset="fast", tokens="all"
        )
    explanation.save(tmp_path)
    assert all(request[1]["Authorization"] == f"Bearer {key}" for request in log.requests)
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert files
    assert not any(re.search(b"secret", content) for content in files)


@pytest.mark.parametrize("concurrency", [0, -1, 1000])
def test_the_concurrency_has_bounds(concurrency):
    with pytest.raises(InputError, match="the concurrency is from 1 to 256"):
        EndpointModel("http://localhost/v1", model_name="m", concurrency=concurrency)
