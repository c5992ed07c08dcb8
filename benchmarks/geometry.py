"""CPU-seconds, calls of the processor and memory of measuring a photograph's geometry, and of its self-check.

    python benchmarks/geometry.py --height 3024 --width 4032

A tiny model with random weights behind Qwen2.5-VL's image processor with its published limits of pixels; one thread.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers
from PIL import Image
from tools.families import build

from wherelook.check import test_picture as make_picture
from wherelook.geometry import Geometry, blend_error, probe
from wherelook.models import VisionLanguageModel

PUBLISHED = {"shortest_edge": 3136, "longest_edge": 12845056}
"""Pixels of an image, at least and at most."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=3024)
    parser.add_argument("--width", type=int, default=4032)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network, processor = build("qwen2_5_vl")
    processor.image_processor = transformers.Qwen2VLImageProcessorPil(size=PUBLISHED, patch_size=14, merge_size=2)
    model = VisionLanguageModel(network, processor)
    size = (arguments.height, arguments.width)
    text = model.render("?")
    counted = Counted(lambda *images: model.prompting.process(images, text))
    picture, gray = make_picture(size), Image.new("RGB", size[::-1], "gray")
    counted(gray)  # what is done once is done
    report("one call of the processor", counted, lambda: counted(gray))
    found: list[Geometry] = []
    report("geometry", counted, lambda: found.append(probe(counted, size)))
    report("self-check", counted, lambda: blend_error(counted, found[0], picture, gray))


class Counted:
    """A processor whose calls are counted."""

    def __init__(self, process: Callable[..., Any]) -> None:
        self.process = process
        self.calls = 0

    def __call__(self, *images: Image.Image) -> Any:
        self.calls += 1
        return self.process(*images)


def report(name: str, counted: Counted, work: Callable[[], object]) -> None:
    calls, started = counted.calls, time.process_time()
    work()
    seconds, peak = time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{name}: {seconds:.1f} CPU-s, {counted.calls - calls} calls of the processor, peak so far {peak:.2f} GB")


if __name__ == "__main__":
    main()
