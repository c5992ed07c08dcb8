"""Samples that lend another one their image or their question: they differ from it by content, not by name."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from wherelook.data.datasets import Sample, prompt_text, same_text
from wherelook.errors import WherelookError

AHEAD = 32
"""Samples beyond the present one, or beyond those that are checked, among which one that differs is looked for."""


class LookAhead:
    """Samples one after another, and a look at those that come; none is read before it is asked for."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._unread = iter(samples)
        self._ahead: deque[Sample] = deque()

    def __iter__(self) -> Iterator[Sample]:
        while (sample := self._ahead.popleft() if self._ahead else next(self._unread, None)) is not None:
            yield sample

    def other_image(self, sample: Sample) -> Sample | None:
        """The first sample to come whose image is not that of `sample`, which came last; None if none is near."""
        own = image_hash(sample)
        for index in range(AHEAD if own is not None else 0):
            if index == len(self._ahead):
                following = next(self._unread, None)
                if following is None:
                    return None
                self._ahead.append(following)
            if image_hash(self._ahead[index]) not in (None, own):
                return self._ahead[index]
        return None


class Partners:
    """Who lends what to whom.

    Args:
        samples: those that are checked.
        more: the dataset's next ones, read only where these do not differ.
        prompt: how questions are put, see `wherelook.data.datasets.PROMPT_STYLES`.
    """

    def __init__(self, samples: Sequence[Sample], more: Iterator[Sample], prompt: str) -> None:
        self._checked = len(samples)
        self._samples = list(samples)
        self._more = more
        self._prompt = prompt
        self._images: dict[int, str | None] = {}

    def other_image(self, index: int) -> Sample | None:
        """The next sample, in a circle, whose image has other pixels than that of the one at `index`; None without."""
        return self._next(index, lambda place: self._image(place) not in (None, self._image(index)))

    def other_question(self, index: int) -> Sample | None:
        """The next sample, in a circle, whose question has another text than that of the one at `index`; None without.

        Its image can be read: it is asked what its answer is.
        """
        own = prompt_text(self._samples[index], self._prompt)
        return self._next(
            index,
            lambda place: (
                not same_text(prompt_text(self._samples[place], self._prompt), own) and self._image(place) is not None
            ),
        )

    def _next(self, index: int, differs: Callable[[int], bool]) -> Sample | None:
        circle = [(index + step) % self._checked for step in range(1, self._checked)]
        for place in (*circle, *range(self._checked, self._checked + AHEAD)):
            if place == len(self._samples) and not self._read_on():
                return None
            if differs(place):
                result: Sample | None = self._samples[place]
                return result
        return None

    def _read_on(self) -> bool:
        sample = next(self._more, None)
        if sample is None:
            return False
        self._samples.append(sample)
        return True

    def _image(self, place: int) -> str | None:
        if place not in self._images:
            self._images[place] = image_hash(self._samples[place])
        return self._images[place]


def image_hash(sample: Sample) -> str | None:
    """A hash of the pixels of a sample's image, which is not kept; None where it cannot be read."""
    try:
        pixels = sample.source.load().pixels
    except WherelookError:
        return None
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
