"""A run from Python: samples, methods, metrics, judge and baseline as names, objects or functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow

from wherelook.attribution import split_method
from wherelook.data.datasets import DRAWN, Sample, read_samples
from wherelook.errors import InputError, unknown_name
from wherelook.evaluation.method_spec import MethodSpec, parse_methods
from wherelook.evaluation.rows import called
from wherelook.evaluation.run import Extent, Tally, execute
from wherelook.evaluation.run_folder import open_run, read_run
from wherelook.evaluation.worker import ModelWorker, Procedure
from wherelook.explain import Explainer
from wherelook.explanation.versions import versions
from wherelook.models import Model
from wherelook.models.zoo import default_model

if TYPE_CHECKING:
    from wherelook.config import MethodLike


def run(
    samples: str | Iterable[Sample],
    out: str | PathLike[str],
    *,
    model: Explainer | Model | str | None = None,
    methods: Sequence[MethodLike | MethodSpec] = ("guided-igos",),
    progress: Callable[[Tally], None] | None = None,
    **options: Any,
) -> pyarrow.Table:
    """Asks and explains every sample in this process: `wherelook run`, with functions where the command takes names.

    The same call resumes what was interrupted; methods, answers, stability and sanity checks are added to what is
    there.

    Args:
        samples: a dataset as `wherelook run` takes it, or samples.
        out: the folder of the run.
        model: an explainer, its model, or what `Explainer.from_pretrained` takes; None takes `photos`, and `embedded`
            for drawn scenes.
        methods: METHOD[:PRESET], methods or functions, see `wherelook.config.ExplainConfig`.
        progress: called with a `Tally` after every sample.
        options: fields of `Procedure` (metrics, judge, baseline, seed and more) and of `Extent` (limit, answers and
            more).

    Returns:
        All rows of the run, see docs/runs.md; `.to_pandas()` makes a frame of them.

    Raises:
        InputError: a wrong option, or the folder holds another run.
        WherelookError: the dataset is broken at some place, or the disk is full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     rows = run("scenes", folder, methods=["center"], metrics=["pointing"], limit=2)
        >>> rows.num_rows, rows["status"].to_pylist()
        (2, ['ok', 'ok'])
    """
    of_procedure, of_extent = ({one.name for one in fields(kind)} for kind in (Procedure, Extent))
    for name in options:
        if name not in of_procedure | of_extent:
            raise unknown_name("option", name, sorted(of_procedure | of_extent))
    specs = tuple(dict.fromkeys(itertools.chain.from_iterable(map(_specs, methods))))
    named = {"dataset": samples if isinstance(samples, str) else "samples"}
    procedure = Procedure(**named | {name: options[name] for name in of_procedure & set(options)}, methods=specs)
    extent = Extent(**{name: options[name] for name in of_extent & set(options)})
    given = samples
    if not isinstance(samples, str):  # a run reads them several times
        given = list(itertools.islice(samples, extent.limit))
    if model is None:
        model = default_model(drawn=named["dataset"] in DRAWN)
    if isinstance(model, str):
        model = Explainer.from_pretrained(model)
    asked = model.model if isinstance(model, Explainer) else model
    if isinstance(samples, str) and samples in DRAWN and extent.limit is None and extent.answers is None:
        raise InputError(f"{samples!r} is drawn as needed and has no end: say how many samples (limit) or answers")
    if extent.sanity and asked.weights is None:
        raise InputError("sanity checks shuffle weights, and those of this model are out of reach: leave them out")
    configuration = {"model": called(asked.description), "loading": {}, **procedure.record}
    with open_run(Path(out), configuration, versions()) as folder:
        tally = execute(
            lambda: read_samples(given), folder, lambda: ModelWorker(procedure, asked), extent=extent, progress=progress
        )
    if tally.failure is not None:
        raise tally.failure
    return read_run(Path(out))[1]


def _specs(method: MethodLike | MethodSpec) -> list[MethodSpec]:
    if isinstance(method, MethodSpec):
        return [method]
    if isinstance(method, str):
        return parse_methods(method)
    return [MethodSpec(*split_method(method))]
