"""Questions about images to evaluate methods on: from the scenes, or from files of one's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np
from jaxtyping import Bool

from wherelook.data.images import LoadedImage, load_image
from wherelook.data.scenes import REPORTING_SEEDS, TUNING_SEEDS, Question, Scene, load_mask, make_scene, read_scenes
from wherelook.data.scenes.files import QUESTIONS_FILE, check_inside
from wherelook.types import InputError, WherelookError, unknown_name

GENERATED: Mapping[str, Sequence[int]] = {"scenes": REPORTING_SEEDS[10_000:], "scenes-tuning": TUNING_SEEDS}
"""Seeds of the scenes that are drawn as they are needed: for reporting, and for choosing settings. The first reporting
scenes have measured the embedded model and earlier settings; maps are reported on ones that measured nothing."""

LOCAL_KINDS = ("color", "shape", "size", "relation", "existence")
"""Questions whose evidence can be a single object."""

SCENE_SIZE = (224, 224)


PROMPT_STYLES = ("open", "choices")
"""open: the question alone. choices: with its lettered options, where it has any."""

INSTRUCTION = "Answer with the letter of the right option."


@dataclass(frozen=True)
class Sample:
    """A question about an image.

    Attributes:
        id: unique in its data set.
        source: the image, or the file that it is read from when it is first asked for.
        question: the question, without its options.
        references: the right answers, where known, the first the preferred one.
        kind: of the question, where known.
        evidence: (height, width) the region that holds the evidence, or the file of its mask, where known.
        paraphrase: the same question in other words, where there are any.
        choices: the texts of the options, in order.
        group: samples that belong together; None where there are no groups.
        flags: what is known to be wrong with the sample.
    """

    id: str
    source: LoadedImage | Path
    question: str
    references: tuple[str, ...] = ()
    kind: str = ""
    evidence: Bool[np.ndarray, "height width"] | Path | None = None
    paraphrase: str | None = None
    choices: tuple[str, ...] = ()
    group: str | None = None
    flags: tuple[str, ...] = ()

    @property
    def reference(self) -> str | None:
        """The preferred right answer, where known."""
        return self.references[0] if self.references else None

    @cached_property
    def image(self) -> LoadedImage:
        """The image, read when first asked for. Raises InputError where it cannot be; the other samples still can."""
        return self.source if isinstance(self.source, LoadedImage) else load_image(self.source)

    @cached_property
    def truth(self) -> Bool[np.ndarray, "height width"] | None:
        """True where the evidence is, at the image's size; None where it is not known. Raises as `image` does."""
        if not isinstance(self.evidence, Path):
            return self.evidence
        mask = np.asarray(load_image(self.evidence).pixels.any(axis=2))
        if mask.shape != self.image.size or not mask.any():
            raise WherelookError(
                f"the mask {self.evidence.name} must have the image's size, {self.image.size}, and be somewhere not "
                "black"
            )
        return mask

    @property
    def fingerprint(self) -> str:
        """Changes when the question, the answers, the image or the evidence do; of a file its name and size count."""
        parts = (
            self.question,
            self.references,
            self.kind,
            self.paraphrase,
            self.choices,
            self.group,
            self.flags,
            _fingerprint(self.source),
            _fingerprint(self.evidence),
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _fingerprint(source: LoadedImage | Path | np.ndarray | None) -> str | None:
    if isinstance(source, LoadedImage):
        return source.sha256
    if isinstance(source, Path):
        return f"{source.name} {source.stat().st_size if source.is_file() else 0}"
    return None if source is None else hashlib.sha256(np.packbits(source).tobytes()).hexdigest()


def prompt_text(sample: Sample, style: str) -> str:
    """What a model is asked, in one of `PROMPT_STYLES`. A question without options is the same in both.

    Raises:
        InputError: an unknown style.
    """
    if style not in PROMPT_STYLES:
        raise unknown_name("prompt style", style, PROMPT_STYLES)
    if style == "open" or not sample.choices:
        return sample.question
    options = (f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, sample.choices, strict=False))
    return "\n".join((sample.question, *options, INSTRUCTION))


def read_samples(dataset: str) -> Iterator[Sample]:
    """The samples of a data set, one after another; only one image is held at a time.

    Args:
        dataset: "scenes" (drawn from `REPORTING_SEEDS`: of each scene one question whose evidence is a single object
            that nothing else in the scene shares, the kinds in turn) or "scenes-tuning"; a folder that
            `wherelook scenes` wrote (all such questions); or a JSONL file with `image` (a path relative to it),
            `question` and, if known, `answer`, `id`, `mask` (an image, not black where the evidence is) and
            `paraphrase` (of the question).

    Raises:
        InputError: there is no such data set.
        WherelookError: a line of a file is broken, or leads out of its folder.
    """
    if dataset in GENERATED:
        return _generated(GENERATED[dataset])
    path = Path(dataset)
    if (path / QUESTIONS_FILE).is_file():
        return _folder(path)
    if path.is_file() and path.suffix == ".jsonl":
        return _lines(path)
    raise InputError(
        f"no data set {dataset!r}; valid: {', '.join(GENERATED)}, a folder written by `wherelook scenes`, "
        "or a .jsonl file with image and question on every line"
    )


def _generated(seeds: Sequence[int]) -> Iterator[Sample]:
    for turn, seed in enumerate(seeds):
        scene = make_scene(seed, size=SCENE_SIZE)
        kinds = LOCAL_KINDS[turn % len(LOCAL_KINDS) :] + LOCAL_KINDS[: turn % len(LOCAL_KINDS)]
        local = [question for question in scene.questions if question.kind in kinds and question.exclusive]
        if local:
            yield _of_scene(scene, min(local, key=lambda question: kinds.index(question.kind)))


def _of_scene(scene: Scene, question: Question) -> Sample:
    image = load_image(np.asarray(scene.image))
    return Sample(
        str(scene.seed),
        image,
        question.text,
        (question.answer,),
        question.kind,
        question.evidence,
        question.paraphrase,
    )


def _folder(folder: Path) -> Iterator[Sample]:
    for record in read_scenes(folder):
        if record.exclusive and record.evidence is not None:
            yield Sample(
                record.id,
                folder / record.image,
                record.question,
                (record.answer,),
                record.kind,
                load_mask(folder, record),
                record.paraphrase,
            )


def _lines(path: Path) -> Iterator[Sample]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _parse(path.parent, line, f"{path}, line {number}", str(number))


def _parse(root: Path, line: str, place: str, number: str) -> Sample:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise WherelookError(f"{place}: not a line of JSON") from error
    if not isinstance(values, dict):
        raise WherelookError(f"{place}: expected an object with image and question")
    text = partial(_text, values, place)
    name, question = text("image"), text("question")
    if name is None or question is None:
        raise WherelookError(f"{place}: image or question is missing")
    check_inside(root, name, place)
    mask, answer = text("mask"), text("answer")
    if mask is not None:
        check_inside(root, mask, place)
    return Sample(
        text("id") or number,
        root / name,
        question,
        () if answer is None else (answer,),
        text("kind") or "",
        None if mask is None else root / mask,
        text("paraphrase"),
    )


def _text(values: Mapping[str, Any], place: str, name: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise WherelookError(f"{place}: {name} must be text, not {value!r}")
    if value is not None and name in ("question", "paraphrase") and not value.strip():
        raise WherelookError(f"{place}: the {name} is empty")
    return value
