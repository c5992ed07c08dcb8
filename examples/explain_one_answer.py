"""Explain one answer of the embedded model on a scene: python examples/explain_one_answer.py"""

import numpy as np

import wherelook
from wherelook.data.scenes import TUNING_SEEDS, make_scene

scene = make_scene(TUNING_SEEDS[1721], size=(448, 448))
explainer = wherelook.Explainer.from_pretrained("embedded")

explanation = explainer.explain(np.asarray(scene.image), "What is right of the circle?", per_token=True)
print(explanation.answer, "|", explanation.status, "|", explanation.reason)
for token in explanation.tokens:
    print(
        f"{token.text!r:12} loses {token.llr:6.2f} nats without the image{'  <- explained' if token.selected else ''}"
    )
print("looked at", explanation.focus)
print("files in", explanation.save("wherelook-out"))
