"""Models that Transformers does not have, and the conversion of their published weights."""
