"""Draws docs/demo.jpg, the picture of the README: python docs/generate_picture.py"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from wherelook.cli.demo import QUESTIONS, photographs
from wherelook.explain import Explainer
from wherelook.models.zoo import PHOTOS

HEIGHT, GAP, CAPTION = 300, 16, 84


def panel(picture: Image.Image, lines: list[str]) -> Image.Image:
    """A picture with its caption below."""
    shown = picture.resize((round(picture.width * HEIGHT / picture.height), HEIGHT))
    result = Image.new("RGB", (shown.width, HEIGHT + CAPTION), "white")
    result.paste(shown, (0, 0))
    for row, line in enumerate(lines):
        ImageDraw.Draw(result).text((4, HEIGHT + 8 + 24 * row), line, fill="black", font=ImageFont.load_default(18))
    return result


def main() -> None:
    pictures = photographs()
    explainer = Explainer.from_pretrained(PHOTOS, device="cpu")
    panels = []
    for file, question in QUESTIONS.values():
        explanation = explainer.explain(pictures[file], question, preset="fast", replay_steps=0)
        reliance = f"{explanation.status}, reliance {explanation.reliance['score']:.2f}"
        panels.append(panel(explanation.overlay(), [question, explanation.answer, reliance]))
    rows = [panels[:2], panels[2:]]
    width = max(sum(one.width for one in row) + GAP * (len(row) - 1) for row in rows)
    demo = Image.new("RGB", (width, len(rows) * (HEIGHT + CAPTION)), "white")
    for down, row in enumerate(rows):
        across = 0
        for picture in row:
            demo.paste(picture, (across, down * (HEIGHT + CAPTION)))
            across += picture.width + GAP
    demo.save(Path(__file__).with_name("demo.jpg"), quality=88, optimize=True)


if __name__ == "__main__":
    main()
