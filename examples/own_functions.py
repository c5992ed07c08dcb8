"""Functions of your own in the place of a method, a metric, a baseline and a judge, and samples of your own:
python examples/own_functions.py FOLDER

docs/extending.md says what each of them is given; examples/plugin is a package that gives them names.
"""

import sys

import numpy as np
from PIL import Image, ImageFilter

import wherelook
from wherelook.data.scenes import TUNING_SEEDS, make_scene


def contrast(score, image, settings, *, seed, progress):
    """A method: where the image differs from its own blur. It never asks the score, so it explains no model."""
    pixels = Image.fromarray((image.permute(1, 2, 0).numpy() * 255).astype(np.uint8))
    blurred = np.asarray(pixels.filter(ImageFilter.GaussianBlur(8)), np.float32)
    return np.abs(np.asarray(pixels, np.float32) - blurred).mean(axis=2)


def drop_without_top(context):
    """A metric: nats that the answer loses when the most salient tenth of the area is taken away; one forward."""
    from wherelook.metrics import top_area

    without = 1 - top_area(context.saliency, context.canvas, 0.1)
    return float((context.score.original - context.score(without[None])[0]).sum())


def gray(image, seed):
    """A baseline: the image without its colors."""
    return np.repeat(image.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)


def first_word(answer, sample):
    """A judge: the answer begins with the word that the reference begins with. None where there is no reference."""
    return answer.split()[:1] == sample.reference.split()[:1] if sample.reference else None


def samples():
    """A dataset: anything that gives samples."""
    for seed in TUNING_SEEDS[2000:2010]:
        scene = make_scene(seed, size=(224, 224))
        for question in scene.questions:
            if question.kind == "color":
                known = {"references": (question.answer,), "truth": question.evidence}
                yield wherelook.Sample.of(f"{seed}", scene.image, question.text, **known)


explainer = wherelook.Explainer.from_pretrained("embedded")
first = next(samples())
explanation = explainer.explain(
    first.image.picture,
    first.question,
    method=contrast,
    baseline=gray,
    metrics=["replay", drop_without_top],
)
print(explanation)
print(f"deletion {explanation.metrics['deletion']:.3f}, drop {explanation.metrics['drop_without_top']:.2f} nats")

rows = wherelook.run(
    samples(),
    sys.argv[1],
    model=explainer,
    methods=[contrast, "center"],
    metrics=["map", drop_without_top],
    baseline=gray,
    judge=first_word,
)
for row in rows.select(["sample", "run", "correct", "judge", "status", "drop_without_top"]).to_pylist():
    print(row)
