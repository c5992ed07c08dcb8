"""Mini-Gemini's image processor and processor: one image at high resolution, and its views at low resolution."""

from collections.abc import Mapping
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from transformers import BatchFeature, CLIPImageProcessorPil, PreTrainedTokenizerBase, ProcessorMixin
from transformers.image_utils import SizeDict
from transformers.processing_utils import ImagesKwargs

from wherelook.models.ports.multimodal import pad_to_square


class MiniGeminiImageProcessorKwargs(ImagesKwargs, total=False):
    """Settings beside those of every image processor; see `MiniGeminiConfig`."""

    image_grid: int
    image_global: bool


class MiniGeminiImageProcessor(CLIPImageProcessorPil):
    """Pads an image to a square in the mean color, resizes it for the high-resolution tower, cuts that into views.

    `size` is that of the high-resolution input, `crop_size` that of each view of the low-resolution tower. The views
    are made from the high-resolution pixels: bilinear without smoothing, as the models were trained.
    """

    valid_kwargs = MiniGeminiImageProcessorKwargs
    size = {"height": 768, "width": 768}  # noqa: RUF012
    crop_size = {"height": 336, "width": 336}  # noqa: RUF012
    do_center_crop = False
    image_grid = 1
    image_global = False
    model_input_names = ["pixel_values", "high_res_pixel_values"]  # noqa: RUF012

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def _preprocess(  # type: ignore[override]
        self,
        images: list[np.ndarray],
        *,
        size: SizeDict,
        crop_size: SizeDict,
        resample: Any,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: Any,
        image_std: Any,
        image_grid: int,
        image_global: bool,
        return_tensors: Any,
        **_: Any,
    ) -> BatchFeature:
        low, high = [], []
        color = [int(255 * value) for value in image_mean]
        for image in images:
            pixels = self.resize(pad_to_square(image, color), size, resample)
            if do_rescale:
                pixels = self.rescale(pixels, rescale_factor)
            if do_normalize:
                pixels = self.normalize(pixels, image_mean, image_std)
            pixels = np.asarray(pixels, np.float32)
            high.append(pixels)
            side = int(crop_size.height or 0)
            low.append(cut_views(torch.from_numpy(pixels), side, grid=image_grid, whole=image_global).numpy())
        return BatchFeature({"pixel_values": low, "high_res_pixel_values": high}, tensor_type=return_tensors)


def cut_views(
    pixels: Float[Tensor, "channels height width"], side: int, *, grid: int, whole: bool
) -> Float[Tensor, "views channels {side} {side}"]:
    """The views of the low-resolution tower: the whole image if asked for, then grid x grid crops, row by row."""
    crops = _resize(pixels, grid * side)
    views = crops.unflatten(2, (grid, side)).unflatten(1, (grid, side)).permute(1, 3, 0, 2, 4).flatten(0, 1)
    return torch.cat([_resize(crops, side)[None], views]) if whole else views


def _resize(pixels: Tensor, side: int) -> Tensor:
    return functional.interpolate(pixels[None], size=(side, side), mode="bilinear", align_corners=False)[0]


class MiniGeminiProcessor(ProcessorMixin):
    """Expands each image placeholder to the number of image tokens, and processes the images.

    Args:
        image_processor: a `MiniGeminiImageProcessor`.
        tokenizer: of the language model, with `image_token` among its tokens.
        chat_template: how messages are written.
        patch_size: of the low-resolution tower, in pixels.
        image_token: the placeholder.
    """

    patch_size: int
    image_token: str

    @no_type_check  # Transformers reads the names of the settings to load from this very function
    def __init__(
        self,
        image_processor: MiniGeminiImageProcessor,
        tokenizer: PreTrainedTokenizerBase,
        chat_template: str | None = None,
        patch_size: int = 14,
        image_token: str = "<image>",
    ) -> None:
        self.patch_size = patch_size
        self.image_token = image_token
        self.image_token_id = tokenizer.convert_tokens_to_ids(image_token)
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def replace_image_token(self, image_inputs: Mapping[str, Any], image_idx: int, **_: Any) -> str:
        views, _, height, width = np.shape(image_inputs["pixel_values"][image_idx])
        result: str = self.image_token * (views * (height // self.patch_size) * (width // self.patch_size))
        return result
