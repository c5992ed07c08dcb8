"""A question about an image and its answer, ready to be explained: what every method and every measure starts from.

Finding the answer, the words of it that rest on the image, and the score with and without the image costs the same
whatever comes after, so it is done once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from wherelook.baselines import OTHER_IMAGE, UNSEEN, make_baseline
from wherelook.canvas import Canvas
from wherelook.data.images import ImageSource, LoadedImage, load_image, load_images, side_by_side
from wherelook.errors import WherelookError
from wherelook.models import AnyModel, AnyScore
from wherelook.models.chat_options import ChatOptions
from wherelook.models.huggingface.batching import PeakMemory
from wherelook.models.reply import Prompt, Reply
from wherelook.models.turns import in_turn
from wherelook.request import AUTO_BASELINES, check_request, check_text
from wherelook.score import Size, Status, Token
from wherelook.tokens import ALPHA, Reliance, judge, measure_reliance, select


@dataclass(frozen=True)
class Relevance:
    """Whether an answer rests on the image, before any map is made.

    Attributes:
        status, reason, tokens, reliance: as in `Explanation`.
        answer: the text.
        blind_answer: what the model answers when it is shown the baseline alone, where the answer does not rest on
            the image; else None.
    """

    status: Status
    reason: str
    answer: str
    tokens: tuple[Token, ...]
    reliance: Reliance
    blind_answer: str | None = None


@dataclass(frozen=True)
class Case:
    """An answered question. Make one with `open_case`.

    Attributes:
        model: who answered.
        image: what was asked about; several images lie side by side on their canvas.
        question: the question.
        prompt: both, as the model reads them, and its thought, if it thinks: the answer is explained given it.
        relevance: the answer, its tokens, and whether they rest on the image.
        score: of all tokens of the answer, against the baseline that the reliance names.
        tokens: which words were asked for; "auto" for the rule.
        answer_given: whether the user gave the answer.
        seed: of noise baselines.
        max_new_tokens: longest answer to generate.
        cost: passes, seconds and peak memory that opening took.
        notes: what a reader should know.
        images: each image of the prompt, in its order.
        baseline_image: the other image that serves as the baseline; None where another baseline does.
        reply: the answer with the prompt that it follows.
        chat: the chat around the question.
        reasoning_given: the thought that the user gave; None for none.
        working: in the place of each image what everything but the model's own look at it is made of: the image, or a
            smaller copy where it is far larger than the model's input.
    """

    model: AnyModel
    image: LoadedImage
    question: str
    prompt: Prompt
    relevance: Relevance
    score: AnyScore
    tokens: str
    answer_given: bool
    seed: int
    max_new_tokens: int
    cost: Mapping[str, float]
    notes: tuple[str, ...]
    images: tuple[LoadedImage, ...]
    reply: Reply
    chat: ChatOptions
    reasoning_given: str | None = None
    baseline_image: LoadedImage | None = None
    working: tuple[LoadedImage, ...] = ()

    @property
    def reasoning(self) -> str | None:
        """The thought that the answer follows; None for a model that does not think, "" for an empty one."""
        return self.prompt.reasoning

    @property
    def judged(self) -> str:
        """What a judge reads: what the model marked as its final result, else the whole answer."""
        return self.reply.judged

    @property
    def selected(self) -> list[int]:
        """Positions of the tokens to explain."""
        return [index for index, token in enumerate(self.relevance.tokens) if token.selected]

    @property
    def baseline(self) -> str:
        """Name of the baseline that the words were found with."""
        return self.relevance.reliance.baseline

    @property
    def unseen_baseline(self) -> str:
        """Name of the one to replay with that no method has worked with."""
        return UNSEEN[self.baseline]

    @property
    def canvas(self) -> Canvas:
        """Where the images lie under the map's cells."""
        return Canvas(tuple(image.size for image in self.images))

    @property
    def guide(self) -> Float[Tensor, "3 height width"]:
        """The image, or the canvas of several, RGB in [0, 1]; smaller where the image is far larger than the model's
        input.
        """
        return torch.from_numpy(side_by_side(self.working).pixels).permute(2, 0, 1).to(torch.float32) / 255

    def selected_score(self) -> AnyScore:
        """The score of the tokens to explain."""
        return self.score.select(self.selected)

    @in_turn
    def against(self, score: AnyScore, baseline: str) -> AnyScore:
        """`score` with another baseline, by name."""
        pictures = _baseline_pictures(self.working, baseline, self.seed, self.baseline_image, self.prompt.sizes)
        return score.with_baseline(self.model.pixels(self.prompt, pictures))

    @in_turn
    def asked(self, question: str) -> AnyScore:
        """The score of the tokens to explain, had the same answer been given to another question about the image.

        Raises:
            InputError: the question is empty, or not for this model.
        """
        check_text("question", question)
        prompt = self.model.encode([image.picture for image in self.images], question, self.chat)
        reply = self.model.repeat(prompt, self.reply)
        pictures = _baseline_pictures(self.working, self.baseline, self.seed, self.baseline_image, self.prompt.sizes)
        return self.model.score(reply.prompt, pictures, reply.ids).select(self.selected)

    @in_turn
    def answer_to(self, score: AnyScore, mask: Float[Tensor, "height width"]) -> str:
        """What the model answers when it sees the blend of image (mask 1) and `score`'s baseline (mask 0).

        A thinking model answers after the thought that it had about the image.
        """
        return self.model.answer_text(_shown(self.prompt, score.blend(mask[None])), max_new_tokens=self.max_new_tokens)


