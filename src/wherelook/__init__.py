"""wherelook: where does a vision-language model look when it answers?

explainer = wherelook.Explainer.from_pretrained("llava-hf/llava-1.5-7b-hf")
e = explainer.explain("image.jpg", "What color is the car?")
e.answer; e.heatmap; e.status; e.save("out/")
rows = wherelook.run("scenes", "run/", model=explainer, limit=20)
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from wherelook.errors import InputError, WherelookError

if TYPE_CHECKING:
    from wherelook.data.sample import Sample
    from wherelook.evaluation.run_samples import run
    from wherelook.explain import Explainer
    from wherelook.explanation import Explanation

__version__ = version("wherelook")
__all__ = ["Explainer", "Explanation", "InputError", "Sample", "WherelookError", "__version__", "run"]


_HOMES = {
    "Explainer": "wherelook.explain",
    "Explanation": "wherelook.explanation",
    "Sample": "wherelook.data.sample",
    "run": "wherelook.evaluation.run_samples",
}


def __getattr__(name: str) -> Any:
    # Torch and Transformers take seconds to import: only when they are needed.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'wherelook' has no attribute {name!r}")
