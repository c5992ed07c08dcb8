"""`Sample`: a question about an image, with what is known about its answer; and how it is put to a model."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from string import ascii_uppercase
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from wherelook.data.images import ImageSource as ImageLike
from wherelook.data.images import LoadedImage, load_images
from wherelook.data.sources import Evidence, ImageInMemory, ImageSource, MaskInMemory, SeveralImages, mean_attention
from wherelook.errors import unknown_name

PromptStyle = Literal["auto", "open", "choices", "short", "yes-no", "vizwiz"]
PROMPT_STYLES: tuple[PromptStyle, ...] = get_args(PromptStyle)
"""How a question is put. auto: as the sample's dataset does. open: the question alone. choices: with its lettered
options, where it has any. short, yes-no, vizwiz: with the instruction of `INSTRUCTIONS`."""

LETTER_INSTRUCTION = "Answer with the option's letter from the given choices directly."

INSTRUCTIONS: dict[PromptStyle, str] = {
    "short": "\nAnswer the question using a single word or phrase.",
    "yes-no": " Please answer yes or no.",
    "vizwiz": "\nWhen the provided information is insufficient, respond with 'Unanswerable'."
    "\nAnswer the question using a single word or phrase.",
}
"""What follows a question. Of yes and no as in MME (Fu et al. 2023, arXiv 2306.13394), the others and that for letters
as in LLaVA-1.5 (Liu et al. 2024, arXiv 2310.03744)."""


@dataclass(frozen=True)
class Sample:
    """A question about an image. Nothing but text is read before it is asked for.

    Attributes:
        id: unique in its data set.
        source: where the image is.
        question: the question, without its options.
        references: the right answers, the first the preferred one; several people's answers may repeat. Of a question
            with options it is the text of the right one. None where it is not known.
        choices: the texts of the options, in order.
        kind: of the question, where known.
        group: samples that belong together, such as MMVP's pairs; None where there are no groups.
        evidence: the region that the answer should come from, where known.
        attention: maps of where people looked, one for each person.
        flags: what is known to be wrong with the sample: `WRONG_LABEL`, `UNREAD_CHOICES`, `REPEATED_CHOICE`,
            `NOT_AN_OPTION`, `NO_IMAGE`, `BROKEN_ROW`, `REPEATED_ID`, `BAD_EVIDENCE`.
        paraphrase: the same question in other words, where there are any.
        prompt: how the dataset's authors put the question, one of `PROMPT_STYLES`; None for its options where it has
            any, else the question alone.
        judge: the rule by which the dataset's authors judge an answer, a name in `wherelook.evaluation.judges.JUDGES`;
            None where the sample's references and options tell which one fits.
    """

    id: str
    source: ImageSource
    question: str
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    kind: str = ""
    group: str | None = None
    evidence: Evidence | None = None
    attention: tuple[ImageSource, ...] = ()
    flags: tuple[str, ...] = ()
    paraphrase: str | None = None
    prompt: PromptStyle | None = None
    judge: str | None = None

    @classmethod
    def of(
        cls,
        id: str,
        image: ImageLike | Sequence[ImageLike],
        question: str,
        *,
        truth: Bool[np.ndarray, "height width"] | None = None,
        **more: Any,
    ) -> Sample:
        """A sample of an image that is a file, a PIL image or an array; or of several.

        Args:
            id: unique among the samples.
            image: as `Explainer.explain` takes it.
            question: the question.
            truth: (height, width) of the image, True where the answer should come from.
            more: other attributes: references, choices, kind, group, paraphrase, prompt, judge.

        Raises:
            InputError: the image cannot be read.

        Example:
            >>> sample = Sample.of("1", np.zeros((8, 12, 3), np.uint8), "What color is it?", references=("black",))
            >>> sample.image.size, sample.reference
            ((8, 12), 'black')
        """
        loaded = [ImageInMemory(one) for one in load_images(image)]
        source: ImageSource = loaded[0] if len(loaded) == 1 else SeveralImages(tuple(loaded))
        evidence = None if truth is None else MaskInMemory(truth)
        return cls(id=id, source=source, question=question, evidence=evidence, **more)

    @property
    def reference(self) -> str | None:
        """The preferred right answer, where known."""
        return self.references[0] if self.references else None

    @cached_property
    def image(self) -> LoadedImage:
        """The image, read when first asked for.

        Raises:
            WherelookError: it cannot be read; the other samples of the data set still can.
        """
        return self.source.load()

    @property
    def images(self) -> tuple[LoadedImage, ...]:
        """Each image of the question, where it is about several; `image` is their canvas then. Raises as `image`."""
        return self.source.images() if isinstance(self.source, SeveralImages) else (self.image,)

    @cached_property
    def truth(self) -> Bool[np.ndarray, "height width"] | None:
        """True where the evidence is, at the image's size; None where it is not known. Raises as `image` does."""
        return None if self.evidence is None else self.evidence.mask(self.image.size)

    @cached_property
    def human(self) -> Float[np.ndarray, "height width"] | None:
        """Where people looked, at the image's size, float32 in [0, 1] with the largest value 1: the mean over people.

        None where it is not known. Raises as `image` does.
        """
        return mean_attention(self.attention, self.image.size) if self.attention else None

    @property
    def fingerprint(self) -> str:
        """Changes when the question, the options, the answers, the image or the evidence do; reads no image file.

        Of an image file in a folder its own name and size count, of one in an archive its check sum too; no place does.
        """
        parts = (
            self.question,
            self.references,
            self.choices,
            self.kind,
            self.group,
            self.flags,
            self.paraphrase,
            self.source.fingerprint,
            None if self.evidence is None else self.evidence.fingerprint,
            [source.fingerprint for source in self.attention],
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


WRONG_LABEL = "wrong label"
"""The published answer is known to be wrong."""

UNREAD_CHOICES = "unread choices"
"""The options could not be told apart: they are still in the question, and the reference is a letter."""

REPEATED_CHOICE = "repeated choice"
"""Two options have the same text."""

NOT_AN_OPTION = "answer is no option"
"""The reference is none of the options."""

NO_IMAGE = "no image"
"""The dataset has no image for the question, and says so: loading it is an error."""

BROKEN_ROW = "broken row"
"""The row could not be read; loading its image tells why."""

REPEATED_ID = "repeated id"
"""Another sample before has the same id in the dataset: a number was put behind it."""

BAD_EVIDENCE = "bad evidence"
"""None of the published boxes of what the question is about lies on the image: the sample has no evidence."""


def same_text(first: str, second: str) -> bool:
    """Whether two questions are the same words: case, white space and the way that letters are encoded aside."""
    one, other = (" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in (first, second))
    return one == other


def prompt_style(sample: Sample, style: str = "auto") -> PromptStyle:
    """How a question is put: `style`, and for "auto" what the sample names, else "choices" where it has options.

    Raises:
        InputError: an unknown style.
    """
    for known in PROMPT_STYLES:
        if style == known != "auto":
            return known
    if style != "auto":
        raise unknown_name("prompt style", style, PROMPT_STYLES)
    return sample.prompt or ("choices" if sample.choices else "open")


def prompt_text(sample: Sample, style: str = "auto") -> str:
    """What a model is asked.

    Args:
        sample: the question.
        style: one of `PROMPT_STYLES`. No instruction is added to a question that ends with one, and "yes-no" adds its
            own only where the right answer is yes or no.

    Raises:
        InputError: an unknown style.

    Example:
        >>> from wherelook.data.datasets import read_samples
        >>> prompt_text(next(read_samples("scenes")), "short").splitlines()[-1]
        'Answer the question using a single word or phrase.'
    """
    chosen, question = prompt_style(sample, style), sample.question
    if chosen == "choices" and sample.choices:
        options = (f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, sample.choices, strict=False))
        return "\n".join((question, *options, LETTER_INSTRUCTION))
    if chosen == "yes-no" and (sample.reference or "").lower() not in ("yes", "no"):
        return question
    instructed = question.rstrip().endswith((LETTER_INSTRUCTION, *(text.strip() for text in INSTRUCTIONS.values())))
    return question if instructed else question + INSTRUCTIONS.get(chosen, "")
