"""The model as Transformers knows it: a LLaVA whose processor puts each image token into a sentence about its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, no_type_check

from transformers import LlavaConfig, LlavaForConditionalGeneration

from wherelook.models.photos.tower import PLACES
from wherelook.models.ports.multimodal import ImageTokenProcessor


@no_type_check  # Transformers lets __init__ take more than its signature says
class PhotosConfig(LlavaConfig):
    """Configuration of `photos`; see `LlavaConfig`."""

    model_type = "photos"


class PhotosForConditionalGeneration(LlavaForConditionalGeneration):
    """A LLaVA with `LiteTower`, under a name of its own for the sake of its processor."""

    config_class = PhotosConfig


class PhotosProcessor(ImageTokenProcessor):
    """Puts a sentence for each region in the place of an image, such as "There is a<image> on the left.".

    SmolLM2 can tell from such sentences which name belongs to which place, before any training, and hardly from lists.
    Idefics3 and SmolVLM (arXiv 2504.05299) tell rows and columns of tiles in words likewise.
    """

    def replace_image_token(self, image_inputs: Mapping[str, Any], image_idx: int, **_: Any) -> str:
        return sentences(self.image_token)


def sentences(image_token: str) -> str:
    """What stands for an image in a prompt."""
    told = (f"There is a{image_token} {place}" if place else f"The picture shows a{image_token}" for place in PLACES)
    return "".join(f"{sentence}.\n" for sentence in told)
