"""Threads that share a model: each gets the map and the cost that it would have got alone.

    python benchmarks/threads.py --explanations 100

Every method in turn on the bundled model, with settings that make it quick: by one thread, then by four threads around
two Explainers of the same model. `tests/unit/test_threads.py` does a few of them.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import ImageFile
from torch import nn

from wherelook import Explainer
from wherelook.attribution import METHODS
from wherelook.check import test_picture as make_picture
from wherelook.explanation import Explanation
from wherelook.models import VisionLanguageModel

THREADS = 4
QUESTION, ANSWER = "What color is the circle?", "The circle is red."
CHEAP: dict[str, dict[str, float | str]] = {
    "guided-igos": {"cells": 8, "iterations": 1, "steps": 2, "start_steps": 2, "verify": 1, "rest": 1},
    "igos+": {"cells": 8, "iterations": 1, "steps": 2},
    "igos++": {"cells": 8, "iterations": 1, "steps": 2},
    "igos": {"cells": 8, "iterations": 1, "steps": 2},
    "integrated-gradients": {"cells": 8, "steps": 2},
    "smoothgrad": {"cells": 8, "samples": 2},
    "occlusion": {"cells": 8, "window": 4, "stride": 4},
    "strips": {"cells": 8, "window": 4, "stride": 4},
    "rise": {"masks": 4},
    "greedy": {"count": 3},
    "greedy-window": {"count": 3, "window": 2, "rounds": 2},
}
"""Settings that make each method quick; the others are."""


def make_explainers() -> list[Explainer]:
    """Two around one model."""
    model = VisionLanguageModel.from_pretrained("embedded", device="cpu")
    return [Explainer(model.model, model.processor), Explainer(model.model, model.processor)]


def explain(explainer: Explainer, method: str, seed: int) -> Explanation:
    picture = make_picture((64, 64 + 16 * (seed % 2)))
    preset = "fast" if "fast" in METHODS[method].presets else None
    return explainer.explain(
        picture, QUESTION, answer=ANSWER, method=method, preset=preset, tokens="all", alpha=0.0, seed=seed,
        settings=CHEAP.get(method), replay_steps=2,
    )  # fmt: skip


def state(module: nn.Module) -> list[object]:
    """All that an explanation changes for a while."""
    return [
        [(name, parameter.requires_grad) for name, parameter in module.named_parameters()],
        [(name, part.training, sorted(part.__dict__), len(part._forward_pre_hooks), len(part._forward_hooks))
         for name, part in module.named_modules()],
        torch.is_grad_enabled(), torch.get_num_threads(), torch.backends.cudnn.conv.fp32_precision,
        ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters),
    ]  # fmt: skip


def check_threads(explainers: Sequence[Explainer], count: int) -> None:
    """`count` explanations, the methods in turn, by one thread and by four: the same maps, curves and costs."""
    tasks = [(list(METHODS)[index % len(METHODS)], index // len(METHODS)) for index in range(count)]
    alone = [explain(explainers[0], *task) for task in tasks]
    before = state(explainers[0].model.model)
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(explain, explainers[index % len(explainers)], *task) for index, task in enumerate(tasks)]
        together = [future.result() for future in futures]
    for task, one, other in zip(tasks, alone, together, strict=True):
        assert other.status == one.status, task
        np.testing.assert_allclose(other.heatmap, one.heatmap, atol=1e-4, err_msg=str(task))
        np.testing.assert_allclose(other.curves[0].deletion, one.curves[0].deletion, atol=1e-4, err_msg=str(task))
        for name in ("forward", "backward", "generated_tokens"):
            assert other.cost[name] == one.cost[name], (task, name)
        # A map costs what it costs; what is known of a prompt's image tokens may be shared by explanations of it.
        assert other.method["cost"]["backward"] == one.method["cost"]["backward"], task
    assert state(explainers[0].model.model) == before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--explanations", type=int, default=100)
    arguments = parser.parse_args()
    started = time.perf_counter()
    check_threads(make_explainers(), arguments.explanations)
    print(
        f"{arguments.explanations} explanations, {len(METHODS)} methods: equal maps, curves and costs by one thread "
        f"and by {THREADS}, in {time.perf_counter() - started:.0f} s together"
    )


if __name__ == "__main__":
    main()
