"""Measure a trained model on scenes it was not trained on.

    python training/evaluate.py --model src/wherelook/models/embedded

Prints, by kind of question: exact match of greedy answers with the scene's image, with a blank image and with another
scene's image; the level that the question alone gives; and how far the likelihood of the right answer falls without
the image. The tables of the model cards are this output. Exact match on the usual reporting scenes is also written to
`scores.json` beside the weights, which `wherelook zoo` reads.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from wherelook.data.scenes import KINDS, REPORTING_SEEDS, TRAINING_SEEDS, TUNING_SEEDS, WORLDS, make_scene
from wherelook.load_options import LoadOptions
from wherelook.models.huggingface.loading import load
from wherelook.models.zoo import BLANK_IMAGE, NEED_THE_IMAGE, OTHER_IMAGE, OWN_IMAGE, SHAPES

GENERATION_BATCH = 256
USUAL_SIZE = (224, 224)
BLUR = 0.1  # standard deviation of the blurred image, of its side


@dataclass(frozen=True)
class Case:
    """A question with the image it is asked about."""

    kind: str
    question: str
    answer: str
    image: Image.Image


def scene_cases(seeds: Sequence[int], size: tuple[int, int], world: str) -> list[list[Case]]:
    """The questions of every scene."""
    scenes = (make_scene(seed, size=size, world=world) for seed in seeds)
    return [[Case(q.kind, q.text, q.answer, scene.image) for q in scene.questions] for scene in scenes]


def prompt(processor: object, question: str) -> str:
    content = [{"type": "image"}, {"type": "text", "text": question}]
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


@torch.inference_mode()
def generate(model: torch.nn.Module, processor: object, cases: Sequence[Case]) -> list[str]:
    """Greedy answers. Batches hold prompts of one length, so that nothing is padded."""
    prompts = [prompt(processor, case.question) for case in cases]
    lengths = [len(processor.tokenizer(text).input_ids) for text in prompts]
    order = np.argsort(lengths, kind="stable")
    answers = [""] * len(cases)
    start = 0
    while start < len(order):
        chosen = [i for i in order[start : start + GENERATION_BATCH] if lengths[i] == lengths[order[start]]]
        start += len(chosen)
        inputs = processor(
            images=[cases[i].image for i in chosen], text=[prompts[i] for i in chosen], return_tensors="pt"
        )
        written = model.generate(**inputs, do_sample=False, max_new_tokens=32)[:, inputs.input_ids.shape[1] :]
        for index, text in zip(chosen, processor.batch_decode(written, skip_special_tokens=True), strict=True):
            answers[index] = text.strip()
    return answers


@torch.inference_mode()
def log_likelihood(model: torch.nn.Module, processor: object, case: Case, images: Sequence[Image.Image]) -> np.ndarray:
    """Log-probability, in nats, of the right answer with each image."""
    start = prompt(processor, case.question)
    text = start + case.answer + processor.tokenizer.eos_token
    inputs = processor(images=list(images), text=[text] * len(images), return_tensors="pt")
    asked = processor(images=[images[0]], text=[start], return_tensors="pt").input_ids.shape[1]
    scores = model(**inputs).logits[:, asked - 1 : -1].float().log_softmax(-1)
    return scores.gather(2, inputs.input_ids[:, asked:, None]).sum(dim=(1, 2)).numpy()


def question_only_answers(cases: Iterable[Case], scenes: int, world: str) -> list[str]:
    """The answer that is most frequent for each question in the training scenes; empty for questions not met there."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for seed in TRAINING_SEEDS[:scenes]:
        for question in make_scene(seed, size=(64, 64), world=world).questions:
            seen[question.text][question.answer] += 1
    return [seen[case.question].most_common(1)[0][0] if seen[case.question] else "" for case in cases]


