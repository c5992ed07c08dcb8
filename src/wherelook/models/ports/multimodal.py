"""What the ported models share: image tokens take the places of their placeholders, and a language model reads on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, no_type_check

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    CONFIG_MAPPING,
    ConvNextConfig,
    ConvNextModel,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)
from transformers.models.llava.modeling_llava import LlavaCausalLMOutputWithPast, LlavaModelOutputWithPast


class ImageTokenProcessor(ProcessorMixin):
    """Processes images, and puts what `replace_image_token` gives in the place of each image's placeholder.

    Args:
        image_processor: of the model.
        tokenizer: of the language model, with `image_token` among its tokens.
        chat_template: how messages are written; None takes the tokenizer's.
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


class PortedPreTrainedModel(PreTrainedModel):
    """What the models below tell Transformers about themselves."""

    base_model_prefix = "model"
    input_modalities = ("image", "text")  # type: ignore[assignment]
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True


class PortedModel(PortedPreTrainedModel):
    """Encoders and the language model (`language_model`) without its head; `get_image_features` is the port's."""

    language_model: Any
    get_image_features: Any

    def language_inputs(self, found: Any, is_image: Tensor) -> dict[str, Any]:
        """What else the language model is given: of what `get_image_features` found, and where its tokens are."""
        return {}

    def forward(
        self,
        images: Sequence[Tensor | None] = (),
        input_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> LlavaModelOutputWithPast:
        """Puts the image tokens where `input_ids` holds `image_token_id`, and runs the language model.

        Images are read only where there are placeholders: not when generation goes on from a cache.

        Args:
            images: what `get_image_features` takes, in its order.
            input_ids, past_key_values, inputs_embeds: as of Transformers' models.
            kwargs: of the language model.

        Raises:
            ValueError: neither or both of `input_ids` and `inputs_embeds`, images without `input_ids`, some of their
                tensors and not all, or another number of placeholders than of image tokens.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("expected either input_ids or inputs_embeds")
        given = any(each is not None for each in images)
        image_tokens = None
        if input_ids is not None:
            is_image = input_ids == self.config.image_token_id
            inputs_embeds = self.get_input_embeddings()(input_ids.masked_fill(is_image, 0))
            goes_on = past_key_values is not None and past_key_values.get_seq_length() > 0
            if given and (is_image.any() or not goes_on):
                found = self.get_image_features(*images)
                image_tokens = torch.cat(list(found.pooler_output)).to(inputs_embeds.device, inputs_embeds.dtype)
                if int(is_image.sum()) != len(image_tokens):
                    raise ValueError(
                        f"the prompt has {int(is_image.sum())} image placeholders for {len(image_tokens)} image tokens"
                    )
                inputs_embeds = inputs_embeds.masked_scatter(is_image[..., None], image_tokens)
                kwargs |= self.language_inputs(found, is_image)
        elif given:
            raise ValueError("pixel values need input_ids, which say where the image is")
        outputs = self.language_model(inputs_embeds=inputs_embeds, past_key_values=past_key_values, **kwargs)
        return LlavaModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=image_tokens,
        )


class PortedForConditionalGeneration(PortedPreTrainedModel, GenerationMixin):
    """A port with its language model's head. Its `forward` names the tensors that the processor makes."""

    model_class: ClassVar[type[PortedModel]]
    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = self.model_class(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]

    def get_image_features(self, *arguments: Any, **options: Any) -> Any:
        """See the model without its head."""
        return self.model.get_image_features(*arguments, **options)

    def read(self, labels: Tensor | None, logits_to_keep: int | Tensor, **inputs: Any) -> LlavaCausalLMOutputWithPast:
        """Logits of the next token, and with `labels` the loss.

        Args:
            labels: (batch, kept places) ids of the tokens, -100 where none counts.
            logits_to_keep: how many last places get logits (0: all), or which.
            inputs: of the model without its head.
        """
        outputs = self.model(**inputs)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.text_config.vocab_size)
        return LlavaCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
        )


class FeedForward(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, width: int, hidden_width: int, out_width: int, *, bias: bool = True) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, hidden_width, bias=bias)
        self.linear_2 = nn.Linear(hidden_width, out_width, bias=bias)

    def forward(self, values: Float[Tensor, "*shape _"]) -> Float[Tensor, "*shape _"]:
        result: Float[Tensor, "*shape _"] = self.linear_2(functional.gelu(self.linear_1(values)))
        return result


class ConvNextStages(ConvNextModel):
    """What each stage of a ConvNeXt puts out."""

    def __init__(self, config: ConvNextConfig) -> None:
        super().__init__(config)
        self.layernorm = nn.Identity()  # type: ignore[assignment] # of the pooled output, which nobody reads

    def forward(self, pixel_values: Tensor, **_: Any) -> Any:
        """A map (images, channels, rows, columns) for each stage; those of the first are a patch in size."""
        features = self.embeddings(pixel_values)
        maps = []
        for stage in self.encoder.stages:
            features = stage(features)
            maps.append(features)
        return maps


CLIP_LARGE: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "projection_dim": 768,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
}
"""CLIP ViT-L/14 at 336 pixels, which all published models have."""


def text_configuration(given: Any) -> PreTrainedConfig:
    """The configuration of a language model, given as such, as a dictionary, or as None: a Llama."""
    if isinstance(given, PreTrainedConfig):
        return given
    text = {"model_type": "llama", **(given or {})}
    return CONFIG_MAPPING[text["model_type"]](**text)


def pad_to_square(image: UInt8[np.ndarray, "channels height width"], color: Any) -> UInt8[np.ndarray, "channels _ _"]:
    """The image in the middle of a square of one color (0 to 255 for each channel)."""
    channels, height, width = image.shape
    side = max(height, width)
    square = np.empty((channels, side, side), image.dtype)
    square[:] = np.array(color, image.dtype)[:, None, None]
    top, left = (side - height) // 2, (side - width) // 2
    square[:, top : top + height, left : left + width] = image
    return square