@in_turn
def open_case(
    model: AnyModel,
    image: ImageSource | Sequence[ImageSource],
    question: str,
    *,
    answer: str | None = None,
    tokens: str = "auto",
    baseline: str = "auto",
    baseline_image: ImageSource | None = None,
    alpha: float = ALPHA,
    max_new_tokens: int = 64,
    chat: ChatOptions | None = None,
    reasoning: str | None = None,
    repeated: Reply | None = None,
    seed: int = 0,
) -> Case:
    """Asks, and finds the words to explain with the baseline that shows them best.

    Arguments and errors are those of `Explainer.explain`; `chat` holds think, system and the like, None for the model's
    own options. Threads that ask one model wait for each other.

    Args:
        repeated: the thought and the answer of another case, token for token, in place of `answer` and `reasoning`.
    """
    check_request(
        question,
        answer=answer,
        baseline=baseline,
        alpha=alpha,
        max_new_tokens=max_new_tokens,
        baseline_image=baseline_image is not None,
    )
    images = load_images(image)
    other = None if baseline_image is None else load_image(baseline_image)
    meter = Meter(model)
    chat = model.chat if chat is None else chat
    pictures = [one.picture for one in images]
    prompt = model.encode(pictures, question, chat)
    smaller = model.stand_ins(prompt, pictures)
    working = tuple(
        one if small is picture else replace(one, pixels=np.array(small))
        for one, picture, small in zip(images, pictures, smaller, strict=True)
    )
    if repeated is not None:
        reply = model.repeat(prompt, repeated)
    else:
        reply = _replied(model, prompt, answer, reasoning, max_new_tokens, chat.max_thinking_tokens)
    prompt, ids = reply.prompt, reply.ids
    notes = _image_notes(images) + model.size_notes(prompt) + _geometry_notes(model, working, prompt.sizes, seed)
    notes += prompt.notes
    if reply.cut:
        notes += (f"the answer was cut after {max_new_tokens} tokens: allow more with max_new_tokens",)
    if reply.pictured:
        notes += (
            f"the answer ends where the model began to write an image ({reply.pictured!r}): only the words before it "
            "are explained",
        )

    names: tuple[str, ...] = AUTO_BASELINES if baseline == "auto" else (baseline,)
    if baseline == "auto" and other is not None:
        names += (OTHER_IMAGE,)
    found: list[tuple[Relevance, AnyScore]] = []
    for name in names:
        if name == OTHER_IMAGE and any(pair[0].reliance.relevant_words for pair in found):
            break
        replaced = _baseline_pictures(working, name, seed, other, prompt.sizes)
        if not found:
            score = model.score(prompt, replaced, ids)
        else:
            score = found[0][1].with_baseline(model.pixels(prompt, replaced))
        found.append((_relevance(reply, score, tokens, name, alpha), score))
        if found[0][0].reliance.relevant_words:
            break
    # Where none shows any relevant word all gaps are zero, and the first one speaks.
    shown = [pair for pair in found if pair[0].reliance.relevant_words] or found[:1]
    relevance, score = max(shown, key=lambda pair: pair[0].reliance.gap)
    if relevance.status == "not_visual":
        relevance = _with_blind_answer(model, prompt, score, relevance, max_new_tokens)
    return Case(
        model,
        side_by_side(images),
        question,
        prompt,
        relevance,
        score,
        tokens,
        answer is not None or repeated is not None,
        seed,
        max_new_tokens,
        meter.read(),
        notes,
        images,
        reply,
        chat,
        reasoning,
        other if relevance.reliance.baseline == OTHER_IMAGE else None,
        working,
    )


