"""Do quantized models look at the same places? Rank correlations of their maps with those of float32, on scenes.

    python benchmarks/quantized.py                                  # the embedded model
    python benchmarks/quantized.py --model training/zoo/tiled

Each model explains the same words of the float32 model's answer. bfloat16 is there as a yardstick: what rounding alone
does. A question to which float32 gets no map is passed over; a map that a quantized model fails to give is counted.
"""

from __future__ import annotations

import argparse
from statistics import median

import torch

from wherelook.data.scenes import REPORTING_SEEDS, make_scene
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
    arguments = parser.parse_args()

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
        scene = make_scene(seed)
        question = next(question.text for question in scene.questions if question.needs_image)
        relevance = whole.relevance(scene.image, question)
        if relevance.status != "ok":
            continue
        count += 1
        words = " ".join(dict.fromkeys(token.text.strip() for token in relevance.tokens if token.selected))
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
        print(
            f"{method:22} {name:9} median {median(known):.3f}, lowest {known[0]:.3f}, "
            f"at least 0.9 in {sum(value >= 0.9 for value in known)} of {len(known)}; "
            f"{len(values) - len(known)} flat",
            flush=True,
        )


if __name__ == "__main__":
    main()
