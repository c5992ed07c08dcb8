"""Adapters: what turns a model into the score function that methods see. The only layer that knows Transformers."""

from wherelook.models.huggingface.requirements import check_torchvision

check_torchvision()  # before the first import of Transformers

from wherelook.models.endpoint import EndpointModel, EndpointScore  # noqa: E402
from wherelook.models.huggingface.model import VisionLanguageModel  # noqa: E402
from wherelook.models.huggingface.score import HuggingFaceScore  # noqa: E402
from wherelook.models.zoo import EMBEDDED  # noqa: E402

AnyModel = VisionLanguageModel | EndpointModel
"""Whoever answers: a model in this process, or one behind an address."""

AnyScore = HuggingFaceScore | EndpointScore
"""The score function of an answer of either."""

__all__ = ["EMBEDDED", "AnyModel", "AnyScore", "EndpointModel", "VisionLanguageModel"]
