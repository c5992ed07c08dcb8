"""Digests of every method's maps, to see whether a change of the code changed one of them bit by bit.

    python benchmarks/maps.py --out before.json        # with the code before
    python benchmarks/maps.py --compare before.json    # with the code after, on the same machine

Ten drawn scenes, and one question about two images, are explained by every method; one thread on the CPU. Digests of
two machines differ, as their arithmetic does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from wherelook import Explainer
from wherelook.attribution import METHODS
from wherelook.data.scenes import TUNING_SEEDS, make_scene
from wherelook.evaluation.method_spec import parse_methods

SCENES = TUNING_SEEDS[1700:1710]
PRESETS = ("best", "fast", "paper")
RENAMED = {
    "igos+:best": "guided-igos:best",
    "igos+:fast": "guided-igos:fast",
    "igos++:best": "guided-igos:best[masks=2]",
    "igos++:fast": "guided-igos:fast[masks=2]",
}
"""Runs under the names of today by those of earlier versions: METHOD:PRESET."""


def digests(presets: tuple[str, ...], count: int) -> dict[str, dict[str, str]]:
    """By run and scene the SHA-256 of the map's bytes, after its size and the status."""
    explainer = Explainer.from_pretrained("embedded", device="cpu")
    # Two images are more than it was trained on: its answer is poor, its maps are maps.
    explainer.model.options = replace(explainer.model.options, most_images=None)
    scenes = [make_scene(seed, size=(224, 224)) for seed in SCENES[:count]]
    asked = [
        (str(seed), np.asarray(scene.image), scene.questions[0].text)
        for seed, scene in zip(SCENES, scenes, strict=False)
    ]
    asked.append(("two images", [np.asarray(scene.image) for scene in scenes[:2]], scenes[0].questions[0].text))
    found: dict[str, dict[str, str]] = {}
    names = [f"{name}:{preset}" for name, method in METHODS.items() for preset in method.presets]
    names += [name for name in RENAMED.values() if name not in names]
    for run in [run for run in parse_methods(",".join(names)) if run.preset in presets]:
        found[run.name] = {}
        for label, images, question in asked:
            explainer.model.plan.forget()  # batches that earlier answers taught would change the last digits
            options = {"method": run.method, "preset": run.preset, "settings": dict(run.overrides)}
            explanation = explainer.explain(images, question, replay_steps=0, **options)
            heatmap = np.ascontiguousarray(explanation.heatmap)
            digest = hashlib.sha256(heatmap.tobytes()).hexdigest()
            found[run.name][label] = f"{explanation.status} {heatmap.shape} {digest}"
        print(run.name, hashlib.sha256("".join(found[run.name].values()).encode()).hexdigest()[:16], flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", action="append", choices=PRESETS, help="repeatable; all by default")
    parser.add_argument("--scenes", type=int, default=10, help="at most 10")
    parser.add_argument("--out", type=Path, help="a file for the digests")
    parser.add_argument("--compare", type=Path, help="a file of digests made before")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = digests(tuple(options.preset or PRESETS), options.scenes)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))
    if not options.compare:
        return 0
    before = json.loads(options.compare.read_text())
    before = {RENAMED.get(run, run): maps for run, maps in before.items()}
    differ = [
        f"{run}, {label}"
        for run, maps in before.items()
        for label, digest in maps.items()
        if found.get(run, {}).get(label) != digest
    ]
    print(f"{sum(map(len, before.values()))} maps of {len(before)} runs compared, {len(differ)} differ")
    for line in differ:
        print(f"differs or is missing: {line}")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
