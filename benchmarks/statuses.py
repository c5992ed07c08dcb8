"""Does the status tell right? Questions that need no image, and questions whose answer the image changes.

    python benchmarks/statuses.py                     # report: held-out scenes
    python benchmarks/statuses.py --split tuning      # for choosing rules; never for reporting
    python benchmarks/statuses.py --model photos --photographs DIR    # mosaics of photographs

The first should get no map, the second should. Every share has its Wilson interval (95 %).
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from wherelook.baselines import make_baseline
from wherelook.data.scenes import (
    REPORTING_SEEDS,
    TUNING_SEEDS,
    Mosaic,
    Scene,
    scene_maker,
)
from wherelook.data.scenes.files import PHOTOGRAPHS
from wherelook.explain import Explainer
from wherelook.stats import wilson_interval

SPLITS = {"tuning": TUNING_SEEDS, "reporting": REPORTING_SEEDS}


def ask(explainer: Explainer, image: Image.Image, question: str) -> str:
    model = explainer.model
    return model.decode(model.generate_ids(model.encode(image, question), max_new_tokens=32)).strip()


def image_free(explainer: Explainer, scene: Scene | Mosaic) -> list[str]:
    """Statuses of the scene's questions that need no image."""
    return [
        explainer.relevance(scene.image, question.text).status
        for question in scene.questions
        if not question.needs_image
    ]


def image_dependent(explainer: Explainer, scene: Scene | Mosaic) -> list[str]:
    """Statuses of those whose answer changes when the image is replaced by its mean color."""
    statuses = []
    without = Image.fromarray(make_baseline("mean", np.asarray(scene.image)))
    for question in scene.questions:
        if question.needs_image:
            answer = ask(explainer, scene.image, question.text)
            if answer != ask(explainer, without, question.text):
                statuses.append(explainer.relevance(scene.image, question.text, answer=answer).status)
    return statuses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--split", choices=list(SPLITS), default="reporting")
    parser.add_argument("--n", type=int, default=400, help="questions of each sort")
    parser.add_argument("--size", type=int, default=224, help="side of the scenes in pixels")
    parser.add_argument("--photographs", type=Path, help="mosaics of this folder's photographs, not drawn scenes")
    arguments = parser.parse_args()

    world = PHOTOGRAPHS if arguments.photographs else "shapes"
    make = scene_maker(world, (arguments.size, arguments.size), arguments.photographs)
    explainer = Explainer.from_pretrained(arguments.model, device="cpu")
    for name, find in (("need no image", image_free), ("answer changes with the mean color", image_dependent)):
        statuses: list[str] = []
        for seed in reversed(SPLITS[arguments.split]):  # other scenes than the maps'
            statuses += find(explainer, make(seed))
            if len(statuses) >= arguments.n:
                break
        if not statuses:
            print(f"{name}: no such questions")
            continue
        counts = Counter(statuses[: arguments.n])
        total, without = counts.total(), counts.total() - counts["ok"]
        low, high = wilson_interval(without, total)
        print(f"{name}: {dict(counts)}; without map {without / total:.3f} ({low:.3f} to {high:.3f})", flush=True)


if __name__ == "__main__":
    main()
