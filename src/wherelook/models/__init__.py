"""Adapters: what turns a model into the score function that methods see. The only layer that knows Transformers."""

from wherelook.models.hf import VisionLanguageModel
from wherelook.models.loading import EMBEDDED

__all__ = ["EMBEDDED", "VisionLanguageModel"]
