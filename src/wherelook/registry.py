"""Names of one kind of thing (methods, metrics, baselines, datasets, judges, models): ours, and other packages'."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from wherelook.errors import InputError, WherelookError, unknown_name

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """What there is of one kind, by name: what this package has, then what installed packages name in an entry point.

    A package adds to it in its pyproject.toml, without a change here:

        [project.entry-points."wherelook.methods"]
        my-method = "my_package.methods:my_method"

    What an entry point names is imported when it is asked for, and never before. Ours come first: a name that we have
    cannot be taken.

    Args:
        kind: what errors call one of them.
        group: of the entry points.
        ours: by name.
        take: makes one of what an entry point holds: (name, object); raises InputError where it cannot.

    Example:
        >>> from wherelook.errors import InputError
        >>> judges = Registry("judge", "wherelook.judges", {"exact": str.__eq__}, lambda name, found: found)
        >>> list(judges)[0]
        'exact'
        >>> judges.find("exakt")
        Traceback (most recent call last):
        wherelook.errors.InputError: unknown judge 'exakt'; valid: exact
    """

    def __init__(self, kind: str, group: str, ours: Mapping[str, T], take: Callable[[str, Any], T]) -> None:
        self.kind, self.group, self.ours, self._take = kind, group, ours, take
        self._taken: dict[str, T] = {}

    @cached_property
    def others(self) -> Mapping[str, tuple[EntryPoint, ...]]:
        """What other packages name, by name: more than one entry point where packages took the same name."""
        found: dict[str, tuple[EntryPoint, ...]] = {}
        for point in sorted(entry_points(group=self.group), key=_package):
            found[point.name] = (*found.get(point.name, ()), point)
        return found

    def __iter__(self) -> Iterator[str]:
        yield from self.ours
        yield from (name for name in self.others if name not in self.ours)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.ours or name in self.others

    def __getitem__(self, name: str) -> T:
        """What has the name.

        Raises:
            KeyError: nothing has.
            WherelookError: what another package names cannot be imported, or two packages name it.
            InputError: it is nothing of this kind.
        """
        if name in self.ours:
            return self.ours[name]
        if name not in self._taken:
            first, *more = self.others[name]
            if more:
                packages = ", ".join(map(_package, (first, *more)))
                raise WherelookError(f"several packages have a {self.kind} {name!r}: {packages}; uninstall all but one")
            try:
                found = first.load()
            except Exception as error:  # anything may happen while a stranger's module is imported
                raise WherelookError(
                    f"the {self.kind} {name!r} of {_package(first)} cannot be imported from {first.value}: "
                    f"{type(error).__name__}: {error}"
                ) from error
            self._taken[name] = self._take(name, found)
        return self._taken[name]

    def find(self, name: str) -> T:
        """What has the name.

        Raises:
            InputError: nothing has; the message lists the names.
            WherelookError: see `__getitem__`.
        """
        if name not in self:
            raise unknown_name(self.kind, name, list(self))
        return self[name]

    def name_of(self, value: Any) -> str | None:
        """The name of one of them, known by identity; None for anything else. Nothing is imported for it."""
        known = {**self._taken, **self.ours}
        return next((name for name, one in known.items() if one is value), None)

    def usable(self, warn: Callable[[str], None]) -> dict[str, T]:
        """All of them that can be imported. `warn` is told of the others, and of names that were taken already."""
        found = {}
        for name in self:
            try:
                found[name] = self[name]
            except WherelookError as error:
                warn(str(error))
        for name in self.others:
            if name in self.ours:
                packages = ", ".join(map(_package, self.others[name]))
                warn(f"the {self.kind} {name!r} of {packages} is left out: wherelook has one of this name")
        return found


def _package(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def check_call(kind: str, function: Any, form: str, *arguments: Any, **named: Any) -> None:
    """Raises InputError unless a value can be called so; `form` is how the error writes the call."""
    name = called(function)
    if not callable(function):
        raise InputError(f"{kind} {name!r} is no function {name}{form}")
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError as error:
        raise InputError(f"{kind} {name!r} cannot be called as {name}{form}: {error}") from None
    except ValueError:  # some compiled functions do not tell what they take
        pass


def called(value: Any) -> str:
    """What a record calls a function of the user's: its name, or that of its type."""
    return str(getattr(value, "__name__", type(value).__name__))


def first_line(value: Any) -> str:
    """The first line of a function's docstring, or its name."""
    text = getattr(value, "__doc__", None) if callable(value) and not isinstance(value, type) else None
    return (text or "").strip().splitlines()[0] if (text or "").strip() else called(value)
