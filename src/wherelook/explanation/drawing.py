"""Figures drawn by matplotlib, as pages and papers take them: SVG and PDF, the same bytes for the same figure.

Figures are made within `style` and without pyplot, so that nobody's settings change. Text of others passes `label`. An
artist whose gid begins with `TIP` tells the rest of it on hover.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

from wherelook import html

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

COLORS = {
    "page": "#fffffe",
    "ink": "#1b1f27",
    "quiet": "#5a6372",
    "line": "#d9dde4",
    "first": "#1f5fbf",
    "second": "#b8430b",
    **dict(zip(("cell0", "cell1", "cell2", "cell3"), ("#2f7d54", "#8cc9a4", "#e3a468", "#a8482c"), strict=True)),
    **dict(zip(("on0", "on1", "on2", "on3"), ("#fffffd", "#12301f", "#3a1f08", "#fffffc"), strict=True)),
    **{f"tile{level}": color for level, color in enumerate(
        ("#f4f7fb", "#dbe7f6", "#b9d1ee", "#8db5e3", "#5a92d4", "#2a69b8"))},
    "tile-dark": "#1b1f28",
    "tile-light": "#fffffb",
}  # fmt: skip
"""Every one different, for a page finds them by their shade, and has a lighter or a darker one: figures.css."""

TIP = "tip:"
LONGEST_LABEL = 28  # characters; what is longer loses its middle
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


@contextmanager
def style() -> Iterator[None]:
    """The settings of our figures, inside; whatever the user has set is back afterwards."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # of scripts that the font lacks
        matplotlib.rcdefaults()
        settings: dict[str, Any] = {
            "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"], "font.size": 9, "legend.fontsize": 9,
            "axes.titlesize": 10, "axes.titlelocation": "left",
            "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.grid": True,
            "grid.linewidth": 0.7, "lines.linewidth": 1.5, "legend.frameon": False,
            "figure.constrained_layout.use": True, "figure.facecolor": "none", "axes.facecolor": "none",
            "xtick.major.size": 0, "ytick.major.size": 0, "xtick.minor.size": 0,
            "text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "wherelook", "pdf.fonttype": 42,
        }  # fmt: skip
        for name in ("text.", "axes.label", "axes.title", "axes.edge", "xtick.", "ytick.", "grid."):
            settings[f"{name}color"] = COLORS[{"axes.edge": "quiet", "grid.": "line"}.get(name, "ink")]
        parameters: Any = matplotlib.rcParams
        parameters.update(settings)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches; to be called within `style`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def label(text: str, longest: int = LONGEST_LABEL) -> str:
    """Text of others on one line; one that is too long loses its middle: names of models differ at both ends."""
    text = html.printable(" ".join(text.split()))
    if len(text) <= longest:
        return text
    head = (longest - 1) // 2
    return f"{text[:head]}…{text[head + 1 - longest :]}"


def tell(artist: Artist, text: str) -> None:
    """What the artist says on hover, and to a screen reader."""
    artist.set_gid(TIP + html.printable(" ".join(text.split())))


def to_pdf(figure: Figure) -> bytes:
    """The figure as a PDF file with its fonts."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    return buffer.getvalue()


def to_svg(figure: Figure, title: str) -> bytes:
    """The figure as an SVG file; text stays text.

    Args:
        figure: made within `style`.
        title: what it shows.
    """
    result: bytes = ElementTree.tostring(_tree(figure, title), encoding="utf-8", xml_declaration=True)
    return result


def inline(figure: Figure, title: str, name: str) -> Markup:
    """The figure as a part of a page: in the page's colors, without the style attributes that its policy refuses.

    Args:
        figure: made within `style`.
        title: what it shows.
        name: unique on the page: the ids within the figure begin with it.
    """
    root = _tree(figure, title, f"{name}-")
    root.set("class", "figure")
    root.set("width", f"{float(root.get('width', '0').removesuffix('pt')) * 4 / 3:.0f}")
    del root.attrib["height"]
    for element in root.iter(f"{{{SVG}}}use"):  # HTML knows no prefixes
        element.set("href", element.attrib.pop(f"{{{XLINK}}}href"))
    text = ElementTree.tostring(root, encoding="unicode").replace(f' xmlns="{SVG}"', "", 1)
    for color, shade in COLORS.items():
        text = text.replace(f'"{shade}"', f'"var(--{color})"')
    return Markup(text)


def _tree(figure: Figure, title: str, prefix: str = "") -> ElementTree.Element:
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(buffer.getvalue())
    used = set(re.findall(rb"#(\w+)", buffer.getvalue()))
    tips = []
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
        for rule in (parent.attrib.pop("style", "") or "").split(";"):
            if rule.strip():
                key, _, value = rule.partition(":")
                parent.set(key.strip(), value.strip())
        own = parent.attrib.pop("id", "")
        if own.startswith(TIP):
            parent.insert(0, _element("title", own.removeprefix(TIP)))
            tips.append(own.removeprefix(TIP))
        elif own.encode() in used:
            parent.set("id", prefix + own)
        for key, value in parent.attrib.items():
            if key == f"{{{XLINK}}}href" or value.startswith("url(#"):
                parent.set(key, value.replace("#", f"#{prefix}", 1))
    root.attrib |= {"role": "img", "aria-label": f"{title}. {'. '.join(dict.fromkeys(tips))}".strip()}
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    root.insert(0, _element("title", title))
    return root


def _element(tag: str, text: str) -> ElementTree.Element:
    element = ElementTree.Element(f"{{{SVG}}}{tag}")
    element.text = text
    return element
