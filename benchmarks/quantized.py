"""Do quantized models look at the same places? Rank correlations of their maps with those of float32, on scenes.

    python benchmarks/quantized.py                                  # the embedded model
    python benchmarks/quantized.py --model training/zoo/tiled
    python benchmarks/quantized.py --model photos --photographs DIR --size 384      # mosaics of photographs

Each model explains the same words of the float32 model's answer. bfloat16 is there as a yardstick: what rounding alone
does. A question to which float32 gets no map is passed over; a map that a quantized model fails to give is counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

import torch

from wherelook.data.scenes import REPORTING_SEEDS, scene_maker
from wherelook.data.scenes.files import PHOTOGRAPHS
from wherelook.explain import Explainer
from wherelook.explanation import Explanation
from wherelook.metrics.map_similarity import rank_correlation

WAYS: dict[str, dict[str, str]] = {
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"quantize": "int8"},
    "int4": {"quantize": "int4"},
}


def correlation(whole: Explanation, other: Explanation) -> float | None:
    return rank_correlation(torch.from_numpy(whole.heatmap), torch.from_numpy(other.heatmap))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--methods", nargs="+", default=["guided-igos", "integrated-gradients", "occlusion"])
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--n", type=int, default=20, help="questions, one a scene")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, default=224, help="side of the scenes in pixels")
    parser.add_argument("--photographs", type=Path, help="mosaics of this folder's photographs, not drawn scenes")
    arguments = parser.parse_args()
    world = PHOTOGRAPHS if arguments.photographs else "shapes"
    make = scene_maker(world, (arguments.size, arguments.size), arguments.photographs)

    whole = Explainer.from_pretrained(arguments.model, device=arguments.device, dtype="float32")
    others = {
        name: Explainer.from_pretrained(arguments.model, device=arguments.device, **way) for name, way in WAYS.items()
    }
    found: dict[tuple[str, str], list[float | None]] = {
        (method, name): [] for method in arguments.methods for name in WAYS
    }
    same, count = dict.fromkeys(WAYS, 0), 0
    for seed in REPORTING_SEEDS:
        if count == arguments.n:
            break
        scene = make(seed)
        question = next((question.text for question in scene.questions if question.needs_image), None)
        if question is None:
            continue
        relevance = whole.relevance(scene.image, question)
        if relevance.status != "ok":
            continue
        count += 1
        chosen = {token.word for token in relevance.tokens if token.selected}
        spelled = (
            "".join(token.text for token in relevance.tokens if token.word == word).strip()
            for word in sorted(chosen - {None})
        )
        words = " ".join(dict.fromkeys(spelled))
        for name, explainer in others.items():
            same[name] += explainer.relevance(scene.image, question).answer == relevance.answer
        for method in arguments.methods:
            options = {"answer": relevance.answer, "tokens": words, "baseline": "blur", "method": method}
            options |= {"preset": arguments.preset, "replay_steps": 0}
            reference = whole.explain(scene.image, question, **options)
            for name, explainer in others.items():
                found[method, name].append(correlation(reference, explainer.explain(scene.image, question, **options)))

    print(f"{arguments.model}, {count} questions; answers as in float32: {same}")
    for (method, name), values in found.items():
        known = sorted(value for value in values if value is not None)
        if not known:
            print(f"{method:22} {name:9} all {len(values)} maps flat")
            continue
        print(
            f"{method:22} {name:9} median {median(known):.3f}, lowest {known[0]:.3f}, "
            f"at least 0.9 in {sum(value >= 0.9 for value in known)} of {len(known)}; "
            f"{len(values) - len(known)} flat",
            flush=True,
        )


if __name__ == "__main__":
    main()
