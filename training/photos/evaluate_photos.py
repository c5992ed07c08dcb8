"""Measures `photos` on mosaics that it was not trained on: `scores.json` and the model card's table.

    python training/photos/evaluate_photos.py --photographs DIR --adapter adapter.safetensors --out scores.json

The photographs are those of training in new crops and company; classes that were never trained have rows of their own.
A name is right when the answer says one of the photograph's right names as a whole word: its everyday name, its class,
or a WordNet noun between the two. Every question is also asked about a blank image and without any image.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from image_free import first_sentence
from PIL import Image

from wherelook.data.scenes import (
    LAYOUTS,
    REPORTING_SEEDS,
    TUNING_SEEDS,
    Mosaic,
    Photograph,
    Question,
    facts,
    make_mosaic,
)
from wherelook.data.scenes.photographs import read_photographs
from wherelook.evaluation.judges import says
from wherelook.models.photos.assemble import assemble, join
from wherelook.models.photos.modeling import PhotosForConditionalGeneration, PhotosProcessor
from wherelook.report import formatting
from wherelook.stats import Estimate, wilson_interval

BATCH, LONGEST = 8, 40
MOST_SEEDS = 50
"""Mosaics that are looked through for each question that is wanted."""

CONDITIONS = ("own image", "blank image", "question alone")
GRAY = (127, 127, 127)


@dataclass(frozen=True)
class Group:
    """Questions that are counted together.

    Attributes:
        held_out: whether the photographs are of classes that were never trained.
        layout: of the mosaics; None takes all.
        keep: which questions count.
    """

    held_out: bool
    layout: str | None
    keep: Callable[[Question], bool]


def of_kind(kind: str) -> Callable[[Question], bool]:
    return lambda question: question.kind == kind


def existence(word: str) -> Callable[[Question], bool]:
    return lambda question: question.kind == "existence" and question.right == ((word,),)


GROUPS = {
    "name, alone": Group(False, "alone", of_kind("name")),
    "name, beside": Group(False, "beside", of_kind("name")),
    "name, above": Group(False, "above", of_kind("name")),
    "name, four in a square": Group(False, "square", of_kind("name")),
    "name, alone, class never trained": Group(True, "alone", of_kind("name")),
    "name, two, class never trained": Group(True, "beside", of_kind("name")),
    "existence, yes": Group(False, None, existence("yes")),
    "existence, no": Group(False, None, existence("no")),
    "kind": Group(False, None, of_kind("kind")),
    "where": Group(False, None, of_kind("where")),
    "count": Group(False, None, of_kind("count")),
    "relation": Group(False, None, of_kind("relation")),
    "color": Group(False, None, of_kind("color")),
    "description": Group(False, None, of_kind("description")),
}


def is_right(answer: str, question: Question) -> bool:
    """Whether the answer says a right name of everything that is to be told."""
    return all(says(answer, names) for names in question.right)


def collect(group: Group, photographs: Sequence[Photograph], seeds: range, count: int) -> list[tuple[Mosaic, Question]]:
    """One question of each of so many mosaics."""
    chosen = [photograph for photograph in photographs if photograph.noun.held_out == group.held_out]
    found: list[tuple[Mosaic, Question]] = []
    for seed in seeds[: MOST_SEEDS * count]:
        mosaic = make_mosaic(chosen, seed, layout=group.layout, absent=[one.noun for one in photographs])
        asked = [question for question in mosaic.questions if group.keep(question)]
        if asked:
            found.append((mosaic, asked[0]))
        if len(found) == count:
            break
    return found


@torch.no_grad()
def answers(
    model: PhotosForConditionalGeneration,
    processor: PhotosProcessor,
    images: Sequence[Image.Image | None],
    questions: Sequence[str],
) -> list[str]:
    """The model's greedy answers, with or without an image."""
    told = []
    for first in range(0, len(questions), BATCH):
        shown = [image for image in images[first : first + BATCH] if image is not None]
        texts = [
            processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "image"}] * bool(shown) + [{"type": "text", "text": text}]}],
                add_generation_prompt=True,
            )
            for text in questions[first : first + BATCH]
        ]
        given = processor(images=shown or None, text=texts, return_tensors="pt", padding=True)
        ids = model.generate(**given, max_new_tokens=LONGEST)[:, given.input_ids.shape[1] :]
        told += processor.batch_decode(ids, skip_special_tokens=True)
    return told


