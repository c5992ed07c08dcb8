"""A row of a table: values by the name of their column, read as what a dataset says they are."""

from __future__ import annotations

import ast
import json
import math
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, NoReturn, Protocol, runtime_checkable

from wherelook.data.boxes import Numbers
from wherelook.data.files import Files
from wherelook.data.sources import DATA_ADDRESS, ImageBytes, ImageSource, ImageText, NoImage
from wherelook.errors import WherelookError

LONGEST_ROW = 16_000_000
"""Bytes of a row of a table of text; an image in base64 fits, and a list of several."""

LONGEST_LIST = 1_000_000
"""Characters of a list that is written as text; one of images may be as long as a row."""

SHORTEST_BASE64 = 65
"""Characters of an image in base64: what is shorter names a file or another row, as in VLMEvalKit's tables."""

LONGEST_NAME = 4096
"""Characters of a path, at most."""

BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
STRUCTURE = re.compile(r"""(?:\{\s*["'}]|\[\s*(?:[\[({"'\]\d-]|$))(?!.*\.[A-Za-z]\w{1,4}$)""", re.DOTALL)
"""How a list or an object begins that is written as text; a name of a file ends otherwise."""

NOTHING = ("", "nan")
"""What tables write where there is nothing; pandas writes the second."""


@runtime_checkable
class Values(Protocol):
    """What a row is made of: a dict, or what reads a value when it is asked for."""

    def get(self, name: str, /) -> Any: ...

    def __getitem__(self, name: str, /) -> Any: ...

    def __contains__(self, name: object, /) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...


