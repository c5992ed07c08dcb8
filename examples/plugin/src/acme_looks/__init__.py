"""One thing of each kind that wherelook takes from other packages. pyproject.toml says what is found where."""

import numpy as np

import wherelook
from wherelook.data.scenes import TUNING_SEEDS, make_scene
from wherelook.metrics import Metric
from wherelook.models import VisionLanguageModel


def darkness(score, image, settings, *, seed, progress):
    """How dark each place of the image is."""
    return 1 - image.mean(dim=0)


def _flatness(context):
    largest = context.saliency.max()
    return float(context.saliency.mean() / largest) if largest > 0 else None


flatness = Metric(
    name="flatness",
    measure=_flatness,
    summary="mean of the map, as a share of its maximum; 1 for a flat map",
    better="lower",
    label="Flatness",
    group="Acme's metrics",
    values="0 to 1",
    source="this example",
)


def negative(image, seed):
    """The image in its opposite colors."""
    return 255 - image


def mirrored(path):
    """Drawn scenes, mirrored: a sample for each question about an attribute of one object."""
    for seed in TUNING_SEEDS[3000:3040]:
        scene = make_scene(seed, size=(224, 224))
        for question in scene.questions:
            if question.kind in ("color", "shape") and question.exclusive:
                yield wherelook.Sample.of(
                    f"{seed}-{question.kind}",
                    np.asarray(scene.image)[:, ::-1].copy(),
                    question.text,
                    references=(question.answer,),
                    truth=question.evidence[:, ::-1].copy(),
                )


def starts_alike(answer, sample):
    """The answer and a reference begin with the same letter."""
    return any(answer[:1].lower() == reference[:1].lower() for reference in sample.references)


def load(name, options):
    """`--model acme:NAME`: a model of Transformers and its processor, however they are made."""
    loaded = VisionLanguageModel.from_pretrained(name, options)
    return loaded.model, loaded.processor