def image_free(
    model: PhotosForConditionalGeneration, processor: PhotosProcessor, mosaics: Sequence[Mosaic], count: int
) -> dict[str, float]:
    """How often questions that need no image get the answer that the language model alone gives, and how often names
    of the picture come into it."""
    alone, own = join()
    asked = [text for text, _ in facts()][:: max(1, len(facts()) // count)][:count]
    expected = answers(alone, own, [None] * len(asked), asked)
    images = [mosaics[index % len(mosaics)].image for index in range(len(asked))]
    told = answers(model, processor, images, asked)
    blank = answers(model, processor, [Image.new("RGB", images[0].size, GRAY)] * len(asked), asked)
    same = [(first_sentence(a) or a) == (first_sentence(b) or b) for a, b in zip(told, expected, strict=True)]
    unmoved = [(first_sentence(a) or a) == (first_sentence(b) or b) for a, b in zip(told, blank, strict=True)]
    pictured = [
        says(answer, [panel.noun.name for panel in mosaics[i % len(mosaics)].panels]) for i, answer in enumerate(told)
    ]
    total = len(asked)
    return {
        "questions": total,
        "same first sentence as the language model alone": sum(same) / total,
        "same first sentence as with a blank image": sum(unmoved) / total,
        "names something of the picture": sum(pictured) / total,
    }


def card_row(name: str, figures: Mapping[str, float]) -> str:
    """The row of a group in the model card: shares of right answers, the first with its 95 % interval."""
    own, *others = (figures[condition] for condition in CONDITIONS)
    first = formatting.text(Estimate(name, own, figures["low"], figures["high"], "Wilson"), "percent")
    cells = (name, str(figures["questions"]), first, *(formatting.text(share, "percent") for share in others))
    return f"| {' | '.join(cells)} |"


def image_free_lines(figures: Mapping[str, float]) -> list[str]:
    """What the model card says of questions that need no image."""
    return [f"- {name}: {formatting.text(share, 'percent')}" for name, share in figures.items() if name != "questions"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--adapter", type=Path, help="[default: the one that comes with wherelook]")
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON")
    parser.add_argument("--count", type=int, default=200, help="questions of each group")
    parser.add_argument("--tuning", action="store_true", help="on mosaics for choosing, not for reporting")
    arguments = parser.parse_args()
    seeds = TUNING_SEEDS if arguments.tuning else REPORTING_SEEDS
    photographs = read_photographs(arguments.photographs)
    model, processor = assemble(arguments.adapter)
    scores: dict[str, dict[str, float]] = {}
    for name, group in GROUPS.items():
        found = collect(group, photographs, seeds, arguments.count)
        if not found:
            print(f"{name}: no such questions about these photographs")
            continue
        questions = [question.text for _, question in found]
        scores[name] = {"questions": len(found)}
        for condition in CONDITIONS:
            images = [mosaic.image if condition == "own image" else None for mosaic, _ in found]
            if condition == "blank image":
                images = [Image.new("RGB", mosaic.image.size, GRAY) for mosaic, _ in found]
            told = answers(model, processor, images, questions)
            right = [is_right(answer, question) for answer, (_, question) in zip(told, found, strict=True)]
            scores[name][condition] = sum(right) / len(right)
            if condition == "own image":
                scores[name]["low"], scores[name]["high"] = wilson_interval(sum(right), len(right))
                for answer, ok, (_, question) in list(zip(told, right, found, strict=True))[:3]:
                    print(f"    {'right' if ok else 'WRONG'}: {question.text} {answer} ({question.answer})")
        print(card_row(name, scores[name]), flush=True)
    mosaics = [make_mosaic(photographs, seed) for seed in seeds[: len(LAYOUTS) * 4]]
    scores["needs no image"] = image_free(model, processor, mosaics, arguments.count)
    print("\n".join(image_free_lines(scores["needs no image"])))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps({"schema_version": 1, "scores": scores}, indent=1) + "\n")


if __name__ == "__main__":
    main()
