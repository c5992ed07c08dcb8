"""What every HTML page of ours has in common: untrusted text is escaped, and nothing but our own style and script runs.

Questions, answers, names and messages come from files and models nobody vouches for. They reach a page only through
the template's escaping; `printable` makes characters visible that would reorder or hide text; the content security
policy of each page allows no script or style but its own, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import stat
from collections.abc import Sequence
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from wherelook.errors import WherelookError
from wherelook.hidden import HIDDEN

_INVISIBLE = {code: f"⟨U+{code:04X}⟩" for code in HIDDEN}
"""How they are spelled out. Marks of direction stay: they cannot reach beyond the element that they are in."""


def printable(value: Any) -> Any:
    """Text with characters that would reorder or hide it spelled out; other values, and markup of ours, as they are."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return value.translate(_INVISIBLE)
    return value


@cache
def environment(package: str) -> jinja2.Environment:
    """The templates beside the modules of `package`; everything put into one is escaped."""
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(partial(asset, package)),
        autoescape=True,
        finalize=printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def asset(package: str, name: str) -> Markup:
    """A file beside the modules of `package`: a template, a style or a script."""
    return Markup(resources.files(package).joinpath(name).read_text(encoding="utf-8"))


def render(package: str, template: str, styles: Sequence[tuple[str, str]], script: str = "", **values: Any) -> str:
    """A page, with its style and its script inside and allowed by its policy.

    Args:
        package: where template and script are.
        template: the name of its file.
        styles: package and name of each file of style.
        script: the name of its file; "" for none.
        values: what the template shows.
    """
    own = {"style": Markup("".join(asset(*style) for style in styles)), "script": script and asset(package, script)}
    hashes = {f"{name}_hash": policy_hash(text) for name, text in own.items()}
    return environment(package).get_template(template).render(**own, **hashes, **values)


GENERATOR = '<meta name="generator" content="wherelook">'
"""Stands in the head of every page, before its style."""


def is_page(path: Path) -> bool:
    """Whether a file is a page of ours, or empty.

    Raises:
        WherelookError: it cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # what comes out of a pipe would be waited for
            return False
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise WherelookError(f"cannot read {path}: {error.strerror or error}; name another file") from error
    return not head or GENERATOR.encode() in head


def policy_hash(text: str) -> Markup:
    """The hash by which a content security policy allows a style or a script."""
    return Markup("sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode())


def data_uri(content: bytes, kind: str) -> Markup:
    """A picture inside the page; `kind` is png or jpeg."""
    return Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
