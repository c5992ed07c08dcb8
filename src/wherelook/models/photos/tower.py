"""EfficientNet-lite0 as the vision tower of a LLaVA model: the names of a thousand classes, region by region."""

from __future__ import annotations

from typing import Any, no_type_check

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

BLOCKS = (
    # kernel, stride, expansion, channels out, repeats
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
"""EfficientNet-B0 (arXiv 1905.11946, table 1) as the lite variant has it: no squeeze-and-excitation, ReLU6."""

CHANNELS, CLASSES, COLORS = 1280, 1000, 6
REGIONS = ((1, 1), (2, 1), (1, 2), (2, 2))
"""(rows, columns) of the grids of regions: the whole image, top and bottom, left and right, quarters."""

PLACES = (
    "",
    *("at the top", "at the bottom", "on the left", "on the right"),
    *("at the top left", "at the top right", "at the bottom left", "at the bottom right"),
)
"""Words for the regions, in their order; none for the whole image."""


@no_type_check  # Transformers lets __init__ take more than its signature says
class LiteTowerConfig(PreTrainedConfig):
    """Configuration of `LiteTower`.

    Args:
        image_size: side of the square image in pixels, a multiple of 64.
        temperature: class scores (logits) are divided by it before the softmax; below 1 the likeliest names stand out.
        threshold: the score of seeing nothing that has a name.
    """

    model_type = "efficientnet_lite_tower"

    image_size: int = 384
    temperature: float = 0.5
    threshold: float = 5.0
    hidden_size: int = CLASSES + COLORS


class Block(nn.Module):
    """An inverted residual (MobileNetV2), its batch normalization folded into the convolutions."""

    def __init__(self, width: int, *, kernel: int, stride: int, expansion: int, out: int) -> None:
        super().__init__()
        middle = width * expansion
        self.expand = nn.Conv2d(width, middle, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(middle, middle, kernel, stride, kernel // 2 if stride == 1 else 0, groups=middle)
        self.project = nn.Conv2d(middle, out, 1)
        self.residual = stride == 1 and width == out

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) to (batch, out, height / stride, width / stride)."""
        hidden = pixels if self.expand is None else functional.relu6(self.expand(pixels), inplace=True)
        hidden = functional.relu6(self.depthwise(same_padding(hidden, self.depthwise)), inplace=True)
        projected: torch.Tensor = self.project(hidden)
        return projected + pixels if self.residual else projected


def same_padding(pixels: torch.Tensor, convolution: nn.Conv2d) -> torch.Tensor:
    """Zeros around an image as TensorFlow puts them: with a stride of 2, one more on the right and below.

    A convolution without a stride has its zeros already.
    """
    if convolution.stride[0] == 1:
        return pixels
    total = convolution.kernel_size[0] - convolution.stride[0]
    first, last = total // 2, total - total // 2
    return functional.pad(pixels, (first, last, first, last))


class LiteEncoder(nn.Module):
    """The convolutions of EfficientNet-lite0 up to its last map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2)
        width, blocks = 32, []
        for kernel, stride, expansion, out, repeats in BLOCKS:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                blocks.append(Block(width, kernel=kernel, stride=step, expansion=expansion, out=out))
                width = out
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Conv2d(width, CHANNELS, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(batch, 3, side, side) to (batch, 1280, side / 32, side / 32)."""
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        hidden = functional.relu6(self.stem(same_padding(pixels, self.stem)), inplace=True)
        for block in self.blocks:
            hidden = block(hidden)
        return functional.relu6(self.head(hidden), inplace=True)


class LiteTower(PreTrainedModel):
    """The regions of `REGIONS`, each as the shares of a thousand names, and its color.

    A spatial pyramid (Lazebnik et al. 2006): the last map is averaged over each region and classified there.
    """

    config_class = LiteTowerConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)  # type: ignore[assignment]
    _no_split_modules = ["Block"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: LiteTowerConfig) -> None:
        super().__init__(config)
        if config.hidden_size != CLASSES + COLORS or config.image_size % 64:
            raise ValueError(
                f"expected hidden_size {CLASSES + COLORS} and an image_size that is a multiple of 64, not "
                f"{config.hidden_size} and {config.image_size}: the folder was written by another version"
            )
        self.encoder = LiteEncoder()
        self.classifier = nn.Linear(CHANNELS, CLASSES)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutput:
        """(batch, 3, side, side), pixels as (value - 127) / 128, to one hidden state, (batch, regions, hidden_size)."""
        features = regions(self.encoder(pixel_values))
        colors = regions(torch.cat([pixel_values, pixel_values.square()], dim=1))
        out = self.describe(features, colors)
        return BaseModelOutput(last_hidden_state=out, hidden_states=(out,))

    def describe(self, features: torch.Tensor, colors: torch.Tensor) -> torch.Tensor:
        """Features and colors of the regions to (batch, regions, hidden_size).

        Args:
            features: (batch, regions, 1280), see `regions`.
            colors: (batch, regions, 6): means of red, green and blue, and of their squares.
        """
        scores = functional.pad(self.classifier(features), (0, 1), value=self.config.threshold)
        shares = (scores / self.config.temperature).softmax(-1)[..., :CLASSES]
        return torch.cat([shares, colors], dim=-1)


def regions(maps: torch.Tensor) -> torch.Tensor:
    """Averages over `REGIONS`: (batch, channels, side, side), the side even, to (batch, regions, channels)."""
    quarters = functional.adaptive_avg_pool2d(maps, REGIONS[-1])  # the other regions are made of them
    averages = [functional.adaptive_avg_pool2d(quarters, grid).flatten(2) for grid in REGIONS[:-1]]
    return torch.cat([*averages, quarters.flatten(2)], dim=2).transpose(1, 2)
