"""Put the glyphs of `wherelook.data.scenes.things` on one sheet of pictures.

    python training/draw_things.py NotoColorEmoji.ttf

The font is Noto Color Emoji (SIL Open Font License 1.1); the sheet was made with version 2.042 of its package in
Debian, `fonts-noto-color-emoji`.
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from wherelook.data.scenes.things import CATEGORIES, CELL, COLUMNS, THINGS

STRIKE = 109  # the one size in pixels that the font has
SIDE = 112  # longest side of a picture; the rest is room for turning it


def draw(font: ImageFont.FreeTypeFont, glyph: str) -> Image.Image:
    canvas = Image.new("RGBA", (2 * STRIKE, 2 * STRIKE))
    ImageDraw.Draw(canvas).text((STRIKE // 2, STRIKE // 2), glyph, font=font, embedded_color=True)
    found = canvas.crop(canvas.getbbox())
    scale = SIDE / max(found.size)
    return found.resize([round(side * scale) for side in found.size], Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("font", type=Path)
    font = ImageFont.truetype(str(parser.parse_args().font), STRIKE)
    glyphs = {name: glyph for names in CATEGORIES.values() for name, glyph in names.items()}
    sheet = Image.new("RGBA", (COLUMNS * CELL, -(-len(THINGS) // COLUMNS) * CELL))
    for index, name in enumerate(THINGS):
        found = draw(font, glyphs[name])
        row, column = divmod(index, COLUMNS)
        corner = (column * CELL + (CELL - found.width) // 2, row * CELL + (CELL - found.height) // 2)
        sheet.paste(found, corner)
    sheet.save(str(files("wherelook.data.scenes") / "noto" / "things.png"), optimize=True)


if __name__ == "__main__":
    main()
