"""A question about an image and its answer, ready to be explained: what every method and every measure starts from.

Finding the answer, its visually grounded words, and the score with and without the image costs the same
whatever comes after, so it is done once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from wherelook.arguments import check_text, text
from wherelook.baselines import OTHER_IMAGE, Baseline, make_baseline, unseen
from wherelook.canvas import Canvas, Size
from wherelook.chat_options import ChatOptions
from wherelook.config import AUTO_BASELINES, ExplainConfig
from wherelook.cost import Meter
from wherelook.data.images import ImageSource, LoadedImage, load_images, side_by_side
from wherelook.errors import WherelookError
from wherelook.models import Model, ModelScore
from wherelook.models.reply import Prompt, Reply
from wherelook.models.turns import in_turn
from wherelook.score import Status, Token
from wherelook.tokens import Reliance, judge, measure_reliance, select

DEFAULT = ExplainConfig()
"""Nothing is chosen."""


@dataclass(frozen=True)
class Relevance:
    """Whether an answer is visually grounded, before any map is made.

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


@dataclass(frozen=True, kw_only=True)
class AnsweredQuestion:
    """A question with its answer, which every method explains and every measure starts from. Made by `ask`.

    Attributes:
        model: who answered.
        question: the question.
        config: what was chosen about the answer and its words; several methods may explain the same answer.
        prompt: question and images, as the model reads them, and its thought, if it thinks: the answer is explained
            given it.
        relevance: the answer, its tokens, and whether they are visually grounded.
        score: of all tokens of the answer, against the baseline that the reliance names.
        cost: passes, seconds and peak memory that asking took.
        notes: what a reader should know.
        images: each image of the prompt, in its order.
        baseline_image: the other image that serves as the baseline; None where another baseline does.
        reply: the answer with the prompt that it follows.
        chat: the chat around the question.
        given: whether the answer was given.
        working: in the place of each image what everything but the model's own look at it is made of: the image, or a
            smaller copy where it is far larger than the model's input.
    """

    model: Model
    question: str
    config: ExplainConfig
    prompt: Prompt
    relevance: Relevance
    score: ModelScore
    cost: Mapping[str, float]
    notes: tuple[str, ...]
    images: tuple[LoadedImage, ...]
    baseline_image: LoadedImage | None
    reply: Reply
    chat: ChatOptions
    given: bool
    working: tuple[LoadedImage, ...]

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
        return unseen(self.baseline)

    @cached_property
    def image(self) -> LoadedImage:
        """What was asked about; several images side by side on their canvas."""
        return side_by_side(self.images)

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

    def selected_score(self) -> ModelScore:
        """The score of the tokens to explain."""
        return self.score.select(self.selected)

    def _baseline_pictures(self, name: str) -> list[Image.Image]:
        baseline = self.config.baseline_of(name)
        return _baseline_pictures(self.working, baseline, self.config.seed, self.baseline_image, self.prompt.sizes)

    @in_turn
    def against(self, score: ModelScore, baseline: str) -> ModelScore:
        """`score` with another baseline, by name."""
        pictures = self._baseline_pictures(baseline)
        return score.with_baseline(self.model.pixels(self.prompt, pictures))

    @in_turn
    def asked(self, question: str) -> ModelScore:
        """The score of the tokens to explain, had the same answer been given to another question about the image.

        Raises:
            InputError: the question is empty, or not for this model.
        """
        check_text("question", question)
        prompt = self.model.encode([image.picture for image in self.images], question, self.chat)
        reply = self.model.repeat(prompt, self.reply)
        pictures = self._baseline_pictures(self.baseline)
        return self.model.score(reply.prompt, pictures, reply.ids).select(self.selected)

    @in_turn
    def answer_to(self, score: ModelScore, mask: Float[Tensor, "height width"]) -> str:
        """What the model answers when it sees the blend of image (mask 1) and `score`'s baseline (mask 0).

        A thinking model answers after the thought that it had about the image.
        """
        shown = _shown(self.prompt, score.blend(mask[None]))
        return self.model.answer_text(shown, max_new_tokens=self.config.max_new_tokens)


@in_turn
def ask(
    model: Model,
    image: ImageSource | Sequence[ImageSource],
    question: str,
    config: ExplainConfig = DEFAULT,
    *,
    repeated: Reply | None = None,
    blind: bool = True,
) -> AnsweredQuestion:
    """Asks, and finds the words to explain with the baseline that shows them best.

    Threads that ask one model wait for each other.

    Args:
        model: who is asked.
        image: one, or several in the order of the prompt.
        question: about them.
        config: its answer, reasoning, tokens, baseline, alpha, max_new_tokens, seed and chat are followed.
        repeated: the thought and the answer of another answered question, token for token, in place of the config's.
        blind: whether the model is asked with the baseline alone too where the answer is not visually grounded.

    Raises:
        InputError, UnfinishedThoughtError, WherelookError: as `Explainer.explain`.
    """
    check_text("question", text("question", question))
    images = load_images(image)
    meter = Meter(model)
    chat = config.chat(model.chat)
    pictures = [one.picture for one in images]
    prompt = model.encode(pictures, question, chat)
    smaller = model.stand_ins(prompt, pictures)
    working = tuple(
        one if small is picture else replace(one, pixels=np.array(small))
        for one, picture, small in zip(images, pictures, smaller, strict=True)
    )
    reply = _replied(model, prompt, config, chat) if repeated is None else model.repeat(prompt, repeated)
    geometry_notes = _geometry_notes(model, working, reply.prompt.sizes, config.seed)
    relevance, score = _grounded(model, reply, working, config)
    if blind and relevance.status == "not_visual":
        relevance = _with_blind_answer(model, reply.prompt, score, relevance, config.max_new_tokens)
    return AnsweredQuestion(
        model=model,
        question=question,
        config=config,
        prompt=reply.prompt,
        relevance=relevance,
        score=score,
        cost=meter.read(),
        notes=_image_notes(images) + model.size_notes(prompt) + geometry_notes + _reply_notes(reply, config),
        images=images,
        baseline_image=config.other_image if relevance.reliance.baseline == OTHER_IMAGE else None,
        reply=reply,
        chat=chat,
        given=config.answer is not None or repeated is not None,
        working=working,
    )


