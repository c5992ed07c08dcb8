"""The study of docs/study.md: small trained models of several architectures and scales, on scenes with known evidence.

    python benchmarks/study.py --out study [--samples 100] [--workers 2]

Asks every model the same questions (`wherelook run`), writes the three questions' answers as a page (`wherelook
report`), and then puts the same tests to what is known beforehand: a model that was trained without its images, one
that was trained to tell of the leftmost object whatever it is asked about, and a model beside itself with another seed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from wherelook.analysis.align_runs import Label
from wherelook.analysis.compare import compare_runs
from wherelook.analysis.results import Comparison, Finding
from wherelook.data.scenes import REPORTING_SEEDS, write_scenes

MODELS = {
    "embedded": ("LLaVA", "base"),
    "embedded-small": ("LLaVA", "small"),
    "tiled": ("LLaVA-NeXT", "base"),
    "tiled-small": ("LLaVA-NeXT", "small"),
    "qwen2vl": ("Qwen2-VL", "base"),
    "qwen2vl-small": ("Qwen2-VL", "small"),
    "minigemini": ("Mini-Gemini", "base"),
    "cambrian": ("Cambrian", "base"),
}
"""Of the zoo: architecture, and scale of the language model."""

PLANTED = ("blind", "leftmost")
"""Of the zoo: models with a known fault, otherwise like `embedded`."""

FACTS_SEED = REPORTING_SEEDS[500_000]  # far from the scenes of `scenes`
METHOD = "guided-igos:fast"
NOISY = "smoothgrad"
"""A method whose maps depend on the seed, for the comparison in which nothing is to be found."""

SIGNIFICANT = 0.05
FACTORS = ("model", "architecture", "scale")
EXPECTED = (
    ("embedded", "Is it right more often with the image than without?", True),
    ("blind", "Is it right more often with the image than without?", False),
    ("leftmost", "Is it right more often with the image than without?", True),
    ("leftmost", "Is it right more often when its focus lies on the evidence?", True),
    ("architecture", "Does reliance on the image depend on architecture?", True),
    ("architecture", "Does the share of saliency on the evidence depend on architecture?", True),
)
"""Of the planted faults: about whom, what is asked, and whether it should be found."""


def wherelook(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "wherelook", *arguments], check=True)


def ask(
    model: str,
    benchmarks: Iterable[tuple[str, str, int]],
    folder: Path,
    workers: int,
    method: str = METHOD,
    seed: int = 0,
) -> list[Path]:
    """Runs of a model over (name, data set, number of samples), or their rest where they were interrupted."""
    runs = []
    for name, dataset, samples in benchmarks:
        runs.append(folder / name)
        wherelook(
            *("run", dataset, "--out", str(runs[-1]), "--limit", str(samples)),
            *("--model", f"zoo:{model}", "--seed", str(seed)),
            *("--method", method, "--metric", "map", "--blind", "--workers", str(workers)),
        )
    return runs


def write_facts(folder: Path, samples: int) -> str:
    """Questions that need no image, each beside an image; the data set's name."""
    table = folder / "facts.jsonl"
    if not table.exists():
        shutil.rmtree(folder, ignore_errors=True)  # what an interrupted study left
        write_scenes(folder, n=samples, seed=FACTS_SEED)
        lines = (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()
        facts = [line for line in lines if not json.loads(line)["needs_image"]]
        table.write_text("\n".join(facts[:samples]) + "\n", encoding="utf-8")
    return f"table:{table}"


def compared(runs: dict[str, list[Path]], labels: dict[str, tuple[str, str]]) -> Comparison:
    """The three questions over the runs of some models."""
    named = {str(run): Label(*labels[name], name) for name, folders in runs.items() for run in folders}
    return compare_runs([run for folders in runs.values() for run in folders], labels=named)


def find(comparison: Comparison, asked: str, subject: str) -> Finding | None:
    """The test on scenes that asks this of this subject; None where it could not be made."""
    for one in comparison.findings:
        if one.benchmark == "scenes" and one.subject == subject and asked in one.asked:
            return one
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("study"))
    parser.add_argument("--samples", type=int, default=100, help="with known evidence; a third as many without any")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    started = time.monotonic()
    facts = write_facts(options.out / "facts", max(1, options.samples // 3))
    benchmarks = [("scenes", "scenes", options.samples), ("facts", facts, max(1, options.samples // 3))]
    folder = options.out / "runs"
    runs = {name: ask(name, benchmarks, folder / name, options.workers) for name in (*MODELS, *PLANTED)}
    again = {
        f"seed {seed}": ask("embedded", benchmarks[:1], folder / f"null-{seed}", options.workers, NOISY, seed)
        for seed in (0, 1)
    }

    labels = [f"{run}={':'.join(label)}:{name}" for name, label in MODELS.items() for run in runs[name]]
    wherelook(
        *("report", *(str(run) for name in MODELS for run in runs[name])),
        *(part for label in labels for part in ("--label", label)),
        *("--title", "Where small models look", "--out", str(options.out / "report.html")),
        *("--figures", str(options.out / "figures")),
    )
    print_planted(runs)
    print_null(again)
    print(f"\n{time.monotonic() - started:.0f} s")


def print_planted(runs: dict[str, list[Path]]) -> None:
    """Do the tests that anyone would read find the planted faults?"""
    names = ("embedded", *PLANTED)
    comparison = compared({name: runs[name] for name in names}, {name: (name, "base") for name in names})
    print("\nPlanted: what the tests find beside what they should find\n")
    for subject, asked, expected in EXPECTED:
        finding = find(comparison, asked, subject)
        if finding is None:
            print(f"not tested  {subject}: {asked}")
            continue
        is_found, effect = finding.p < SIGNIFICANT, finding.test.effect
        print(
            f"{'as planted' if is_found == expected else 'NOT AS PLANTED'}  {subject}: {finding.asked} "
            f"{'yes' if is_found else 'no'}: {effect.value:.3f} ({effect.low:.3f} to {effect.high:.3f}), "
            f"n {finding.test.n}, corrected p {finding.p:.2g}, {finding.test.name}"
        )


def print_null(runs: dict[str, list[Path]]) -> None:
    """Of the tests that tell models apart, how many do so where there is one model?"""
    comparison = compared(runs, {name: ("LLaVA", name) for name in runs})
    findings = [one for one in comparison.findings if one.subject in FACTORS]
    false = [one.asked for one in findings if one.p < SIGNIFICANT]
    print(f"\nA model beside itself with another seed: {len(false)} of {len(findings)} tests find a difference", *false)


if __name__ == "__main__":
    main()
