"""`Sample`: a question about an image, with what is known about its answer; and how it is put to a model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from string import ascii_uppercase
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from wherelook.data.images import LoadedImage
from wherelook.data.sources import Evidence, ImageSource, mean_attention
from wherelook.errors import unknown_name

PromptStyle = Literal["open", "choices"]
PROMPT_STYLES: tuple[PromptStyle, ...] = ("open", "choices")
"""open: the question alone. choices: with its lettered options, where it has any."""

INSTRUCTION = "Answer with the letter of the right option."


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
        flags: what is known to be wrong with the sample: `WRONG_LABEL`, `UNREAD_CHOICES`, `REPEATED_CHOICE`.
        paraphrase: the same question in other words, where there are any.
        judge: the rule by which the dataset's authors judge an answer, a name in `wherelook.study.judges.JUDGES`; None
            where the sample's references and options tell which one fits.
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
    judge: str | None = None

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

        Of an image file in a folder its name and size count, of one in an archive its check sum too.
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


def prompt_text(sample: Sample, style: str) -> str:
    """What a model is asked.

    Args:
        sample: the question.
        style: one of `PROMPT_STYLES`. A question without options is the same in both.

    Raises:
        InputError: an unknown style.
    """
    if style not in PROMPT_STYLES:
        raise unknown_name("prompt style", style, PROMPT_STYLES)
    if style == "open" or not sample.choices:
        return sample.question
    options = (f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, sample.choices, strict=False))
    return "\n".join((sample.question, *options, INSTRUCTION))
