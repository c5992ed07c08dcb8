"""Does `wherelook compare` find something where nothing is? Studies of models that do not differ, every test of them.

python benchmarks/comparison.py --studies 200

Four models (two architectures, two scales) whose focus, answers and reliance have nothing to do with architecture,
scale, evidence or image. A study counts when any of its tests has a corrected p below 5 %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

from wherelook.analysis.compare import compare_runs
from wherelook.stats import wilson_interval

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from simulated_runs import NOTHING, four_models, simulate_run

SIGNIFICANT = 0.05


def study(seed: int, *, samples: int, per_image: int, correction: str) -> list[str]:
    """What a study of equal models finds."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            simulate_run(Path(folder) / model.name, model, samples=range(samples), seed=seed, per_image=per_image)
            for model in (replace(NOTHING, **own) for own in four_models())
        ]
        found = compare_runs(runs, seed=seed, correction=correction).findings
    return [finding.asked for finding in found if finding.p < SIGNIFICANT]


def main() -> None:
    """Prints the share of studies with a false finding, and which tests gave it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--correction", default="holm")
    options = parser.parse_args()
    for per_image in (1, 3):
        found = [
            study(seed, samples=options.samples, per_image=per_image, correction=options.correction)
            for seed in range(options.studies)
        ]
        false = sum(bool(asked) for asked in found)
        low, high = wilson_interval(false, options.studies)
        print(
            f"{options.samples} samples, {per_image} per image: a false finding in {false} of {options.studies} "
            f"studies, {false / options.studies:.1%} ({low:.1%} to {high:.1%})",
            flush=True,
        )
        for asked, count in Counter(asked for study in found for asked in study).most_common():
            print(f"  {count} x {asked}")


if __name__ == "__main__":
    main()
