"""What a model reads: the text of a prompt around its images and its question, and the tensors made of both.

No code per family: a chat template writes the text where there is one, and the processor makes the tensors.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedConfig, ProcessorMixin

from wherelook.chat_options import ChatOptions
from wherelook.errors import InputError
from wherelook.models.huggingface.chat import NO_OPTIONS, Picture, chat_templates, write_chat
from wherelook.models.huggingface.image_tokens import picture_token_ids
from wherelook.models.huggingface.placeholder import find_markers, find_placeholder
from wherelook.models.thinking import SWITCHES, THOUGHTS, Marks, ends_of, marks_in

REFUSALS = (ValueError, TypeError, IndexError)
"""What processors raise where they want another form of the same images, or do not take them at all."""


@dataclass(frozen=True)
class Asked:
    """A rendered prompt, and what its end tells of a thought.

    Attributes:
        text: the prompt.
        opened: marks of the thought inside which it ends; None where it opens none.
        closed: whether it ends after a closed thought.
        known: marks of a thought that the model's template, system message or vocabulary knows.
        notes: what was added to what the template writes.
    """

    text: str
    opened: Marks | None = None
    closed: bool = False
    known: Marks | None = None
    notes: tuple[str, ...] = ()


@dataclass
class Prompting:
    """A processor behind three operations: render a prompt, process it, and tell whether batches of it are plain.

    Attributes:
        processor: of the model.
        identifier: how to call the model in errors.
        accepted: names of the tensors that the model takes.
        device: where it takes them.
        template: a text with {image} and {question} instead of the chat template. Several images come where {image} is.
        frames_per_second: None where several images are images. Otherwise they are so many frames per second of one
            video, and go through the processor's video part.
        config: the model's configuration, which may name tokens that its processor does not.
        chat: the chat around a question, where a request has no options of its own.
        max_pixels: of an image, at most; None for what the processor takes.
    """

    processor: ProcessorMixin
    identifier: str
    accepted: frozenset[str]
    device: torch.device
    template: str | None = None
    frames_per_second: float | None = None
    config: PreTrainedConfig | None = None
    chat: ChatOptions = field(default_factory=ChatOptions)
    max_pixels: int | None = None

    @property
    def tokenizer(self) -> Any:
        return getattr(self.processor, "tokenizer", self.processor)

    def is_video(self, images: int) -> bool:
        """Whether a prompt of so many images is that of a video."""
        return self.frames_per_second is not None and images > 1

    def render(self, question: str, images: int = 1, chat: ChatOptions | None = None) -> str:
        """The text of `ask`."""
        return self.ask(question, images, chat).text

    def ask(self, question: str, images: int = 1, chat: ChatOptions | None = None) -> Asked:
        """The prompt text, by `template` if one was given, else by the chat template, if there is one.

        The images come before the question.

        Args:
            question: what to ask.
            images: how many.
            chat: the chat around it; None for this model's own options.

        Raises:
            InputError: see `check_text`; the model has no image placeholder and reads one image; it has no video input,
                or its chat template does not write one; thinking cannot be turned on or off.
        """
        chat = self.chat if chat is None else chat
        self.check_text("question", question)
        self.check_text("system message", chat.system or "")
        write = functools.partial(self._write, question, images, chat.system)
        options = dict(chat.chat_template_kwargs)
        for name in options:
            if not re.search(rf"\b{re.escape(name)}\b", self._sources):
                raise InputError(f"the chat template of {self.identifier!r} has no variable {name!r}: leave it out")
        switch = self._switch(write, options) if chat.think is not None else None
        if switch is not None:
            name, values = switch
            options[name] = values[chat.think == "off"]
        text = write(options)
        opened, closed = ends_of(text.rpartition(question.strip())[2])
        known = opened or marks_in(self._sources + (chat.system or "")) or self._known_marks
        asked = Asked(text, opened, closed, known)
        if chat.think == "off" and opened is not None:
            note = f"the thought that the chat template opens with {opened.opening!r} is closed, empty: think is off"
            return replace(asked, text=text + opened.closed(""), opened=None, closed=True, notes=(note,))
        if chat.think == "off" and not closed and switch is None:
            raise InputError(
                f"the chat template of {self.identifier!r} has no switch for thinking and opens no thought: leave "
                "--think out"
            )
        if chat.think == "on" and opened is None and (closed or switch is None):
            if known is None or closed:
                raise InputError(
                    f"the chat template of {self.identifier!r} has no switch that turns thinking on: leave --think "
                    "out, or ask for a thought in a system message (--system) as the model's documentation says"
                )
            note = f"a thought is opened with {known.opening!r} after the prompt: its template has no switch for it"
            return replace(asked, text=text + known.opening + known.lead, opened=known, notes=(note,))
        return asked

    def _switch(
        self, write: Callable[[Mapping[str, Any]], str], options: Mapping[str, Any]
    ) -> tuple[str, tuple[Any, Any]] | None:
        """The variable of the chat template that turns thinking on and off, and its values, if it has one."""
        for name, on, off in SWITCHES:
            try:
                same = write({**options, name: on}) == write({**options, name: off})
            except InputError:
                continue
            if not same:
                if name in options:
                    raise InputError(f"think and the template option {name!r} say the same thing: give one of them")
                return name, (on, off)
        return None

    @functools.cached_property
    def _sources(self) -> str:
        """The chat templates' own text."""
        return self.template or "\n".join(str(owner.chat_template) for owner in chat_templates(self.processor))

    @property
    def chats(self) -> bool:
        """Whether a chat template writes the prompts."""
        return self.template is None and bool(chat_templates(self.processor))

    @functools.cached_property
    def _known_marks(self) -> Marks | None:
        """Marks of a thought that are each one token of the vocabulary."""
        vocabulary = self.tokenizer.get_vocab()
        return next((one for one in THOUGHTS if one.opening in vocabulary and one.closing in vocabulary), None)

    def _write(self, question: str, images: int, system: str | None, options: Mapping[str, Any]) -> str:
        if self.is_video(images):
            return self._render(question, "video", self._video_token(), 1, system, options)
        return self._render(question, "image", self.image_token, images, system, options)

    def _render(
        self,
        question: str,
        kind: str,
        token: str,
        count: int,
        system: str | None = None,
        options: Mapping[str, Any] = NO_OPTIONS,
    ) -> str:
        owners = chat_templates(self.processor) if self.template is None else []
        if not owners and (system is not None or options):
            what = "a system message goes" if system is not None else "template options go"
            raise InputError(f"{what} with a chat template, and {self.identifier!r} is asked without one")
        if self.template is not None:
            if self.image_token in self.template:
                raise InputError(
                    f"the prompt template contains {self.image_token!r}: write {{image}} where the image comes"
                )
            # Who writes the markers into the template, needs no others.
            begin, _ = self._markers
            image = token if begin and begin in self.template else self._marked(token)
            return self.template.format(image=image * count, question=question)
        if owners:
            return write_chat(
                owners,
                question,
                Picture(kind, token, count),
                markup=lambda: self._before_a_question(token),
                identifier=self.identifier,
                system=system,
                options=options,
            )
        placeholder = token if kind == "video" else self._placeholder
        if count > 1 and not placeholder:
            raise InputError(f"{self.identifier!r} reads one image beside the text, not {count}: choose another model")
        return f"{self._marked(placeholder) * count}{question}"

    @functools.cached_property
    def _placeholder(self) -> str:
        return find_placeholder(lambda image, text: self.process([image], text), self.tokenizer, self.image_token)

    def _marked(self, token: str) -> str:
        """A placeholder between the tokens that the model expects around it and its processor does not write."""
        begin, end = self._markers if token else ("", "")
        return f"{begin}{token}{end}"

    def _before_a_question(self, token: str) -> str:
        """A placeholder as models that chat read it: between its tokens, or on a line of its own."""
        marked = self._marked(token)
        return f"{token}\n" if marked == token else marked

    @functools.cached_property
    def _markers(self) -> tuple[str, str]:
        return find_markers(
            lambda image, text: self.process([image], text), self.processor, self.config, self.image_token
        )

    def check_text(self, what: str, text: str) -> None:
        """Refuses a text that holds a token in whose place the model puts an image, or one that marks an image.

        Args:
            what: how to call the text in the error.
            text: the text.

        Raises:
            InputError: the text holds one.
        """
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        tokens = [self.tokenizer.convert_ids_to_tokens(index) for index in ids if index in self.picture_ids]
        if self.image_token in text:
            tokens.insert(0, self.image_token)
        if tokens:
            raise InputError(f"the {what} contains {tokens[0]!r}, which stands for the image: remove it")

    @functools.cached_property
    def picture_ids(self) -> frozenset[int]:
        """Tokens that stand for an image or mark one: no question and no answer holds them."""
        try:
            text = self._render("?", "image", self.image_token, 1)
            inputs = self.process([Image.new("RGB", (64, 64))], text)
        except InputError:  # this processor wants another picture or more than one, its template writes videos alone
            written: Counter[int] = Counter()
        else:
            written = Counter(inputs["input_ids"].flatten().tolist()) - Counter(self.tokenizer(text)["input_ids"])
        return picture_token_ids(self.config, self.processor, written)

    @property
    def image_token(self) -> str:
        """What stands for the image in a prompt's text."""
        for name in ("image_placeholder_token", "image_token"):
            for owner in (self.processor, self.tokenizer):
                token = getattr(owner, name, None)
                if token:
                    return str(token)
        return "<image>"

    def _video_token(self) -> str:
        token = getattr(self.processor, "video_token", None)
        if token and getattr(self.processor, "video_processor", None) is not None:
            return str(token)
        advice = (
            "its processor's video part needs torchvision: install it, or show the frames as images"
            if token
            else "it takes images only: show the frames as images"
        )
        raise InputError(f"{self.identifier!r} has no video input here; {advice}")

    def process(self, images: Sequence[Image.Image], text: str, *, copies: int = 1) -> dict[str, Tensor]:
        """The tensors that the model takes, of a batch of `copies` equal prompts.

        Raises:
            InputError: the processor refuses the images (for example an extreme aspect ratio), or several.
        """
        options: dict[str, Any] = {"return_tensors": "pt"}
        begin = self.tokenizer.bos_token
        if begin and text.startswith(begin):  # the chat template has written it: once is enough
            options["add_special_tokens"] = False
        # Rotary positions in several axes need to be told which tokens are the image's; some processors tell if asked.
        if "mm_token_type_ids" in self.accepted and hasattr(self.processor, "return_mm_token_type_ids"):
            options["return_mm_token_type_ids"] = True
        if self.max_pixels is not None:
            size = self.pixel_range
            if size is None or self.is_video(len(images)):
                images = [at_most(one, self.max_pixels) for one in images]
            else:
                options["images_kwargs"] = {"size": {name: min(self.max_pixels, value) for name, value in size.items()}}
        shown, *otherwise = self._shown(images, copies)
        try:
            try:
                output = self.processor(text=[text] * copies, **shown, **options)
            except REFUSALS:
                if not otherwise:
                    raise
                output = self.processor(text=[text] * copies, **otherwise[0], **options)
        except (*REFUSALS, KeyError, RuntimeError, ZeroDivisionError) as error:
            reason = " ".join(str(error).split())[:300]
            sizes = ", ".join(f"{one.width} x {one.height}" for one in images)
            what = f"this image of {sizes}" if len(images) == 1 else f"these {len(images)} images ({sizes}) together"
            raise InputError(f"the processor of {self.identifier!r} refuses {what}: {reason}") from error
        return {
            name: value.to(self.device)
            for name, value in output.items()
            if isinstance(value, Tensor) and name in self.accepted and name != "labels"
        }

    @property
    def pixel_range(self) -> dict[str, int] | None:
        """The processor's own limits of an image's pixels, if it has such: those of Qwen's kind call them edges."""
        processor: Any = getattr(self.processor, "image_processor", None)
        known = getattr(getattr(processor, "valid_kwargs", None), "__annotations__", {})
        size = getattr(processor, "size", None)
        found = {name: getattr(size, name, None) for name in ("shortest_edge", "longest_edge")}
        if "max_pixels" not in known or not all(found.values()):
            return None
        return {name: int(value or 0) for name, value in found.items()}

    def _shown(self, images: Sequence[Image.Image], copies: int) -> list[dict[str, Any]]:
        """How the processor may want the images, the likelier form first."""
        if self.is_video(len(images)):
            about = {
                "total_num_frames": len(images),
                "fps": self.frames_per_second,
                "duration": len(images) / (self.frames_per_second or 1),
                "frames_indices": list(range(len(images))),
                "width": images[0].width,
                "height": images[0].height,
            }
            known = {"video_metadata": [dict(about) for _ in range(copies)], "do_sample_frames": False}
            return [{"videos": [[*images] for _ in range(copies)], **known}]
        # Some processors want a list of images per text. To those that take either, a plain list of several images may
        # mean one for each of several texts.
        flat, nested = [*images] * copies, [[*images]] * copies
        return [{"images": form} for form in ((flat, nested) if len(images) == 1 else (nested, flat))]

    def makes_plain_batches(self, images: Sequence[Image.Image], text: str) -> bool:
        """Whether the processor makes of two equal prompts what a score does: every tensor once more, after itself.

        Not so where it packs the images of a batch into one row, or numbers their patches through. Such a model is
        asked for one image at a time.
        """
        try:
            twice = self.process(images, text, copies=2)
            once = self.process(images, text)
        except InputError:  # it takes one prompt at a time, which says nothing about the model
            return True
        return all(torch.equal(twice[name], torch.cat([value, value])) for name, value in once.items())


def at_most(image: Image.Image, pixels: int) -> Image.Image:
    """The image itself, or made smaller to have at most so many pixels."""
    if image.width * image.height <= pixels:
        return image
    scale = (pixels / (image.width * image.height)) ** 0.5
    return image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))), Image.Resampling.BICUBIC)
