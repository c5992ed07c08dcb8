"""What stands for the image where no template says so."""

from __future__ import annotations

import pytest
import torch
from tools.families import build

from wherelook.errors import InputError
from wherelook.models import VisionLanguageModel
from wherelook.models.huggingface.placeholder import find_placeholder

IMAGE = 7


class Tokenizer:
    unk_token_id = 0

    def convert_tokens_to_ids(self, token):
        return IMAGE if token == "<image>" else self.unk_token_id


def processor(*, own: int, refuses: str = ""):
    """Makes `own` image tokens by itself, one for each placeholder, and refuses a text."""

    def process(image, text):
        if text == refuses:
            raise InputError("refused")
        return {"input_ids": torch.tensor([[IMAGE] * (own + text.count("<image>")) + [1]])}

    return process


@pytest.mark.parametrize(
    ("process", "token", "expected"),
    [
        (processor(own=0), "<image>", "<image>"),
        (processor(own=0, refuses="?"), "<image>", "<image>"),
        (processor(own=4), "<image>", ""),
        (processor(own=4, refuses="<image>?"), "<image>", ""),
        (processor(own=0), "<picture>", ""),
    ],
)
def test_a_placeholder_is_written_where_the_processor_wants_one(process, token, expected):
    assert find_placeholder(process, Tokenizer(), token) == expected


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")  # Pillow on NumPy 2
@pytest.mark.parametrize(("name", "prompt"), [("paligemma", "<image>What?"), ("blip-2", "What?"), ("git", "What?")])
def test_prompts_of_families_without_a_chat_template(name, prompt):
    assert VisionLanguageModel(*build(name)).render("What?") == prompt


@pytest.mark.parametrize("name", ["blip-2", "instructblip", "git"])
def test_a_model_that_reads_its_image_beside_the_text_takes_one(name):
    with pytest.raises(InputError, match=f"'{name}' reads one image beside the text, not 2: choose another model"):
        VisionLanguageModel(*build(name), identifier=name).render("What?", 2)
