"""How good the maps of the embedded model are, on scenes whose evidence is known: the figures of docs/quality.md.

    python benchmarks/quality.py                     # report: 200 held-out scenes
    python benchmarks/quality.py --split tuning ...  # for choosing settings; never for reporting

Answers are the model's own; only right ones to questions with exactly one evidence object count, one per scene. With
--evidence exclusive (the default) no other object has anything that the answer tells, so a right answer must have come
from there; with --evidence shared another one does (the answer is "red", and a second red thing is in the image), and
a faithful map may well lie on that one. Every share has its Wilson interval, every mean its bootstrap interval (95 %).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from wherelook.baselines import make_baseline
from wherelook.data.scenes import REPORTING_SEEDS, TUNING_SEEDS, Question, Scene, make_scene
from wherelook.explain import Explainer
from wherelook.stats import bootstrap_interval, wilson_interval

SPLITS = {"tuning": TUNING_SEEDS, "reporting": REPORTING_SEEDS}
KINDS = ("color", "shape", "size", "relation", "existence")  # a count rests on every object
RUNS = ("igos+:best", "igos+:fast", "igos+:paper", "center:best", "random:best")
FIGURES = ("deletion", "insertion", "deletion_unseen", "insertion_unseen", "roc_area", "energy")


@dataclass(frozen=True)
class Sample:
    scene: Scene
    question: Question
    answer: str


def ask(explainer: Explainer, image: Image.Image, question: str) -> str:
    model = explainer.model
    prompt = model.encode(image, question)
    return model.decode(model.generate_ids(prompt, max_new_tokens=32)).strip()


def samples(explainer: Explainer, split: str, count: int, size: int, exclusive: bool = True) -> Iterator[Sample]:
    """One right answer per scene, the kinds of question in turn."""
    found = 0
    for seed in SPLITS[split]:
        scene = make_scene(seed, size=(size, size))
        turn = KINDS[found % len(KINDS) :] + KINDS[: found % len(KINDS)]
        candidates = sorted(
            (
                q
                for q in scene.questions
                if q.kind in KINDS and len(q.evidence_objects) == 1 and q.exclusive == exclusive
            ),
            key=lambda question: turn.index(question.kind),
        )
        for question in candidates[:1]:
            answer = ask(explainer, scene.image, question.text)
            if answer == question.answer:
                found += 1
                yield Sample(scene, question, answer)
        if found == count:
            return


def measure_maps(explainer: Explainer, chosen: list[Sample], runs: list[str], settings: dict[str, str]) -> list[dict]:
    rows = []
    for run in runs:
        method, _, preset = run.partition(":")
        values: dict[str, list[float]] = defaultdict(list)
        passes, seconds, statuses = [], [], defaultdict(int)
        by_kind: dict[str, list[float]] = defaultdict(list)
        for sample in chosen:
            explanation = explainer.explain(
                np.asarray(sample.scene.image),
                sample.question.text,
                answer=sample.answer,
                method=method,
                preset=preset,
                truth=sample.question.evidence,
                settings=settings if method.startswith("igos") else None,
                replay_steps=50,
            )
            statuses[explanation.status] += 1
            if explanation.status != "ok":
                continue
            for name in ("pointing", *FIGURES):
                value = explanation.metrics[name]
                if value is not None:
                    values[name].append(value)
            by_kind[sample.question.kind].append(explanation.metrics["pointing"] or 0.0)
            passes.append(explanation.cost["backward"])
            seconds.append(explanation.cost["seconds"])
        hits, total = int(sum(values["pointing"])), len(values["pointing"])
        row = {"run": run, "maps": total, "without map": len(chosen) - total, "passes": float(np.mean(passes))}
        row["pointing"] = (hits / total, *wilson_interval(hits, total))
        row |= {name: (float(np.mean(values[name])), *bootstrap_interval(values[name])) for name in FIGURES}
        row["seconds"] = float(np.mean(seconds))
        row["pointing by kind"] = {kind: f"{int(sum(hit))}/{len(hit)}" for kind, hit in sorted(by_kind.items())}
        rows.append(row)
        print(line(row), flush=True)
    return rows


def line(row: dict) -> str:
    cells = [row["run"], str(row["maps"]), str(row["without map"]), f"{row['passes']:.0f}"]
    for name in ("pointing", *FIGURES):
        mean, low, high = row[name]
        cells.append(f"{mean:.3f} ({low:.3f}-{high:.3f})")
    return "| " + " | ".join(cells) + " |"


def header() -> str:
    names = ["method:preset", "maps", "no map", "passes", "pointing", *FIGURES]
    return "| " + " | ".join(names) + " |\n|" + "---|" * len(names)


def measure_statuses(explainer: Explainer, split: str, count: int, size: int) -> dict:
    """Questions that need no image should get no map; those whose answer the image changes should get one."""
    free: dict[str, int] = defaultdict(int)
    needed: dict[str, int] = defaultdict(int)
    missed: list[str] = []
    for seed in reversed(SPLITS[split]):  # other scenes than the maps'
        if sum(free.values()) >= count and sum(needed.values()) >= count:
            break
        scene = make_scene(seed, size=(size, size))
        for question in scene.questions:
            image = np.asarray(scene.image)
            if not question.needs_image:
                if sum(free.values()) < count:
                    free[explainer.relevance(image, question.text).status] += 1
                continue
            if sum(needed.values()) >= count:
                continue
            answer = ask(explainer, scene.image, question.text)
            without = ask(explainer, Image.fromarray(make_baseline("mean", image)), question.text)
            if answer != without:
                relevance = explainer.relevance(image, question.text, answer=answer)
                needed[relevance.status] += 1
                if relevance.status != "ok":
                    missed.append(f"{question.kind}: {relevance.reason}")
    no_map = sum(free.values()) - free["ok"]
    lost = sum(needed.values()) - needed["ok"]
    result = {
        "image-free": dict(free),
        "image-free without map": (no_map / sum(free.values()), *wilson_interval(no_map, sum(free.values()))),
        "image changes the answer": dict(needed),
        "of these without map": (lost / sum(needed.values()), *wilson_interval(lost, sum(needed.values()))),
    }
    for name, value in result.items():
        print(f"{name}: {value}", flush=True)
    for text in missed[:10]:
        print("  ", text)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--split", choices=list(SPLITS), default="reporting")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--evidence", choices=["exclusive", "shared"], default="exclusive")
    parser.add_argument("--size", type=int, default=224, help="side of the scenes in pixels")
    parser.add_argument("--runs", nargs="*", default=list(RUNS), metavar="METHOD:PRESET")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of the igos family")
    parser.add_argument(
        "--statuses", type=int, default=400, help="questions of each kind for the status check; 0: none"
    )
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    arguments = parser.parse_args()

    started = time.perf_counter()
    explainer = Explainer.from_pretrained(arguments.model, device="cpu")
    report: dict = {"command": " ".join(sys.argv), "model": explainer.model.description}
    if arguments.runs:
        exclusive = arguments.evidence == "exclusive"
        chosen = list(samples(explainer, arguments.split, arguments.samples, arguments.size, exclusive))
        where = f"{arguments.split} scenes of {arguments.size} px"
        print(f"{len(chosen)} right answers, {arguments.evidence} evidence, {where}")
        print(header(), flush=True)
        settings = dict(pair.split("=", 1) for pair in arguments.set)
        report["maps"] = measure_maps(explainer, chosen, arguments.runs, settings)
        for row in report["maps"]:
            print(f"{row['run']}: {row['seconds']:.2f} s; pointing by kind {row['pointing by kind']}")
    if arguments.statuses:
        report["statuses"] = measure_statuses(explainer, arguments.split, arguments.statuses, arguments.size)
    print(f"{time.perf_counter() - started:.0f} s in all")
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