def baseline_picture(
    loaded: LoadedImage, name: str, seed: int, other: LoadedImage | None = None, size: Size | None = None
) -> Image.Image:
    """The baseline called `name` of an image; `other`, at its size, where the name says so.

    `size` is that of the image of which `loaded` is a smaller copy, if it is one.
    """
    if name == OTHER_IMAGE and other is not None:
        height, width = loaded.size
        return other.picture.resize((width, height))
    return Image.fromarray(make_baseline(name, loaded.pixels, seed=seed, size=size))


def _baseline_pictures(
    images: Sequence[LoadedImage], name: str, seed: int, other: LoadedImage | None, sizes: Sequence[Size]
) -> list[Image.Image]:
    """`baseline_picture` of each image of a prompt, or of smaller copies of images of these sizes."""
    known = sizes or [image.size for image in images]
    return [baseline_picture(image, name, seed, other, size) for image, size in zip(images, known, strict=True)]


class Meter:
    """What this thread spends from here on: passes of the model and seconds; and the peak memory of the process."""

    def __init__(self, model: AnyModel) -> None:
        self.model = model
        self.before = model.cost.of_this_thread()
        self.started = time.perf_counter()
        self.memory = PeakMemory(model.device)

    def read(self) -> dict[str, float]:
        spent = asdict(self.model.cost.of_this_thread())
        passes = {name: count - getattr(self.before, name) for name, count in spent.items()}
        return passes | {"seconds": time.perf_counter() - self.started, "peak_bytes": self.memory.bytes()}


def add_costs(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """Both together: sums, and the higher of the peaks."""
    return {
        name: max(value, second[name]) if name == "peak_bytes" else value + second[name]
        for name, value in first.items()
    }


def _replied(
    model: AnyModel, prompt: Prompt, answer: str | None, reasoning: str | None, longest: int, longest_thought: int
) -> Reply:
    """The model's answer, or the given one, after its thought, or the given one."""
    if reasoning is not None:
        prompt = model.with_thought(prompt, reasoning)
    if answer is not None:
        return model.place(prompt, answer, max_thinking_tokens=longest_thought)
    return model.reply(prompt, max_new_tokens=longest, max_thinking_tokens=longest_thought)


def _relevance(reply: Reply, score: AnyScore, wanted: str, baseline: str, alpha: float) -> Relevance:
    tokens = select(
        reply.pieces,
        reply.ids,
        score.original.tolist(),
        score.baseline.tolist(),
        score.flips(),
        special=reply.special,
        wanted=wanted,
        alpha=alpha,
    )
    reliance = measure_reliance(tokens, alpha=alpha, baseline=baseline)
    status, reason = judge(tokens, reliance, wanted)
    return Relevance(status, reason, reply.text, tokens, reliance)


def _with_blind_answer(
    model: AnyModel, prompt: Prompt, score: AnyScore, relevance: Relevance, max_new_tokens: int
) -> Relevance:
    """With what the model answers when it is shown the baseline alone: the evidence that the image does not matter."""
    text = model.answer_text(_shown(prompt, score.baseline_pixels), max_new_tokens=max_new_tokens)
    reason = f"{relevance.reason}; shown the {relevance.reliance.baseline} baseline instead, the model answers {text!r}"
    return replace(relevance, reason=reason, blind_answer=text)


def _shown(prompt: Prompt, pixels: Mapping[str, Tensor]) -> Prompt:
    """The prompt, its thought too, with other pixels."""
    return replace(prompt, inputs={**prompt.inputs, **pixels})


def _image_notes(images: Sequence[LoadedImage]) -> tuple[str, ...]:
    if len(images) == 1 or images[0].frame is not None:
        return tuple(note for image in images for note in image.notes)
    return tuple(f"image {index}: {note}" for index, image in enumerate(images, start=1) for note in image.notes)


def _geometry_notes(
    model: AnyModel, images: Sequence[LoadedImage], sizes: Sequence[Size], seed: int
) -> tuple[str, ...]:
    """Refuses a processor through which a mask cannot be mapped; notes one where it is only roughly so."""
    blurred = _baseline_pictures(images, "blur", seed, None, sizes)
    error = model.check_blend([image.picture for image in images], blurred)
    if error.verdict == "wrong":
        raise WherelookError(
            f"the processor of {model.identifier!r} treats images by their content (cropping or normalising): "
            f"a mask maps to its input only with an error of {error.mean:.1f} of 255; up to 4 would do"
        )
    if error.verdict == "approximate":
        return (f"the mask maps to the model's input with an error of {error.mean:.1f} of 255 (mean)",)
    return ()