def share_right(cases: Sequence[Case], answers: Sequence[str]) -> dict[str, float]:
    right: dict[str, list[bool]] = defaultdict(list)
    for case, answer in zip(cases, answers, strict=True):
        right[case.kind].append(answer == case.answer)
        right[NEED_THE_IMAGE if case.kind != "fact" else "facts"].append(answer == case.answer)
    return {kind: float(np.mean(hits)) for kind, hits in right.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--world", choices=WORLDS, default="shapes", help="what its scenes are made of")
    parser.add_argument("--height", type=int, default=USUAL_SIZE[0])
    parser.add_argument("--width", type=int, default=USUAL_SIZE[1])
    parser.add_argument("--seeds", choices=("tuning", "reporting"), default="reporting")
    parser.add_argument("--quick", action="store_true", help="the scene's own image alone")
    parser.add_argument("--show-wrong", type=int, default=0, help="print this many wrong answers")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, processor = load(str(arguments.model), LoadOptions(device="cpu"))

    seeds = {"tuning": TUNING_SEEDS, "reporting": REPORTING_SEEDS}[arguments.seeds][: arguments.scenes]
    size = (arguments.height, arguments.width)
    by_scene = scene_cases(seeds, size, arguments.world)
    cases = [case for scene in by_scene for case in scene]
    print(f"{len(seeds)} {arguments.seeds} scenes of {size[0]} x {size[1]} pixels, {len(cases)} questions\n")
    answers = generate(model, processor, cases)
    columns = {OWN_IMAGE: share_right(cases, answers)}
    wrong = [(case, answer) for case, answer in zip(cases, answers, strict=True) if case.answer != answer]
    for case, answer in wrong[: arguments.show_wrong]:
        print(f"{case.kind}: {case.question} | {case.answer} | {answer}")
    if not arguments.quick:
        gray = Image.new("RGB", size[::-1], (128, 128, 128))
        blank = [Case(case.kind, case.question, case.answer, gray) for case in cases]
        columns[BLANK_IMAGE] = share_right(cases, generate(model, processor, blank))
        swapped = [
            Case(case.kind, case.question, case.answer, by_scene[(index + 1) % len(by_scene)][0].image)
            for index, scene in enumerate(by_scene)
            for case in scene
        ]
        columns[OTHER_IMAGE] = share_right(cases, generate(model, processor, swapped))
        columns["question alone"] = share_right(cases, question_only_answers(cases, 20_000, arguments.world))
    counts = Counter(case.kind for case in cases)
    counts[NEED_THE_IMAGE] = len(cases) - counts["fact"]
    print("| kind | questions | " + " | ".join(columns) + " |")
    print("|---" * (2 + len(columns)) + "|")
    for kind in (*KINDS, NEED_THE_IMAGE):
        if counts[kind]:
            values = (f"{column[kind]:.3f}" if kind in column else "" for column in columns.values())
            print(f"| {kind} | {counts[kind]} | " + " | ".join(values) + " |")
    if not arguments.quick and arguments.seeds == "reporting" and size == USUAL_SIZE:
        write_scores(arguments.model, arguments.world, len(seeds), counts, columns)
    if not arguments.quick:
        print_likelihood_ratios(model, processor, cases, answers)


def write_scores(
    folder: Path, world: str, scenes: int, counts: Counter[str], columns: Mapping[str, Mapping[str, float]]
) -> None:
    """Writes the table of exact match, with the three decimals that are printed, to `scores.json` in the folder."""
    kinds = [kind for kind in (*KINDS, NEED_THE_IMAGE) if counts[kind]]
    chosen = "" if world == SHAPES else f" --world {world}"
    scores = {
        "schema_version": 1,
        **({} if world == SHAPES else {"scenes": world}),
        "command": f"python training/evaluate.py --model {folder}{chosen} --scenes {scenes}",
        "questions": {kind: counts[kind] for kind in kinds},
        "exact_match": {
            kind: {name: round(column[kind], 3) for name, column in columns.items() if kind in column} for kind in kinds
        },
    }
    (folder / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")


def print_likelihood_ratios(
    model: torch.nn.Module, processor: object, cases: Sequence[Case], answers: Sequence[str], most: int = 150
) -> None:
    """How far the log-likelihood of right answers falls when the image is replaced, at most `most` of a kind."""
    falls: dict[str, list[np.ndarray]] = defaultdict(list)
    for case, answer in zip(cases, answers, strict=True):
        if answer != case.answer or len(falls[case.kind]) == most:
            continue
        blurred = case.image.filter(ImageFilter.GaussianBlur(BLUR * min(case.image.size)))
        mean = tuple(int(value) for value in np.asarray(case.image).mean(axis=(0, 1)).round())
        plain = Image.new("RGB", case.image.size, mean)
        own, *without = log_likelihood(model, processor, case, [case.image, blurred, plain])
        falls[case.kind].append(own - np.array(without))
    print("\nFall of the right answer's log-likelihood (nats): median, 5 % and 95 % quantile\n")
    print(f"| kind | answers | blurred image (sigma {BLUR:g} of the side) | mean color |")
    print("|---|---|---|---|")
    for kind in (kind for kind in KINDS if falls[kind]):
        low, middle, high = np.quantile(np.array(falls[kind]), (0.05, 0.5, 0.95), axis=0)
        shown = (f"{m:.2f} ({a:.2f} to {b:.2f})" for a, m, b in zip(low, middle, high, strict=True))
        print(f"| {kind} | {len(falls[kind])} | " + " | ".join(shown) + " |")


if __name__ == "__main__":
    main()
