"""The model as Transformers knows it: a LLaVA whose processor tells each image token's place in words before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, no_type_check

from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)

from wherelook.models.photos.tower import PLACES


@no_type_check  # Transformers lets __init__ take more than its signature says
class PhotosConfig(LlavaConfig):
    """Configuration of `photos`; see `LlavaConfig`."""

    model_type = "photos"


class PhotosForConditionalGeneration(LlavaForConditionalGeneration):
    """A LLaVA with `LiteTower`, under a name of its own for the sake of its processor."""

    config_class = PhotosConfig


class PhotosProcessor(ProcessorMixin):
    """Puts a line for each region in the place of an image: "upper left:" and its image token.

    The language model can tell which name stands beside which place in such lines before any training, and hardly
    otherwise. Idefics3 and SmolVLM (arXiv 2504.05299) tell rows and columns of tiles likewise.

    Args:
        image_processor: resizes to the square of the tower.
        tokenizer: of the language model, with `image_token` among its tokens.
        chat_template: how messages are written.
        image_token: the placeholder.
    """

    image_token: str
    image_token_id: Any

    @no_type_check  # Transformers reads the names of the arguments from the function's code
    def __init__(
        self,
        image_processor: Any,
        tokenizer: PreTrainedTokenizerBase,
        chat_template: str | None = None,
        image_token: str = "<image>",
    ) -> None:
        self.image_token = image_token
        self.image_token_id = tokenizer.convert_tokens_to_ids(image_token)
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def replace_image_token(self, image_inputs: Mapping[str, Any], image_idx: int, **_: Any) -> str:
        return lines(self.image_token)


def lines(image_token: str) -> str:
    """What stands for an image in a prompt."""
    return "".join(f"{place}:{image_token}\n" for place in PLACES)
