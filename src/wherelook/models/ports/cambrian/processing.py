"""Cambrian's image processor and processor: one padded square, resized and normalized for each encoder."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs
from transformers.utils.constants import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
)

from wherelook.models.ports.cambrian.grids import content_box
from wherelook.models.ports.multimodal import ImageTokenProcessor, pad_to_square

CLIP_COLOR = [int(255 * value) for value in OPENAI_CLIP_MEAN]

PUBLISHED_VIEWS: dict[str, dict[str, Any]] = {
    # The SigLIP tower of the published models has the padding of CLIP and the normalization of SigLIP.
    "siglip": {"side": 384, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "padding": CLIP_COLOR},
    "clip": {"side": 336, "mean": OPENAI_CLIP_MEAN, "std": OPENAI_CLIP_STD, "padding": CLIP_COLOR},
    "dinov2": {
        "side": 378,
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "padding": [int(255 * value) for value in IMAGENET_DEFAULT_MEAN],
    },
    "convnext": {"side": 1024, "mean": OPENAI_CLIP_MEAN, "std": OPENAI_CLIP_STD, "padding": CLIP_COLOR},
}
"""For each encoder: side of its square in pixels, mean and standard deviation of its normalization (of 0 to 1), and the
color of the padding (0 to 255)."""


class CambrianImageProcessorKwargs(ImagesKwargs, total=False):
    """Settings beside those of every image processor.

    Attributes:
        views: see `PUBLISHED_VIEWS`.
        image_grid: rows (and columns) of image tokens of a square image.
    """

    views: dict[str, Any]
    image_grid: int


class CambrianImageProcessor(PilBackend):
    """Pads an image to a square, and resizes and normalizes it for each encoder.

    Gives `pixel_values_` and the encoder's name, (images, 3, side, side), for every one of `views`; and `image_sizes`,
    (images, 2), height and width in pixels before padding.

    Raises:
        ValueError: an image so narrow that no row or column of tokens is left of it.
    """

    valid_kwargs = CambrianImageProcessorKwargs
    resample = PILImageResampling.BICUBIC
    do_convert_rgb = True
    views = PUBLISHED_VIEWS
    image_grid = 24
    model_input_names = [*(f"pixel_values_{tower}" for tower in PUBLISHED_VIEWS), "image_sizes"]  # noqa: RUF012

    def _preprocess(self, images: list[np.ndarray], **settings: Any) -> BatchFeature:  # type: ignore[override]
        grid = settings["image_grid"]
        sizes = [image.shape[-2:] for image in images]
        for height, width in sizes:
            left, top, right, bottom = content_box((height, width), grid)
            if right <= left or bottom <= top:
                raise ValueError(
                    f"an image of {width} x {height} is too narrow for {grid} x {grid} image tokens: "
                    f"one side may be at most {grid} times the other"
                )
        pixels: dict[str, Any] = {}
        for tower, view in settings["views"].items():
            size = SizeDict(height=view["side"], width=view["side"])
            squares = [
                self.resize(pad_to_square(image, view["padding"]), size, settings["resample"]) for image in images
            ]
            scaled = [self.rescale(square, settings["rescale_factor"]) for square in squares]
            normal = [np.asarray(self.normalize(each, view["mean"], view["std"]), np.float32) for each in scaled]
            pixels[f"pixel_values_{tower}"] = normal
        return BatchFeature({**pixels, "image_sizes": sizes}, tensor_type=settings["return_tensors"])


class CambrianProcessor(ImageTokenProcessor):
    """Expands each image placeholder to the number of image tokens, and processes the images.

    Its image processor is a `CambrianImageProcessor`.
    """

    def replace_image_token(self, image_inputs: Mapping[str, Any], image_idx: int, **_: Any) -> str:
        height, width = (int(side) for side in image_inputs["image_sizes"][image_idx])
        left, top, right, bottom = content_box((height, width), self.image_processor.image_grid)
        return self.image_token * ((bottom - top) * (right - left + 1))
