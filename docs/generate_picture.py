"""Draws docs/demo.jpg, the picture of the README: python docs/generate_picture.py"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wherelook.data.scenes import DEMO_QUESTIONS, DEMO_SEED, make_scene
from wherelook.explain import Explainer
from wherelook.models.zoo import THINGS

SIDE, GAP, CAPTION = 448, 16, 84


def panel(picture: Image.Image, lines: list[str]) -> Image.Image:
    """A picture with its caption below."""
    result = Image.new("RGB", (SIDE, SIDE + CAPTION), "white")
    result.paste(picture, (0, 0))
    for row, line in enumerate(lines):
        ImageDraw.Draw(result).text((4, SIDE + 8 + 24 * row), line, fill="black", font=ImageFont.load_default(18))
    return result


def main() -> None:
    scene = make_scene(DEMO_SEED, size=(SIDE, SIDE), world=THINGS)
    explainer = Explainer.from_pretrained(THINGS, device="cpu")
    panels = []
    for question in DEMO_QUESTIONS.values():
        explanation = explainer.explain(np.asarray(scene.image), question, replay_steps=0)
        reliance = f"{explanation.status}, reliance {explanation.reliance['score']:.2f}"
        panels.append(panel(explanation.overlay(), [question, explanation.answer, reliance]))
    width = len(panels) * SIDE + (len(panels) - 1) * GAP
    demo = Image.new("RGB", (width, SIDE + CAPTION), "white")
    for index, picture in enumerate(panels):
        demo.paste(picture, (index * (SIDE + GAP), 0))
    demo.save(Path(__file__).with_name("demo.jpg"), quality=88, optimize=True)


if __name__ == "__main__":
    main()
