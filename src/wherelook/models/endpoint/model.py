"""A model behind an address. It offers what `VisionLanguageModel` does, but gradient and inside.

Here a prompt is a question and the pixels of an image as they are sent; the chat template, the processor and the
tokenizer are the server's. What an answer's tokens are is known from the server's replies alone.
"""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wherelook.chat_options import ChatOptions
from wherelook.errors import EmptyAnswerError, InputError, UnfinishedThoughtError, UnusableError, WherelookError
from wherelook.geometry import BlendError, Pictures
from wherelook.load_options import FOR_MODELS_HERE, LoadOptions
from wherelook.models.endpoint.client import Client, RefusedError, requests_at_once, shorten
from wherelook.models.endpoint.protocols import PROTOCOLS, Message, MissingError, Protocol, ScoredToken, choice
from wherelook.models.endpoint.score import PIXELS, EndpointScore
from wherelook.models.reply import Prompt, Reply
from wherelook.models.thinking import SWITCHES, THOUGHTS, take_apart
from wherelook.score import Cost

CHAT = "/chat/completions"
NAMES_SHOWN = 8
NOT_AFTER_A_THOUGHT = (
    "over this protocol an answer cannot be scored after a thought; turn thinking off (--think off), or load the "
    "weights in this process"
)


class EndpointModel:
    """An OpenAI-compatible endpoint that tells the log-probabilities of a given answer.

    The API key is read from the environment (`wherelook.keys.KEY_VARIABLES`), and sent to this
    address alone.

    Args:
        address: such as http://localhost:8000/v1.
        options: how it is asked: model_name, concurrency, timeout, retries, use_proxy, and the chat around a question
            (whether the server heeds it is its own affair); or
        more: these fields of `LoadOptions` by themselves.

    Raises:
        InputError: a wrong address, key or number, no such model, or a name is missing.
        WherelookError: the server cannot be reached, or does not speak the protocol.
    """

    device = torch.device("cpu")
    forward_only = True
    weights = None

    def __init__(self, address: str, options: LoadOptions | None = None, **more: Any) -> None:
        chosen = LoadOptions.of(more) if options is None else options
        chosen.refuse(FOR_MODELS_HERE, "is for a model in this process; the address names one elsewhere")
        self.chat = chosen.chat
        self.client = Client(address, timeout=chosen.timeout, retries=chosen.retries, use_proxy=chosen.use_proxy)
        self.concurrency = chosen.concurrency
        self.identifier = self.client.address
        self.name = self._only_name() if chosen.model_name is None else chosen.model_name
        self.cost = Cost()
        self._protocol: Protocol | None = None
        self._answers: dict[tuple[int, ...], tuple[str, ...]] = {}

    @property
    def description(self) -> dict[str, Any]:
        """What a result says about the model."""
        return {
            "id": self.identifier,
            "name": self.name,
            "revision": None,
            "class": "endpoint",
            "dtype": None,
            "attention": None,
            "quantization": None,
            **self.chat.record,
        }

    @property
    def execution(self) -> dict[str, Any]:
        """Nothing: a server's device and batches are its own."""
        return {}

    def identity(self) -> dict[str, Any]:
        """Address and name: nothing else of the model can be seen."""
        return dict(self.description)

    def forget(self) -> None:
        """Nothing: the server's batches are its own."""

    # ---- prompt and answer ----

    def encode(self, image: Pictures, question: str, chat: ChatOptions | None = None) -> Prompt:
        """Question and image as they will be sent; `chat` is the chat around them, None for the model's own options.

        Raises:
            InputError: several images.
        """
        return Prompt(question, self._pixels(image), chat=self.chat if chat is None else chat)

    def pixels(self, prompt: Prompt, image: Pictures) -> dict[str, Tensor]:
        """The pixels of another image of the same size for the same prompt."""
        return self._pixels(image)

    def generate(self, prompt: Prompt, *, max_new_tokens: int = 64) -> tuple[int, ...]:
        """Token ids of the greedy answer; see `reply`."""
        return self.reply(prompt, max_new_tokens=max_new_tokens).ids

    def with_thought(self, prompt: Prompt, thought: str) -> Prompt:
        """A thought cannot be put before the answer here.

        Raises:
            InputError: always.
        """
        raise InputError(f"{self.identifier} cannot be given a thought: {NOT_AFTER_A_THOUGHT}")

    def reply(self, prompt: Prompt, *, max_new_tokens: int = 64, max_thinking_tokens: int | None = None) -> Reply:
        """The greedy answer.

        Raises:
            UnfinishedThoughtError: the model thinks first, which the protocol does not let an answer be scored after.
            WherelookError: the model answers with nothing, or the endpoint fails.
        """
        ids = self.generate_ids(prompt, max_new_tokens=max_new_tokens)
        if not ids:
            raise EmptyAnswerError("the model's answer is empty: rephrase the question, or give the answer to explain")
        return Reply(prompt, ids, tuple(self.pieces(ids)), (False,) * len(ids), cut=len(ids) >= max_new_tokens)

    def place(self, prompt: Prompt, answer: str, *, max_thinking_tokens: int | None = None) -> Reply:
        """A given answer right after the prompt. Errors are those of `tokenize_answer`."""
        ids = self.tokenize_answer(prompt, answer)
        return Reply(prompt, ids, tuple(self.pieces(ids)), (False,) * len(ids))

    def repeat(self, prompt: Prompt, reply: Reply) -> Reply:
        """Another reply's answer after this prompt."""
        return self.place(prompt, reply.text)

    def answer_text(self, prompt: Prompt, *, max_new_tokens: int = 64) -> str:
        """What the model answers; "" where that is nothing."""
        return self.decode(self.generate_ids(prompt, max_new_tokens=max_new_tokens)).strip()

    def generate_ids(self, prompt: Prompt, *, max_new_tokens: int) -> tuple[int, ...]:
        """As `generate`, but without any where the model answers with nothing."""
        reply = self._post({"messages": _messages(prompt), "max_tokens": max_new_tokens}, prompt.chat)
        usage = reply.get("usage")
        count = usage.get("completion_tokens") if isinstance(usage, dict) else None
        message = choice(reply).get("message")
        text = message.get("content") if isinstance(message, dict) else None
        if text is not None and not isinstance(text, str):
            raise WherelookError(f"the answer of {self.identifier} is no text but a {type(text).__name__}")
        text = self._without_thought(message, text or "")
        ids = self.tokenize_answer(prompt, text) if text and text.strip() else ()
        self.cost.add(generated_tokens=count if isinstance(count, int) and count > 0 else len(ids))
        return ids

    def _without_thought(self, message: Any, text: str) -> str:
        """The answer in a message, where its thought is apart or between marks, and empty.

        Raises:
            UnfinishedThoughtError: the model has thought.
        """
        fields = [message.get(name) for name in ("reasoning_content", "reasoning")] if isinstance(message, dict) else []
        parts = take_apart(_characters, [ord(character) for character in text], known=THOUGHTS[0])
        thoughts = [*fields, parts.reasoning]
        thought = next((one.strip() for one in thoughts if isinstance(one, str) and one.strip()), "")
        if thought or not parts.finished:
            raise UnfinishedThoughtError(
                f"the model behind {self.identifier} thinks before it answers: {NOT_AFTER_A_THOUGHT}", thought
            )
        return text[parts.before : parts.end]

    def tokenize_answer(self, prompt: Prompt, answer: str) -> tuple[int, ...]:
        """Token ids of a given answer as the server cuts it after the prompt; costs a request.

        Raises:
            InputError: the answer has no visible character, or the server tells no log-probabilities of it.
        """
        answer = answer.strip()
        if not answer:
            raise InputError("the answer to explain is empty")
        tokens = self._ask(prompt, answer, (), prompt.inputs[PIXELS])
        self.cost.add(forward=1)
        ids = tuple(token.id for token in tokens)
        self._answers[ids] = tuple(token.text for token in tokens)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer that this model has cut into tokens."""
        return "".join(self.pieces(ids))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The text of each token of such an answer."""
        return list(self._answers[tuple(ids)]) if ids else []

    def special(self, ids: Sequence[int]) -> list[bool]:
        """None of them is a special one: a server's answer is what a reader sees."""
        return [False] * len(ids)

    # ---- score ----

    def size_notes(self, prompt: Prompt) -> tuple[str, ...]:
        """None: what a server makes of an image cannot be seen."""
        return ()

    def stand_ins(self, prompt: Prompt, image: Pictures) -> list[Image.Image]:
        """The images themselves: blends of them are sent."""
        return [image] if isinstance(image, Image.Image) else list(image)

    def check_blend(self, image: Pictures, baseline: Pictures) -> BlendError:
        """No error: images are blended pixel by pixel, before the server's processor."""
        return BlendError(0.0, 0.0)

    def score(self, prompt: Prompt, baseline: Pictures, answer: Sequence[int]) -> EndpointScore:
        """The score function of all tokens of `answer`; `baseline` has the size of the prompt's image."""
        ids = tuple(answer)
        return EndpointScore(
            partial(self._read, prompt, ids),
            prompt.inputs,
            self._pixels(baseline),
            selected=range(len(ids)),
            cost=self.cost,
        )

    @contextlib.contextmanager
    def evaluation(self) -> Iterator[None]:
        """Nothing has to be set: a server only infers."""
        yield

    def request_bytes(self, image: Pictures, question: str) -> int:
        """How long a request about this image is. Blends of it are about as long, with a noise baseline longer."""
        return len(str(_messages(self.encode(image, question))))

    # ---- requests ----

    def _only_name(self) -> str:
        listed = self.client.get("/models").get("data")
        names = [
            model["id"]
            for model in (listed if isinstance(listed, list) else [])
            if isinstance(model, dict) and isinstance(model.get("id"), str)
        ]
        if len(names) == 1:
            result: str = names[0]
            return result
        shown = ", ".join(shorten(name) for name in names[:NAMES_SHOWN]) or "(it lists none)"
        raise InputError(f"which model of {self.identifier}? Give --model-name; it has: {shown}")

    def _read(self, prompt: Prompt, ids: tuple[int, ...], pictures: list[Tensor]) -> list[tuple[ScoredToken, ...]]:
        """The tokens of an answer with each of these images; `concurrency` of them are asked about at once."""
        answer = self.decode(ids)
        with requests_at_once(self.concurrency) as pool:
            found = list(pool.map(partial(self._ask, prompt, answer, ids), pictures))
        self.cost.add(forward=len(found))
        for tokens in found:
            if tuple(token.id for token in tokens) != ids:
                raise WherelookError(
                    f"{self.identifier} cuts the answer {answer[:60]!r} into other tokens with another image: "
                    "its log-probabilities cannot be compared"
                )
        return found

    def _ask(self, prompt: Prompt, answer: str, ids: Sequence[int], picture: Tensor) -> tuple[ScoredToken, ...]:
        """The tokens of an answer to a prompt with one image. The first time it finds the server's protocol."""
        messages = _messages(replace(prompt, inputs={PIXELS: picture}))

        def ask(protocol: Protocol) -> tuple[ScoredToken, ...]:
            return protocol.read(self._post(protocol.request(messages, answer, ids), prompt.chat), answer)

        if self._protocol is not None:
            return ask(self._protocol)
        problems = []
        for name, protocol in PROTOCOLS.items():
            try:
                tokens = ask(protocol)
            except (MissingError, RefusedError) as error:
                problems.append(f"{name}: {error}")
            else:
                self._protocol = protocol
                return tokens
        raise UnusableError(
            f"{self.identifier} does not tell the log-probabilities of a given answer ({'; '.join(problems)}); "
            "vLLM and the llama.cpp server do"
        )

    def _post(self, body: Mapping[str, Any], chat: ChatOptions) -> dict[str, Any]:
        options = dict(chat.chat_template_kwargs)
        if chat.think is not None:  # which of them the template reads is not to be seen from here
            options = {name: (off if chat.think == "off" else on) for name, on, off in SWITCHES[:2]} | options
        extra = {"chat_template_kwargs": options} if options else {}
        return self.client.post(CHAT, {"model": self.name, "temperature": 0, **extra, **body})

    @staticmethod
    def _pixels(pictures: Pictures) -> dict[str, Tensor]:
        image, *others = [pictures] if isinstance(pictures, Image.Image) else pictures
        if others:
            raise InputError(f"an endpoint is asked about one image at a time; got {len(others) + 1} images")
        values = np.array(image.convert("RGB"))
        return {PIXELS: torch.from_numpy(values).permute(2, 0, 1)[None].contiguous()}


def _characters(ids: Sequence[int]) -> str:
    """A text of which every character is a token."""
    return "".join(map(chr, ids))


def _messages(prompt: Prompt) -> list[Message]:
    """The system's turn, if there is one, and the user's: the image as PNG, without loss, then the question."""
    file = io.BytesIO()
    Image.fromarray(prompt.inputs[PIXELS][0].permute(1, 2, 0).numpy()).save(file, "PNG")
    address = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    image = {"type": "image_url", "image_url": {"url": address}}
    system = [] if prompt.chat.system is None else [{"role": "system", "content": prompt.chat.system}]
    return [*system, {"role": "user", "content": [image, {"type": "text", "text": prompt.text}]}]
