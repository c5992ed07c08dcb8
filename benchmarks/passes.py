"""Seconds for a pass and for an explanation, by number type and batch size, on the machine at hand.

    python benchmarks/passes.py --model photos --image photo.jpg --question "What is shown in the picture?"

Passes are timed in turn, one of each kind after another, `--rounds` times; the median is told.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from PIL import Image

from wherelook.answer import ask
from wherelook.config import ExplainConfig
from wherelook.data.images import load_images
from wherelook.explain import Explainer
from wherelook.models import VisionLanguageModel


def seconds(work: Callable[[Any], object], masks: torch.Tensor) -> float:
    start = time.perf_counter()
    with torch.no_grad():
        work(masks)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="photos")
    parser.add_argument("--image", required=True)
    parser.add_argument("--question", default="What is shown in the picture?")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--presets", nargs="*", default=["fast", "best"], help="of guided-igos: whole explanations")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    images = load_images([arguments.image])
    for dtype in arguments.dtypes:
        model = VisionLanguageModel.from_pretrained(arguments.model, device="cpu", dtype=dtype)
        asked = ask(model, images, arguments.question, ExplainConfig())
        score = asked.selected_score()
        taken: dict[tuple[str, int], list[float]] = {}
        for _, batch in itertools.product(range(arguments.rounds), arguments.batches):
            masks = torch.rand(batch, 12, 12)
            for name, work in (("forward", score), ("gradient", score.gradient)):
                taken.setdefault((name, batch), []).append(seconds(work, masks) / batch)
        for (name, batch), values in taken.items():
            print(f"{dtype} {name} pass, batch {batch}: {median(values):.3f} s per image", flush=True)
        explainer = Explainer(model)
        for preset in arguments.presets:
            explanation = explainer.explain(Image.open(arguments.image), arguments.question, preset=preset)
            cost = explanation.cost
            print(
                f"{dtype} guided-igos:{preset}: {cost['forward']} forward and {cost['backward']} backward passes,"
                f" {cost['seconds']:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
