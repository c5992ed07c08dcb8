"""Which runs are over the same benchmark: a name that they were given, or the content of their data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from wherelook.data.datasets import CIRCULAR, DRAWN
from wherelook.evaluation.run_folder import read_run

Key = tuple[str, str]
"""Id and fingerprint: a sample that has changed is another one."""

OWN = ("table", "hub")
"""Readers of anybody's data: what they read is no benchmark by its reader."""


def name_benchmarks(runs: Sequence[str]) -> dict[str, str]:
    """The benchmark of every run, by the run's folder.

    It is the name that the run was given (`wherelook run --name`); else that of its reader, as in pope:FOLDER, with
    "circular" where its options are rotated; else that of its table. Data of one name are one benchmark as far as they
    have samples in common, directly or over a third run; else each is called by as much of its path as tells them
    apart.

    Args:
        runs: folders of runs.

    Raises:
        InputError, WherelookError: see `wherelook.evaluation.run_folder.read_run`.
    """
    found: dict[str, str] = {}
    by_table: dict[str, list[tuple[str, str]]] = {}
    for run in runs:
        about, _ = read_run(Path(run), ())
        name, dataset = about["configuration"].get("name"), str(about["configuration"].get("dataset", ""))
        if name or dataset in DRAWN:
            found[run] = str(name or dataset)
        else:
            by_table.setdefault(benchmark_name(dataset), []).append((run, dataset))
    for name, tables in by_table.items():
        groups = [list(range(len(tables)))] if len(tables) == 1 else _sharing([_keys(run) for run, _ in tables])
        names = [name] if len(groups) == 1 else _apart([tables[group[0]][1] for group in groups], found.values())
        found |= {tables[place][0]: names[number] for number, group in enumerate(groups) for place in group}
    return found


def benchmark_name(dataset: str) -> str:
    """A dataset's name without the place of its files: the benchmark's, but of a table or the hub its own."""
    reader, colon, _ = dataset.partition(":")
    circular = f" {CIRCULAR}" if dataset.endswith(f",{CIRCULAR}=true") or f",{CIRCULAR}=true," in dataset else ""
    if colon and reader not in OWN and len(reader) > 1:
        return f"{reader}{circular}"
    place = _place(dataset)
    return f"{PurePath(place).name or place}{circular}"


def called_alike(names: Mapping[str, str], abouts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Benchmarks that are told apart though their data have one name, as sentences."""
    apart: dict[str, set[str]] = {}
    for run, name in names.items():
        configuration = abouts[run]["configuration"]
        if not configuration.get("name") and (dataset := str(configuration.get("dataset", ""))) not in DRAWN:
            apart.setdefault(benchmark_name(dataset), set()).add(name)
    return [
        f"{', '.join(sorted(found))}: data of one name without a common sample are benchmarks of their own; "
        "`wherelook run --name` puts them together."
        for found in apart.values()
        if len(found) > 1
    ]


def _place(dataset: str) -> str:
    reader, colon, place = dataset.partition(":")
    return (place if colon and len(reader) > 1 else dataset).partition(",")[0]


def _keys(run: str) -> set[Key]:
    _, table = read_run(Path(run), ("sample", "fingerprint"))
    return set(zip(table["sample"].to_pylist(), table["fingerprint"].to_pylist(), strict=True))


def _sharing(keys: Sequence[set[Key]]) -> list[list[int]]:
    """Places of what is joined by common keys, in order."""
    groups: list[tuple[list[int], set[Key]]] = []
    for place, own in enumerate(keys):
        joined = [group for group in groups if not group[1].isdisjoint(own)]
        groups = [group for group in groups if group not in joined]
        places = sorted([place, *(one for group in joined for one in group[0])])
        groups.append((places, own.union(*(group[1] for group in joined))))
    return sorted(places for places, _ in groups)


def _apart(datasets: Sequence[str], taken: Iterable[str]) -> list[str]:
    """A name for each: the end of its path that tells it from the others, or that with a number."""
    paths = [PurePath(_place(dataset)).parts for dataset in datasets]
    length = next(
        (size for size in range(2, 1 + max(map(len, paths))) if len({path[-size:] for path in paths}) == len(paths)), 1
    )
    used, names = set(taken), []
    for dataset, path in zip(datasets, paths, strict=True):
        reader, colon, _ = dataset.partition(":")
        kind = f"{reader}:" if colon and reader not in OWN and len(reader) > 1 else ""
        name = plain = kind + "/".join(path[-length:]).replace("//", "/")
        number = 1
        while name in used:
            number += 1
            name = f"{plain} ({number})"
        used.add(name)
        names.append(name)
    return names