class Unreadable(Mapping[str, Any]):
    """In the place of a row's values: why there are none. Every access raises WherelookError."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __getitem__(self, name: str) -> NoReturn:
        raise WherelookError(self.reason)

    def __iter__(self) -> Iterator[str]:
        raise WherelookError(self.reason)

    def __len__(self) -> int:
        raise WherelookError(self.reason)


@dataclass(frozen=True)
class Row:
    """Values by the name of their column.

    Attributes:
        place: where it is, for errors: "questions.csv, row 3".
        values: None where there is nothing; `Unreadable` where the row is broken and the next one is not.
        number: in its table, from 1; of JSON lines the number of the line.
        span: where it begins and ends in a table of text, in bytes.
    """

    place: str
    values: Values
    number: int = 1
    span: tuple[int, int] | None = None

    def value(self, name: str) -> Any:
        """As it is in the table; None where there is nothing: no such column, null, or not a number."""
        value = self.values.get(name)
        return None if isinstance(value, float) and math.isnan(value) else value

    def text(self, name: str) -> str | None:
        """Text, None where there is none. Raises WherelookError when it is something else."""
        value = self.value(name)
        if value is not None and not isinstance(value, str):
            raise WherelookError(f"{self.place}: {name} must be text, not {shown(value)}")
        return None if value is None else self._utf8(name, value)

    def required(self, name: str) -> str:
        """Text that must be there. Raises WherelookError when it is missing or blank."""
        value = self.text(name)
        if value is None:
            raise WherelookError(f"{self.place}: {name} is missing")
        if not value.strip():
            raise WherelookError(f"{self.place}: the {name} is empty")
        return value

    def name(self, name: str) -> str | None:
        """Text or a whole number as text, None where there is none: ids and labels. Raises WherelookError otherwise."""
        value = self.value(name)
        if value is None or value == "":
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # pandas makes numbers of a column with gaps fractions
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise WherelookError(f"{self.place}: {name} must be text or a whole number, not {shown(value)}")
        return self._utf8(name, str(value))

    def required_name(self, name: str) -> str:
        """The same, that must be there."""
        value = self.name(name)
        if value is None:
            raise WherelookError(f"{self.place}: {name} is missing")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A text, or a list of them, as a tuple. Raises WherelookError when it is something else."""
        value = self.value(name)
        if value is None or value == "":
            return ()
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in items):
            raise WherelookError(f"{self.place}: {name} must be text or a list of texts, not {shown(value)}")
        return tuple(self._utf8(name, str(item)) for item in items)

    def listed(self, name: str, longest: int = LONGEST_LIST) -> Any:
        """The value, and where it is a text that writes a list, as JSON or as Python does, that list.

        Args:
            name: of the column.
            longest: characters; what is longer stays a text.

        Raises:
            WherelookError: it begins like a list and is none.
        """
        value = self.value(name)
        if not isinstance(value, str) or len(value) > longest or not value.lstrip().startswith("["):
            return value
        # Python's own reader takes a hundred times the memory; base64 has no quotes.
        for read in (json.loads, ast.literal_eval if len(value) <= LONGEST_LIST else _simple_list):
            try:
                return read(value.strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
        raise WherelookError(f"{self.place}: {name} is not a list in JSON or Python: {shown(value)}")

    def structured(self, name: str) -> Any:
        """The value, and where it is a text that writes a list or an object, as JSON or as Python does, that.

        Raises:
            WherelookError: it begins like one and is none.
        """
        value = self.value(name)
        text = value.strip() if isinstance(value, str) else ""
        if not STRUCTURE.match(text):
            return value
        for read in (json.loads, ast.literal_eval) if len(text) <= LONGEST_LIST else (json.loads,):
            try:
                return _without_tuples(read(text))
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
        raise WherelookError(f"{self.place}: {name} is no whole list or object in JSON or Python: {shown(value)}")

    def choices(self, name: str) -> tuple[str, ...]:
        """The texts of options: a list, also written as text, or texts by letter or under "text".

        Raises:
            WherelookError: it is something else, or has more options than there are letters.
        """
        value = self.listed(name)
        if isinstance(value, dict):
            letters = [letter for letter in ascii_uppercase if value.get(letter) is not None]
            value = value["text"] if "text" in value else [value[letter] for letter in letters]
        choices = Row(self.place, {name: value}).texts(name)
        if len(choices) > len(ascii_uppercase):
            raise WherelookError(f"{self.place}: {len(choices)} {name}; at most {len(ascii_uppercase)} have letters")
        return choices

    def lettered(self, columns: Mapping[str, str]) -> dict[str, str]:
        """Texts of options by their letter, from a column for each; those that hold nothing are left out.

        Args:
            columns: letter to column.
        """
        found = {letter: self.name(column) for letter, column in columns.items()}
        return {letter: text for letter, text in found.items() if text is not None and text.lower() not in NOTHING}

    def boxes(self, name: str) -> tuple[Numbers, ...]:
        """One box or a list of them, four numbers each, also written as text. Raises WherelookError otherwise."""
        value = self.listed(name)
        if value is None or value in ("", []):
            return ()
        boxes = value if isinstance(value, list) and isinstance(value[0], list) else [value]
        if not all(isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) for box in boxes):
            raise WherelookError(f"{self.place}: {name} must be four numbers, or a list of such; not {shown(value)}")
        return tuple((float(x), float(y), float(other_x), float(other_y)) for x, y, other_x, other_y in boxes)

    def image(self, name: str, files: Files) -> ImageSource:
        """The image of a column: bytes, bytes with a path (as Hugging Face's datasets keep them), base64, or a path.

        Where there is nothing it is one that cannot be loaded: a row without an image is a row.

        Raises:
            WherelookError: it is something else, or the path leads out of the folder.
        """
        value = self.value(name)
        if isinstance(value, dict):
            value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
        if value is None or (isinstance(value, str | bytes) and not value):
            return NoImage(f"{self.place}: no image ({name} is empty)")
        if isinstance(value, bytes):
            return ImageBytes(value, f"the image of {self.place}")
        if not isinstance(value, str):
            raise WherelookError(f"{self.place}: {name} must be an image or its path, not {shown(value)}")
        if is_base64(value):
            return ImageText(value, f"the image of {self.place}")
        return self.named_image(name, value, files.image)

    def named_image(self, name: str, value: str, find: Callable[[str], ImageSource]) -> ImageSource:
        """What `find` gives for a path in a column. Raises WherelookError when it leads out of the folder."""
        try:
            return find(value)
        except WherelookError as error:
            raise WherelookError(
                f"{self.place}: {shown(value)} is not a file inside the folder ({name}); if the images lie elsewhere, "
                "add ,images=DIR to the dataset's name"
            ) from error

    def _utf8(self, name: str, text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise WherelookError(
                f"{self.place}: {name} is no text that can be written as UTF-8 (half of a surrogate pair): "
                f"{ascii(text)[:100]}"
            ) from error
        return text


def row(place: str, value: Any, number: int = 1) -> Row:
    """A row from an object of JSON, or one that says that it is none."""
    if not isinstance(value, dict):
        return Row(place, Unreadable(f"{place}: expected an object, not {shown(value)}"), number)
    return Row(place, value, number)


def _without_tuples(value: Any) -> Any:
    """Lists in place of tuples, as JSON has them."""
    if isinstance(value, list | tuple):
        return [_without_tuples(item) for item in value]
    return {key: _without_tuples(item) for key, item in value.items()} if isinstance(value, dict) else value


def _simple_list(text: str) -> Any:
    """A list of texts that hold no quotes, as Python writes it. Raises ValueError where it is something else."""
    return json.loads(text.replace("'", '"'))


def is_base64(text: str) -> bool:
    """Whether a text holds an image, in base64 or as a data: address, and not a name: most names have a dot."""
    if DATA_ADDRESS.match(text[:64]) or len(text) > LONGEST_NAME:
        return True
    return len(text) >= SHORTEST_BASE64 and BASE64.fullmatch(text) is not None


def is_number(value: Any) -> bool:
    """Whether it is a number that a float can be."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def shown(value: Any) -> str:
    """A value for a message: not endless, whatever it is."""
    if isinstance(value, str | bytes):
        text = repr(value[:101])
    else:
        try:
            text = _SHOWN.repr(value)
        except (ValueError, RecursionError):  # a whole number of more than 4,300 digits
            text = f"something ({type(value).__name__})"
    return text if len(text) <= 100 else f"{text[:100]}..."


_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxlist, _SHOWN.maxdict, _SHOWN.maxstring = 4, 30, 10, 60
