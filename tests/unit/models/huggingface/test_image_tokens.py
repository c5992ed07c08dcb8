"""Which tokens stand for an image, by every source that tells."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from tokenizers import AddedToken
from tools.families import build

from wherelook import Explainer
from wherelook.errors import InputError, WherelookError
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.image_tokens import picture_token_ids

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8))
WORDS = ["<s>", "</s>", "<pad>", "a", "b", "<image>", "<video>", "<im_start>", "<row>", "<think>", "\n\n"]
LINE_ENDS = 10
ADDED = {index: AddedToken(WORDS[index], special=index != LINE_ENDS) for index in (0, 1, 2, 5, 6, 7, 8, 9, LINE_ENDS)}


class Tokenizer:
    bos_token_id, eos_token_id, pad_token_id, unk_token_id = 0, 1, 2, None
    added_tokens_decoder: ClassVar = ADDED

    def __init__(self, **named) -> None:
        vars(self).update(named)

    def __len__(self) -> int:
        return len(WORDS)

    def convert_tokens_to_ids(self, token):
        return WORDS.index(token) if token in WORDS else None


@pytest.mark.parametrize(
    ("config", "processor", "tokenizer", "written", "expected"),
    [
        ({"image_token_id": 5}, {}, {}, (), {5}),
        ({"image_token_index": 5, "video_token_index": 6}, {}, {}, (), {5, 6}),
        ({"image_token_id": 3}, {}, {}, (), {3}),  # an ordinary word, in whose place the model puts features
        ({"vision_start_token_id": 7, "vision_end_token_id": 4}, {}, {}, (), {7}),  # an ordinary word marks nothing
        ({"boi_token_index": 7, "user_token_id": 4, "think_token_id": 9}, {}, {}, (), {7}),
        ({"visual_indicator_token_ids": [7, 8]}, {}, {}, (), {7, 8}),
        ({"image_token_id": 99}, {}, {}, (), {99}),  # beyond the vocabulary
        ({"image_token_id": None, "video_token_id": 6}, {}, {}, (), {6}),
        ({"image_token_id": 1}, {}, {}, (), set()),  # the end token stays one
        ({}, {"image_token": "<image>", "video_token": "<video>"}, {}, (), {5, 6}),
        ({}, {"image_token_id": 5, "audio_ms_per_token": 6, "use_image_token": True}, {}, (), {5}),
        ({}, {"image_token": "<absent>", "image_token_id": None}, {}, (), set()),
        (
            {},
            {},
            {"image_token": "<image>", "boi_token": "<im_start>", "context_image_token": "<video>"},
            (),
            {5, 6, 7},
        ),
        ({}, {}, {}, (8, 3, 1, LINE_ENDS), {8}),  # what the processor wrote: special tokens alone, and no end
    ],
)
def test_every_source_is_asked(config, processor, tokenizer, written, expected):
    owner = SimpleNamespace(tokenizer=Tokenizer(**tokenizer), **processor)
    assert picture_token_ids(SimpleNamespace(**config), owner, written) == expected


def test_the_configurations_of_the_parts_are_asked_too():
    inner = SimpleNamespace(image_token_id=6)
    config = SimpleNamespace(sub_configs={"text_config": object, "none": object}, text_config=inner, none=None)
    assert picture_token_ids(config, SimpleNamespace(tokenizer=Tokenizer())) == {6}
    assert picture_token_ids(None, SimpleNamespace(tokenizer=Tokenizer())) == frozenset()


@pytest.fixture
def model() -> VisionLanguageModel:
    return VisionLanguageModel(*build("qwen2_vl"))


def prefer(model: VisionLanguageModel, token: int, after: int):
    """Makes the model write a token once it has written so many others, and ever after."""

    def hook(module, arguments, output):
        grown = calls.append(1) or len(calls) > after
        if grown:
            output.logits[:, -1, token] = 1e4

    calls: list[int] = []
    return model.model.register_forward_hook(hook)


def test_an_answer_that_begins_with_an_image_is_an_error_with_advice(model):
    handle = prefer(model, model.model.config.image_token_id, 0)
    try:
        with pytest.raises(WherelookError, match=r"the model's answer begins with '<\|image_pad\|>', which stands for"):
            Explainer(model).explain(PICTURE, "Why?", method="center")
    finally:
        handle.remove()


def test_an_answer_that_goes_on_with_an_image_has_a_note(model, tmp_path):
    handle = prefer(model, model.model.config.image_token_id, 3)
    try:
        explanation = Explainer(model).explain(PICTURE, "Why?", method="center", replay_steps=0)
    finally:
        handle.remove()
    assert len(explanation.tokens) == 3
    note = "the answer ends where the model began to write an image ('<|image_pad|>'): only the words before it are"
    (found,) = [text for text in explanation.notes if "image (" in text]
    assert found == f"{note} explained"
    assert "<|image_pad|>" not in explanation.answer
    explanation.save(tmp_path)
    assert found in json.loads((tmp_path / "explanation.json").read_text())["notes"]
    assert "the answer ends where the model began to write an image" in (tmp_path / "report.html").read_text()


def test_other_ends_of_an_answer_have_no_such_note(model):
    for token, notes in ((model.tokenizer.eos_token_id, 0), (None, 1)):
        handle = prefer(model, token, 3) if token is not None else None
        reply = model.reply(model.encode(PICTURE, "Why?"), max_new_tokens=4)
        assert (reply.pictured, reply.cut) == ("", bool(notes))
        if handle is not None:
            handle.remove()


@pytest.mark.parametrize("where", ["{image}<|image_pad|>{question}", "<|image_pad|> {image} {question}"])
def test_a_prompt_template_writes_the_image_where_it_says_so_alone(where):
    model = VisionLanguageModel(*build("qwen2_vl"), prompt_template=where)
    with pytest.raises(InputError, match=r"the prompt template contains '<\|image_pad\|>': write \{image\} where"):
        model.render("Why?")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{image}{question}", "<|vision_start|><|image_pad|><|vision_end|>Why?"),
        ("<|vision_start|>{image}<|vision_end|>{question}", "<|vision_start|><|image_pad|><|vision_end|>Why?"),
    ],
)
def test_a_prompt_template_gets_the_markers_that_it_does_not_write(template, expected):
    assert VisionLanguageModel(*build("qwen2_vl"), prompt_template=template).render("Why?") == expected


def test_a_template_that_writes_videos_alone_does_not_stand_in_the_way_of_one():
    model = VisionLanguageModel(*build("qwen2_vl"), frames_per_second=2)
    if model.processor.video_processor is None:
        pytest.skip("videos need torchvision")
    template = model.processor.chat_template.replace("<|image_pad|>", "").replace("<|vision_start|><|vision_end|>", "")
    model.processor.chat_template = template.replace("{{ message['content'] }}", "")
    assert "<|video_pad|>" in model.render("Why?", 2)
    assert model.model.config.image_token_id in model.prompting.picture_ids
