"""The model as Transformers knows it: a LLaVA whose processor tells each image token's place in words before it."""

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
    """Puts a line for each region in the place of an image: "upper left:" and its image token.

    In text, SmolLM2 can tell which name stands beside which place in such lines, and hardly without their punctuation.
    Idefics3 and SmolVLM (arXiv 2504.05299) tell rows and columns of tiles likewise.
    """

    def replace_image_token(self, image_inputs: Mapping[str, Any], image_idx: int, **_: Any) -> str:
        return lines(self.image_token)


def lines(image_token: str) -> str:
    """What stands for an image in a prompt."""
    return "".join(f"{place}:{image_token}\n" for place in PLACES)
