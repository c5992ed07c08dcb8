"""wherelook: where does a vision-language model look when it answers?

explainer = wherelook.Explainer.from_pretrained("llava-hf/llava-1.5-7b-hf")
e = explainer.explain("image.jpg", "What color is the car?")
e.answer; e.heatmap; e.status; e.save("out/")
rows = wherelook.run("scenes", "run/", model=explainer, limit=20)
"""

from __future__ import annotations

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


def __getattr__(name: str) -> Any:
    # Torch and Transformers take seconds to import: only when they are needed.
    if name == "Explainer":
        from wherelook.explain import Explainer

        return Explainer
    if name == "Explanation":
        from wherelook.explanation import Explanation

        return Explanation
    if name == "Sample":
        from wherelook.data.sample import Sample

        return Sample
    if name == "run":
        from wherelook.evaluation.run_samples import run

        return run
    raise AttributeError(f"module 'wherelook' has no attribute {name!r}")
