"""Which model families work with wherelook, measured: each one built tiny, with random weights, and explained."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as OutOfTime
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np
import torch
from tools.families import FAMILIES, VARIANTS, build, missing_package

from wherelook.check import PICTURE_SIZE, QUESTION, Finding, check_model, test_picture
from wherelook.cost import PeakMemory
from wherelook.errors import InputError, WherelookError
from wherelook.explain import Explainer
from wherelook.models import VisionLanguageModel
from wherelook.models.catalogue import family_classes, is_encoder_decoder
from wherelook.score import Progress

ANSWER = "The green star is left of the ring."
SECONDS = 120.0
"""A family that takes longer is stopped; the slowest one known takes a few."""
BYTES = 8 * 2**30
"""Data that the process which measures may hold. Its libraries take about half a gigabyte, a family some megabytes."""


@dataclass(frozen=True)
class FamilyReport:
    """One row of the coverage table.

    Attributes:
        family: the `model_type` of its configuration.
        model_class: what `AutoModelForImageTextToText` makes of it.
        works: every check passed and an answer was explained, token by token.
        reason: what failed first; empty where all works.
        checks: what `wherelook check` measures, and the explanation. Empty where no model could be built.
        peak_bytes: memory of the process at its highest, above what it held before the model was built.
    """

    family: str
    model_class: str
    works: bool
    reason: str
    checks: tuple[Finding, ...] = ()
    peak_bytes: int = 0


def verify_families(
    names: Sequence[str] | None = None, *, seconds: float = SECONDS, progress: Progress | None = None
) -> Iterator[FamilyReport]:
    """Measures one family after the other in a process beside this one; none of them can end the run.

    Args:
        names: which families; None takes all that the installed Transformers knows.
        seconds: the longest that one may take.
        progress: called as progress(stage, done, total).

    Raises:
        InputError: a name that is no family.
        WherelookError: the other process cannot be started.
    """
    classes = dict(sorted((family_classes() | VARIANTS).items()))
    names = list(classes) if names is None else list(names)
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise InputError(f"no model family {unknown[0]!r}; `wherelook models` lists them")
    pool: ProcessPoolExecutor | None = None
    try:
        for done, name in enumerate(names):
            if progress:
                progress("verify", done, len(names))
            reason = obstacle(name)
            if reason:
                yield FamilyReport(name, classes[name], False, reason)
                continue
            pool = _start() if pool is None else pool
            try:
                yield pool.submit(verify_family, name, classes[name]).result(timeout=seconds)
                continue
            except OutOfTime:
                reason = f"took longer than {seconds:g} seconds"
                for process in list(pool._processes.values()):
                    process.kill()
            except BrokenProcessPool:
                reason = "the process that measured it died, perhaps for want of memory"
            pool.shutdown(cancel_futures=True)
            pool = None
            yield FamilyReport(name, classes[name], False, reason)
        if progress:
            progress("verify", len(names), len(names))
    finally:
        if pool is not None:
            pool.shutdown()


def _start() -> ProcessPoolExecutor:
    """A process that is up, its imports done, before the first family's clock starts."""
    # Not forked: a copy of a process with threads may wait forever for a lock that one of them held.
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    try:
        pool.submit(_limit_memory).result()
    except BrokenProcessPool as error:
        raise WherelookError("the process that measures the families could not be started") from error
    return pool


def verify_family(name: str, model_class: str) -> FamilyReport:
    """Builds a family's tiny model, checks it and explains one answer of it, in this process."""
    memory = PeakMemory(torch.device("cpu"))
    before = memory.bytes()
    try:
        model = VisionLanguageModel(*build(name), identifier=name)
        checks = [*check_model(model)]
        if all(check.passed for check in checks):
            checks.append(_explained(model))
    except Exception as error:  # a row never ends the run
        return FamilyReport(name, model_class, False, _one_line(error))
    reason = next((f"{check.name}: {check.measured}" for check in checks if not check.passed), "")
    return FamilyReport(name, model_class, not reason, reason, tuple(checks), memory.bytes() - before)


def _explained(model: VisionLanguageModel) -> Finding:
    """An explanation of a given answer, with a map for each token that rests on the image.

    Not of a generated one: random weights generate the same word over and over, which may not rest on the image at all.
    """
    explanation = Explainer(model).explain(
        test_picture(PICTURE_SIZE),
        QUESTION,
        answer=ANSWER,
        preset="fast",
        baseline="mean",  # a blurred picture is too much like this smooth one
        alpha=0.0,
        per_token=True,
        replay_steps=0,
    )
    maps = [explanation.heatmap, *(token.heatmap for token in explanation.token_maps)]
    fine = all(np.isfinite(heatmap).all() and heatmap.any() for heatmap in maps) and len(maps) > 1
    return Finding("explanation", fine, f"{explanation.status}, with maps of {len(maps) - 1} tokens")


def obstacle(family: str) -> str | None:
    """Why no tiny model of a family can be built here; None where one can be tried."""
    package = missing_package(family)
    if package is not None:
        return f"needs {package}, which is not installed"
    if family in FAMILIES:
        return None
    if is_encoder_decoder(family):
        return "an encoder-decoder model; only decoder models are supported"
    return "not tested: there is no recipe for a tiny model of it"


def _limit_memory() -> None:
    torch.set_num_threads(1)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES if hard == resource.RLIM_INFINITY else min(BYTES, hard), hard))


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
