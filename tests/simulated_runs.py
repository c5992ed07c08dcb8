"""Run folders with simulated rows: what a model is like is planted, so that a comparison can be held to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wherelook.evaluation.records import write_records
from wherelook.evaluation.run_folder import RECORDS, RUN_FILE, SCHEMA_VERSION

CELLS = 7
METHOD = "guided-igos:fast"
EVIDENCE_SHARE = 0.1


@dataclass(frozen=True)
class Simulated:
    """A model as it is planted.

    Attributes:
        name: of it.
        architecture, scale: its class and number of parameters say them.
        looks: probability that an answer rests on the image.
        accuracy, blind_accuracy: of answers where it looks at the evidence, and without the image.
        elsewhere: accuracy where it looks elsewhere.
        on_evidence: probability that its focus lies on the evidence.
        focus: seed of what is its own in its maps; models of one seed have it in common.
        own: how much of a map that is; the rest is the sample's, the same for all models, and noise.
    """

    name: str
    architecture: str = "One"
    scale: int = 7_000_000_000
    looks: float = 1.0
    accuracy: float = 0.7
    blind_accuracy: float = 0.3
    elsewhere: float = 0.7
    on_evidence: float = 0.5
    focus: int = 0
    own: float = 0.0


def simulate_run(
    path: Path,
    model: Simulated,
    *,
    samples: Sequence[int] = range(100),
    seed: int = 0,
    dataset: str = "scenes",
    per_image: int = 1,
    kinds: int = 1,
    changes: Mapping[int, Mapping[str, Any]] | None = None,
) -> Path:
    """Writes a run of the model; `per_image` samples share an image; `changes` are made to the rows of a sample."""
    rng = np.random.default_rng([seed, sum(map(ord, model.name))])
    rows = []
    for sample in samples:
        shared = np.random.default_rng([seed, 1, sample]).random((CELLS, CELLS))
        own = np.random.default_rng([seed, 2, sample, model.focus]).random((CELLS, CELLS))
        values = shared + model.own * own + rng.random((CELLS, CELLS))
        values = np.round((values - values.min()) / np.ptp(values), 4)
        looks, on_evidence = rng.random() < model.looks, rng.random() < model.on_evidence
        right = rng.random() < (model.accuracy if on_evidence else model.elsewhere)
        selected = int(rng.integers(1, 3)) if looks else 0
        row = {
            "position": sample,
            "sample": f"s{sample}",
            "dataset": dataset,
            "kind": f"kind {sample % kinds}",
            "fingerprint": f"fingerprint {sample}",
            "image_sha256": f"image {sample // per_image}",
            "evidence_share": EVIDENCE_SHARE,
            "model": model.name,
            "run": METHOD,
            "status": "ok" if looks else "not_visual",
            "reason": "" if looks else "no word rests on the image",
            "correct": bool(right if looks else rng.random() < model.blind_accuracy),
            "blind_correct": bool(rng.random() < model.blind_accuracy),
            "reliance": float(np.round(rng.uniform(0.6, 1) if looks else rng.uniform(0, 0.5), 4)),
            "words": 4,
            "relevant_words": selected,
            "tokens_words": 5,
            "tokens_selected": selected,
        }
        if looks:
            row |= {
                "mask": values.ravel().tolist(),
                "mask_height": CELLS,
                "mask_width": CELLS,
                "pointing": float(on_evidence),
                "energy": float(rng.beta(2, 8) + 0.3 * on_evidence),
                "compactness": float(rng.beta(4, 6)),
                "center_mass": float(rng.beta(4, 8)),
                "effective_area": 0.4,
                "border_mass": 0.3,
            }
        rows.append(row | dict((changes or {}).get(sample, {})))
    (path / RECORDS).mkdir(parents=True)
    write_records(path / RECORDS / "part-00000000.parquet", rows)
    about = {
        "schema_version": SCHEMA_VERSION,
        "configuration": {"dataset": dataset, "runs": [METHOD]},
        "model": {
            "id": model.name,
            "revision": None,
            "class": f"{model.architecture}ForConditionalGeneration",
            "dtype": "float32",
            "weights": model.name,
            "parameters": model.scale,
        },
        "versions": {},
    }
    (path / RUN_FILE).write_text(json.dumps(about))
    return path


NOTHING = Simulated("nothing", accuracy=0.5, elsewhere=0.5, blind_accuracy=0.5, on_evidence=EVIDENCE_SHARE)
"""A model without any effect: it looks at the evidence by chance, and is right as often without the image."""


def four_models() -> list[dict[str, Any]]:
    """Names, architectures and scales of two architectures at two scales, to be planted something."""
    return [
        {"name": f"{architecture} {billions}B", "architecture": architecture, "scale": billions * 10**9}
        for architecture in ("One", "Two")
        for billions in (7, 13)
    ]
