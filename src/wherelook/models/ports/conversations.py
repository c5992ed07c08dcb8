"""How the published models were told apart what the user says and what they answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Conversation:
    """The text around messages; {} is the message.

    Attributes:
        system: what comes first.
        user: a question, with the image placeholder and a line end before it where it has an image.
        assistant: what an answer begins with; a prompt ends with it.
        reply: the answer after that.
        stop: the token that ends an answer.
    """

    system: str
    user: str
    assistant: str
    reply: str
    stop: str


CONVERSATIONS = {
    "vicuna": Conversation(
        system="A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions. ",
        user="USER: {} ",
        assistant="ASSISTANT:",
        reply=" {}</s>",
        stop="</s>",
    ),
    "gemma": Conversation(
        system="",
        user="<start_of_turn>user\n{}<end_of_turn>\n",
        assistant="<start_of_turn>model\n",
        reply="{}<end_of_turn>\n<eos>",
        stop="<end_of_turn>",
    ),
    # The answers' turn is named "system" in what this model was published with.
    "llama-3": Conversation(
        system="<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
        "provides, and assist the user with a variety of tasks using natural language.<|eot_id|>",
        user="<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>",
        assistant="<|start_header_id|>system<|end_header_id|>\n\n",
        reply="{}<|eot_id|>",
        stop="<|eot_id|>",
    ),
    "mistral": Conversation(system="", user="[INST] {} [/INST]", assistant="", reply=" {} </s>", stop="</s>"),
    "chatml": Conversation(
        system="<|im_start|>system\nAnswer the questions.<|im_end|>",
        user="<|im_start|>user\n{}<|im_end|>",
        assistant="<|im_start|>assistant\n",
        reply="{}<|im_end|>",
        stop="<|im_end|>",
    ),
}

PLAIN = Conversation(system="", user="USER: {}", assistant=" ASSISTANT:", reply=" {}", stop="</s>")
"""Vicuna's without a system prompt and what ends an answer: for a tokenizer that has no chat template."""

LLAMA_3_VOCABULARY, YI_VOCABULARY = 128_256, 64_000


def conversation_for(model_type: str, vocabulary: int) -> str:
    """The conversation of a language model: Vicuna, Llama-3 and Yi are all Llamas, with vocabularies of their own."""
    if model_type in ("mistral", "mixtral"):
        return "mistral"
    if model_type == "gemma":
        return "gemma"
    if vocabulary >= LLAMA_3_VOCABULARY:
        return "llama-3"
    return "chatml" if vocabulary >= YI_VOCABULARY else "vicuna"


def chat_template(conversation: Conversation) -> str:
    """A Jinja template for messages whose content is a text, or parts of type "image" and "text"."""
    before, after = map(_literal, conversation.user.split("{}"))
    reply_before, reply_after = map(_literal, conversation.reply.split("{}"))
    assistant = _literal(conversation.assistant)
    content = (
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
        "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\\n' }}{% endfor %}"
        "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
        "{% endif %}"
    )
    return (
        f"{_literal(conversation.system)}{{% for message in messages %}}"
        f"{{% if message['role'] == 'assistant' %}}{assistant}{reply_before}{content}{reply_after}"
        f"{{% else %}}{before}{content}{after}{{% endif %}}"
        f"{{% endfor %}}{{% if add_generation_prompt %}}{assistant}{{% endif %}}"
    )


def _literal(text: str) -> str:
    """Jinja that prints the text as it is: template files lose line ends otherwise."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"{{{{ '{quoted}' }}}}" if text else ""
