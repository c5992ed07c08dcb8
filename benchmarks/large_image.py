"""CPU-seconds of an explanation of a large image, and of writing its files.

    python benchmarks/large_image.py --height 6000 --width 8000

The bundled model, one thread, the preset `fast` without a replay, after a small image that warms everything up.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np
import torch

from wherelook import Explainer
from wherelook.check import test_picture as make_picture

OPTIONS = {"answer": "The circle is red.", "tokens": "all", "alpha": 0.0, "preset": "fast", "replay_steps": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--height", type=int, default=6000)
    parser.add_argument("--width", type=int, default=8000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    explainer = Explainer.from_pretrained("embedded", device="cpu")
    for size in ((64, 64), (arguments.height, arguments.width)):
        pixels = np.asarray(make_picture(size))
        started = time.process_time()
        explanation = explainer.explain(pixels, "What color is the circle?", **OPTIONS)
        explained = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            explanation.save(folder)
        saved = time.process_time()
        print(
            f"{size[0]} x {size[1]}: {explained - started:.1f} CPU-s to explain ({explanation.cost['forward']} passes, "
            f"{explanation.cost['backward']} with a gradient, status {explanation.status}), "
            f"{saved - explained:.1f} to save"
        )


if __name__ == "__main__":
    main()
