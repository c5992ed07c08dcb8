"""Black-box models: a server that tells the log-probabilities of a given answer, and nothing of its inside."""

from wherelook.models.endpoint.model import EndpointModel
from wherelook.models.endpoint.score import EndpointScore

__all__ = ["EndpointModel", "EndpointScore"]
