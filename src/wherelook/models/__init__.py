"""Adapters: what turns a model into the score function that methods see. The only layer that knows Transformers."""

from wherelook.models.requirements import check_torchvision

check_torchvision()  # before the first import of Transformers

from wherelook.models.hf import VisionLanguageModel  # noqa: E402
from wherelook.models.loading import EMBEDDED  # noqa: E402

__all__ = ["EMBEDDED", "VisionLanguageModel"]
