"""A model behind an address that thinks: its thought is kept apart, and no answer is scored as if there were none."""

from __future__ import annotations

import pytest
from PIL import Image

from scripted_server import serving
from wherelook.errors import EmptyAnswerError, InputError, UnfinishedThoughtError
from wherelook.models import EndpointModel

PICTURE = Image.new("RGB", (8, 6), (200, 30, 30))


def ask(message, monkeypatch, **options):
    """The answer that is scored, and the bodies of the requests."""
    placed = []

    def cut(self, prompt, answer):
        placed.append(answer)
        self._answers[(7,)] = (answer,)
        return (7,)

    monkeypatch.setattr(EndpointModel, "tokenize_answer", cut)
    with serving(lambda number, body: (200, {}, {"choices": [{"message": message}]})) as log:
        endpoint = EndpointModel(log.address, model_name="m", **options)
        try:
            text = endpoint.reply(endpoint.encode(PICTURE, "What?")).text
        finally:
            bodies = log.bodies
    assert placed == [text]
    return text, bodies


@pytest.mark.parametrize(
    "message",
    [
        {"content": "red"},
        {"content": "red", "reasoning_content": None},
        {"content": "red", "reasoning": "  \n"},
        {"content": "<think>\n\n</think>\n\nred"},
        {"content": "\n</think>\n\nred"},
        {"content": "◁think▷◁/think▷red"},
        {"content": "<think></think><answer>red</answer>"},
    ],
)
def test_an_answer_without_a_thought_is_asked_about_alone(message, monkeypatch):
    assert ask(message, monkeypatch)[0] == "red"


@pytest.mark.parametrize(
    "message",
    [
        {"content": "red", "reasoning_content": "so red\n"},
        {"content": "red", "reasoning": "so red"},
        {"content": "<think>so red</think>red"},
        {"content": "so red</think>red"},
        {"content": "<think>so red"},
        {"content": None, "reasoning_content": "so red"},
    ],
)
def test_a_thought_is_told_and_its_answer_not_scored_without_it(message, monkeypatch):
    with pytest.raises(UnfinishedThoughtError, match="cannot be scored after a thought; turn thinking off") as error:
        ask(message, monkeypatch)
    assert error.value.reasoning == "so red"
    assert "\n" not in str(error.value)


def test_no_answer_is_an_error_of_its_own(monkeypatch):
    with pytest.raises(EmptyAnswerError):
        ask({"content": "<think>\n</think>\n"}, monkeypatch)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, None),
        ({"think": "off"}, {"enable_thinking": False, "thinking": False}),
        ({"think": "on"}, {"enable_thinking": True, "thinking": True}),
        ({"chat_template_kwargs": {"a": 1}}, {"a": 1}),
        ({"think": "off", "chat_template_kwargs": {"a": 1}}, {"enable_thinking": False, "thinking": False, "a": 1}),
    ],
)
def test_options_of_the_chat_are_sent(options, sent, monkeypatch):
    _, bodies = ask({"content": "red"}, monkeypatch, **options)
    assert [body.get("chat_template_kwargs") for body in bodies] == [sent]


def test_a_system_message_comes_first(monkeypatch):
    _, bodies = ask({"content": "red"}, monkeypatch, system="Be brief.")
    assert bodies[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert [message["role"] for message in bodies[0]["messages"]] == ["system", "user"]


def test_a_given_thought_is_refused():
    with serving(lambda number, body: (200, {}, {"data": [{"id": "m"}]})) as log:
        endpoint = EndpointModel(log.address)
        with pytest.raises(InputError, match="cannot be given a thought: over this protocol an answer cannot be"):
            endpoint.with_thought(endpoint.encode(PICTURE, "What?"), "so red")