def _grounded(
    model: Model, reply: Reply, working: Sequence[LoadedImage], config: ExplainConfig
) -> tuple[Relevance, ModelScore]:
    """The words of the reply with the baseline that shows them best, and the score against it."""
    prompt, other = reply.prompt, config.other_image
    names: tuple[str, ...] = AUTO_BASELINES if config.baseline == "auto" else (config.baseline_name,)
    if config.baseline == "auto" and other is not None:
        names += (OTHER_IMAGE,)
    found: list[tuple[Relevance, ModelScore]] = []
    for name in names:
        if name == OTHER_IMAGE and any(pair[0].reliance.relevant_words for pair in found):
            break
        replaced = _baseline_pictures(working, config.baseline_of(name), config.seed, other, prompt.sizes)
        if not found:
            score = model.score(prompt, replaced, reply.ids)
        else:
            score = found[0][1].with_baseline(model.pixels(prompt, replaced))
        found.append((_relevance(reply, score, config.words, name, config.alpha), score))
        if found[0][0].reliance.relevant_words:
            break
    # Where none shows any grounded word all gaps are zero, and the first one speaks.
    shown = [pair for pair in found if pair[0].reliance.relevant_words] or found[:1]
    return max(shown, key=lambda pair: pair[0].reliance.gap)


def baseline_picture(
    loaded: LoadedImage, baseline: str | Baseline, seed: int, other: LoadedImage | None = None, size: Size | None = None
) -> Image.Image:
    """The baseline of an image, by name or by a function; `other`, at the image's size, where the name says so.

    `size` is that of the image of which `loaded` is a smaller copy, if it is one.
    """
    if baseline == OTHER_IMAGE and other is not None:
        height, width = loaded.size
        return other.picture.resize((width, height))
    return Image.fromarray(make_baseline(baseline, loaded.pixels, seed=seed, size=size))


def _baseline_pictures(
    images: Sequence[LoadedImage], baseline: str | Baseline, seed: int, other: LoadedImage | None, sizes: Sequence[Size]
) -> list[Image.Image]:
    """`baseline_picture` of each image of a prompt, or of smaller copies of images of these sizes."""
    known = sizes or [image.size for image in images]
    return [baseline_picture(image, baseline, seed, other, size) for image, size in zip(images, known, strict=True)]


def _replied(model: Model, prompt: Prompt, config: ExplainConfig, chat: ChatOptions) -> Reply:
    """The model's answer, or the given one, after its thought, or the given one."""
    if config.reasoning is not None:
        prompt = model.with_thought(prompt, config.reasoning)
    if config.answer is not None:
        return model.place(prompt, config.answer, max_thinking_tokens=chat.max_thinking_tokens)
    return model.reply(prompt, max_new_tokens=config.max_new_tokens, max_thinking_tokens=chat.max_thinking_tokens)


def _reply_notes(reply: Reply, config: ExplainConfig) -> tuple[str, ...]:
    notes = reply.prompt.notes
    if reply.cut:
        notes += (f"the answer was cut after {config.max_new_tokens} tokens: allow more with max_new_tokens",)
    if reply.pictured:
        notes += (
            f"the answer ends where the model began to write an image ({reply.pictured!r}): only the words before it "
            "are explained",
        )
    return notes


def _relevance(reply: Reply, score: ModelScore, wanted: str, baseline: str, alpha: float) -> Relevance:
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
    return Relevance(status=status, reason=reason, answer=reply.text, tokens=tokens, reliance=reliance)


def _with_blind_answer(
    model: Model, prompt: Prompt, score: ModelScore, relevance: Relevance, max_new_tokens: int
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


def _geometry_notes(model: Model, images: Sequence[LoadedImage], sizes: Sequence[Size], seed: int) -> tuple[str, ...]:
    """Refuses a processor through which a mask cannot be mapped; notes one where it is only roughly so."""
    blurred = _baseline_pictures(images, "blur", seed, None, sizes)
    error = model.check_blend([image.picture for image in images], blurred)
    if error.verdict == "wrong":
        raise WherelookError(
            f"the processor of {model.identifier!r} treats images by their content (cropping or normalizing): "
            f"a mask maps to its input only with an error of {error.mean:.1f} of 255; up to 4 would do"
        )
    if error.verdict == "approximate":
        return (f"the mask maps to the model's input with an error of {error.mean:.1f} of 255 (mean)",)
    return ()
