"""What is sent, and what of a reply is believed."""

from __future__ import annotations

import math

import pytest

from wherelook import WherelookError
from wherelook.models.endpoint.protocols import PROTOCOLS, MissingError, ScoredToken, grammar_of

MESSAGES = [{"role": "user", "content": "?"}]
PROMPT, GRAMMAR = PROTOCOLS["prompt_logprobs"], PROTOCOLS["grammar"]


def place(token, text, log_prob, best=None):
    """As vLLM writes a place of the prompt: its token, and the likeliest one where that is another."""
    found = {str(token): {"logprob": log_prob, "rank": 1 if best is None else 3, "decoded_token": text}}
    if best is not None:
        found["999"] = {"logprob": best, "rank": 1, "decoded_token": "other"}
    return found


def prompt_reply(*answer):
    return {"prompt_logprobs": [None, place(1, "USER", -9.0), place(2, "?", -1.0), *answer], "choices": [{}]}


def generated(token, text, log_prob, best=None):
    top = [{"id": token if best is None else 999, "token": "x", "logprob": log_prob if best is None else best}]
    return {"id": token, "token": text, "bytes": list(text.encode()), "logprob": log_prob, "top_logprobs": top}


def grammar_reply(*answer):
    return {"choices": [{"message": {"content": "-"}, "logprobs": {"content": list(answer)}}]}


def test_vllm_is_sent_the_answer_as_the_beginning_of_a_message():
    assert PROMPT.request(MESSAGES, "A cat", ()) == {
        "messages": [*MESSAGES, {"role": "assistant", "content": "A cat"}],
        "add_generation_prompt": False,
        "continue_final_message": True,
        "prompt_logprobs": 1,
        "max_tokens": 1,
    }


def test_llama_cpp_is_sent_a_grammar_and_then_the_tokens():
    body = GRAMMAR.request(MESSAGES, 'A "cat"\\', ())
    assert body["grammar"] == 'root ::= " "? "A \\"cat\\"\\\\"'
    assert "logit_bias" not in body
    assert body["logprobs"] is True
    assert GRAMMAR.request(MESSAGES, "A", (7, 3, 7))["logit_bias"] == [[3, 100], [7, 100]]


def test_a_grammar_has_no_line_breaks_of_its_own():
    assert grammar_of("a\nb\tc\r") == 'root ::= " "? "a\\nb\\tc\\r"'


CAT = (ScoredToken(5, "A", -0.5, True), ScoredToken(6, " cat", -2.0, False))


@pytest.mark.parametrize(
    ("protocol", "reply"),
    [
        (PROMPT, prompt_reply(place(5, "A", -0.5), place(6, "cat", -2.0, best=-0.25))),
        (GRAMMAR, grammar_reply(generated(5, " A", -0.5), generated(6, " cat", -2.0, best=-0.25))),
        (GRAMMAR, grammar_reply(generated(5, "A", -0.5), generated(6, " cat", -2.0, best=-0.25), generated(2, "", 0))),
        (
            GRAMMAR,
            grammar_reply(generated(5, "A", -0.5), generated(6, " cat", -2.0, best=-0.25), generated(2, "<end>", 0)),
        ),
    ],
)
def test_the_tokens_of_the_answer(protocol, reply):
    assert protocol.read(reply, "A cat") == CAT


def test_the_order_of_the_two_tokens_of_a_place_does_not_matter():
    turned = dict(reversed(place(6, "cat", -2.0, best=-0.25).items()))
    assert PROMPT.read(prompt_reply(place(5, "A", -0.5), turned), "A cat") == CAT


@pytest.mark.parametrize("missing", [{}, {"prompt_logprobs": None}, {"prompt_logprobs": []}, {"prompt_logprobs": "x"}])
def test_without_prompt_log_probabilities_the_protocol_is_another(missing):
    with pytest.raises(MissingError, match="the reply has no prompt_logprobs"):
        PROMPT.read({"choices": [{}]} | missing, "A cat")


@pytest.mark.parametrize(
    "choice", [{}, {"logprobs": None}, {"logprobs": []}, {"logprobs": {"content": []}}, {"logprobs": {"content": 3}}]
)
def test_without_log_probabilities_the_protocol_is_another(choice):
    with pytest.raises(MissingError, match="the reply has no logprobs"):
        GRAMMAR.read({"choices": [choice]}, "A cat")


@pytest.mark.parametrize("reply", [{}, {"choices": []}, {"choices": {}}, {"choices": [None]}])
def test_a_reply_without_choices_is_one_line(reply):
    with pytest.raises(WherelookError, match="the server's reply has no choices"):
        GRAMMAR.read(reply, "A cat")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.5, -3.4e38])
@pytest.mark.parametrize("protocol", [PROMPT, GRAMMAR])
def test_numbers_that_are_no_log_probabilities_are_refused(protocol, value):
    reply = prompt_reply(place(5, "A", value)) if protocol is PROMPT else grammar_reply(generated(5, "A", value))
    with pytest.raises(WherelookError, match="is not a finite number of at most 0"):
        protocol.read(reply, "A")


@pytest.mark.parametrize("value", [None, "-1.0", True, [1], {}])
@pytest.mark.parametrize("protocol", [PROMPT, GRAMMAR])
def test_what_is_no_number_is_refused(protocol, value):
    reply = prompt_reply(place(5, "A", value)) if protocol is PROMPT else grammar_reply(generated(5, "A", value))
    with pytest.raises(MissingError, match="in place of a log-probability"):
        protocol.read(reply, "A")


@pytest.mark.parametrize(
    ("broken", "part"),
    [
        (3, "not one or two tokens"),
        ({}, "not one or two tokens"),
        ({"1": {}, "2": {}, "3": {}}, "not one or two tokens"),
        ({"cat": {"logprob": -1.0, "decoded_token": "A"}}, "do not map token ids"),
        ({"5": -1.0}, "do not map token ids"),
        ({"5": {"logprob": -1.0}}, "without the texts of their tokens"),
    ],
)
def test_places_of_another_form_are_refused(broken, part):
    with pytest.raises(WherelookError, match=part):
        PROMPT.read(prompt_reply(broken), "A")


def test_tokens_that_are_not_the_answer_are_refused():
    with pytest.raises(WherelookError, match=r"does not end with the answer 'A dog' but with 'USER\?A cat'"):
        PROMPT.read(prompt_reply(place(5, "A", -0.5), place(6, " cat", -2.0)), "A dog")
    with pytest.raises(MissingError, match="it answers 'A cat', where the grammar allows 'A dog' alone"):
        GRAMMAR.read(grammar_reply(generated(5, "A", -0.5), generated(6, " cat", -2.0)), "A dog")


def test_tokens_without_ids_are_refused():
    with pytest.raises(MissingError, match="without token ids"):
        GRAMMAR.read(grammar_reply({"token": "A", "logprob": -1.0}), "A")
