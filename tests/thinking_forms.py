"""Tiny models in the forms of published thinking models, and replies that are scripted: random weights do not think.

Templates are written here after the public documentation of each family, not copied.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tools.families import Pair, build

from wherelook.models import VisionLanguageModel

THOUGHT = "The ring is above the star, so it is purple."
ANSWER = "purple ring"


def chat_template(before: str, after: str, end: str, image: str, *, system: str = "", head: str = "") -> str:
    """A template of turns, each `before` ROLE `after` content `system` `end`; `head` comes first."""
    part = "{% if part['type'] == 'image' %}" + image + "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    parts = "{% for part in message['content'] %}" + part + "{% endfor %}"
    content = "{% if message['content'] is string %}{{ message['content'] }}{% else %}" + parts + "{% endif %}"
    turn = before + "{{ message['role'] }}" + after + content + system + end
    return head + "{% for message in messages %}" + turn + "{% endfor %}"


QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
CHATML = chat_template("<|im_start|>", "\n", "<|im_end|>\n", QWEN_IMAGE)
PROMPT = "{% if add_generation_prompt %}"
END = "{% endif %}"


@dataclass(frozen=True)
class Form:
    """One way of thinking.

    Attributes:
        family: whose tiny model it is.
        template: its chat template.
        thought: what the model writes up to the answer, the marks too.
        after: what it writes after the answer.
        tokens, special: marks that are one token each, ordinary and special ones; others are several.
        options: what makes it think.
        off: what the prompt ends with when thinking is off; None where that cannot be.
        opens: whether the template opens the thought.
        answer: the reply's visible answer.
    """

    family: str
    template: str
    thought: str
    after: str = ""
    tokens: tuple[str, ...] = ()
    special: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    off: str | None = None
    opens: bool = False


THINK = ("<think>", "</think>")
FORMS = {
    "qwen3-vl-thinking": Form(
        "qwen3_vl",
        CHATML + PROMPT + "<|im_start|>assistant\n<think>\n" + END,
        f"{THOUGHT}\n</think>\n\n",
        tokens=THINK,
        off="<think>\n\n</think>\n\n",
        opens=True,
    ),
    "qwen3.5, switchable": Form(
        "qwen3_vl",
        CHATML + PROMPT + "<|im_start|>assistant\n{% if enable_thinking is defined and enable_thinking is false %}"
        "<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}" + END,
        f"{THOUGHT}\n</think>\n\n",
        tokens=THINK,
        off="<think>\n\n</think>\n\n",
        opens=True,
    ),
    "marks of several tokens": Form(
        "qwen2_vl",
        CHATML + PROMPT + "<|im_start|>assistant\n<think>\n" + END,
        f"{THOUGHT}\n</think>\n\n",
        off="<think>\n\n</think>\n\n",
        opens=True,
    ),
    "glm-4.1v": Form(
        "glm4v",
        chat_template("<|", "|>\n", "", "<|begin_of_image|><|image|><|end_of_image|>")
        + PROMPT + "<|assistant|>\n<think>" + END,
        f"{THOUGHT}</think><answer>",
        "</answer>",
        tokens=THINK,
        off="<think>\n</think>\n\n",
        opens=True,
    ),
    "glm-4.5v, switchable": Form(
        "glm4v",
        chat_template(
            "<|", "|>\n", "", "<|begin_of_image|><|image|><|end_of_image|>",
            system="{% if enable_thinking is defined and not enable_thinking %}/nothink{% endif %}",
        )
        + PROMPT + "<|assistant|>\n{% if enable_thinking is defined and not enable_thinking %}<think></think>\n"
        "{% endif %}" + END,
        f"<think>{THOUGHT}</think>\n<|begin_of_box|>",
        "<|end_of_box|>",
        tokens=THINK,
        special=("<|begin_of_box|>", "<|end_of_box|>"),
        off="<think></think>\n",
    ),
    "glm, both wrappers": Form(
        "llava",
        chat_template("<|", "|>\n", "", "<image>") + PROMPT + "<|assistant|>\n" + END,
        f"<think>{THOUGHT}</think>\n<answer>\n<|begin_of_box|>",
        "<|end_of_box|>\n</answer>",
    ),
    "kimi-vl-thinking": Form(
        "llava",
        chat_template("<|im_", "<|im_middle|>", "<|im_end|>", "<|media_start|>image<image><|media_end|>")
        + PROMPT + "<|im_assistant|>assistant<|im_middle|>" + END,
        f"◁think▷{THOUGHT}◁/think▷",
    ),
    "mimo-vl": Form(
        "qwen2_vl",
        CHATML + PROMPT + "<|im_start|>assistant\n" + END,
        f"<think>\n{THOUGHT}\n</think>\n",
    ),
    "internvl3.5, by its system message": Form(
        "internvl",
        chat_template("<|im_start|>", "\n", "<|im_end|>\n", "<IMG_CONTEXT>") + PROMPT + "<|im_start|>assistant\n" + END,
        f"<think>\n{THOUGHT}\n</think>\n\n",
        options={"system": "Think first, between <think> and </think>, then answer."},
    ),
    "gemma 4": Form(
        "gemma4",
        chat_template(
            "<|turn>", "\n", "<turn|>\n", "<|image|>",
            head="{% if enable_thinking %}<|turn>system\n<|think|><turn|>\n{% endif %}",
        )
        + PROMPT + "<|turn>model\n{% if not enable_thinking %}<|channel>thought\n<channel|>{% endif %}" + END,
        f"<|channel>thought\n{THOUGHT}\n<channel|>",
        special=("<|channel>", "<channel|>"),
        options={"think": "on"},
        off="<|channel>thought\n<channel|>",
    ),
}  # fmt: skip


def make(form: Form) -> Pair:
    """The form's tiny model, with its marks in the vocabulary, and its processor."""
    network, processor = build(form.family)
    processor.chat_template = form.template
    tokenizer = processor.tokenizer
    tokenizer.add_tokens([*form.tokens], special_tokens=False)
    tokenizer.add_tokens([*form.special], special_tokens=True)
    if len(tokenizer) > network.get_input_embeddings().weight.shape[0]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        network.requires_grad_(False)
    return network, processor


def script(monkeypatch: pytest.MonkeyPatch, thought: str, answer: str, *, ends: bool = True) -> list[Any]:
    """Has every model generate this: the thought, unless the prompt has one, and the answer. Returns the prompts."""
    asked: list[Any] = []

    def generate(self, prompt, *, max_new_tokens, done=None, **_):
        asked.append(prompt)
        text = answer if prompt.reasoning is not None else thought + answer
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        found: list[int] = []
        for token in [*ids, *([self.tokenizer.eos_token_id] if ends else ids * 99)]:
            found.append(token)
            if token == self.tokenizer.eos_token_id or len(found) >= max_new_tokens or (done and done(found)):
                break
        self.cost.generated_tokens += len(found)
        return SimpleNamespace(sequences=torch.tensor([found]))

    monkeypatch.setattr(VisionLanguageModel, "_generate", generate)
    return asked
