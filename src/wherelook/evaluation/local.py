"""How samples reach workers: one after another in this process, or over several processes of this machine.

An engine takes tasks from a stream as it can use them, and gives back rows in any order. It knows nothing of models,
rows or folders; `wherelook.evaluation.ray` has another of the same shape.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

import torch

from wherelook.data.datasets import Sample
from wherelook.errors import WherelookError
from wherelook.evaluation.rows import Row


@dataclass(frozen=True)
class Task:
    """What is to be done with a sample: it is asked, judged and explained.

    Attributes:
        position: its place in the dataset, from 0.
        sample: the sample.
        methods: names of those that it needs rows of; empty: all.
        answer: what the rows that it has already are about, see `wherelook.evaluation.records.storable`; None where
            there are none.
        lender: whose image may serve as the baseline; None where none may.
        partner: who lends its image or its question under a condition that needs one.
    """

    position: int
    sample: Sample
    methods: tuple[str, ...] = ()
    answer: str | None = None
    lender: Sample | None = None
    partner: Sample | None = None


@dataclass(frozen=True)
class ChangedTasks:
    """Samples whose words are to be explained again under one of `wherelook.evaluation.conditions.CONDITIONS`."""

    condition: str
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Finished:
    """The rows of a task: at least one, whatever happened; and what is to know about its prompt meanwhile."""

    rows: list[Row]
    notes: tuple[str, ...] = ()


class Worker(Protocol):
    """Turns a task into rows. What it gives back depends on the task alone, not on tasks before it.

    Attributes:
        about: what the rows depend on besides the task, as plain JSON values: the model.
    """

    about: Mapping[str, Any]

    def __call__(self, task: Task | ChangedTasks) -> Finished: ...

    def give_up(self, task: Task | ChangedTasks, error: str) -> Finished:
        """The rows of a task that cannot be done, without trying."""
        ...


Engine = Callable[..., Iterator[Finished]]
"""(tasks, make_worker, *, workers, accept) to what is finished, in any order.

tasks: an iterable, read only as far as workers need it. make_worker: () -> Worker, can be pickled. workers: how many.
accept: called here with every worker's `about` before its first result; its error ends the work.
"""


def execute_local(
    tasks: Iterable[Task | ChangedTasks],
    make_worker: Callable[[], Worker],
    *,
    workers: int = 1,
    accept: Callable[[Mapping[str, Any]], None],
) -> Iterator[Finished]:
    """On this machine: in this process if there is one worker, else each in a process of its own.

    Raises:
        WherelookError: a worker could not be made, or died; what it was at is not finished.
    """
    if workers > 1:
        yield from _over_processes(tasks, make_worker, workers, accept)
        return
    worker = make_worker()
    accept(worker.about)
    for task in tasks:
        yield worker(task)


def most_threads() -> int | None:
    """What `OMP_NUM_THREADS` allows a worker; None where it is not set, or to something else than a number."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(value)) if value.isdecimal() else None


def threads_of_worker(sharing: int, most: int | None) -> int:
    """Threads of one of `sharing` workers on this machine: its share of the processors, and no more than `most`."""
    share = max(1, (os.cpu_count() or 1) // sharing)
    return share if most is None else min(share, most)


def _over_processes(
    tasks: Iterable[Task | ChangedTasks],
    make_worker: Callable[[], Worker],
    workers: int,
    accept: Callable[[Mapping[str, Any]], None],
) -> Iterator[Finished]:
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    threads = threads_of_worker(workers, most_threads())
    source = iter(tasks)
    processes: dict[Connection, Any] = {}
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, make_worker, threads), daemon=True)
            process.start()
            theirs.close()
            processes[ours] = process
        open_connections = set(processes)
        while open_connections:
            for ready in wait(list(open_connections)):
                assert isinstance(ready, Connection)
                message = _receive(ready, processes[ready])
                if isinstance(message, Finished):
                    yield message
                else:
                    accept(message)
                task = next(source, None)
                ready.send(task)
                if task is None:
                    open_connections.remove(ready)
    finally:
        for connection, process in processes.items():
            connection.close()
            process.terminate()
        for process in processes.values():
            process.join()


def _receive(connection: Connection, process: Any) -> Any:
    try:
        message = connection.recv()
    except (EOFError, OSError):
        process.join()
        raise WherelookError(
            f"a worker process ended with exit code {process.exitcode} (-9: killed, often for lack of memory); what is "
            "finished is kept: the same command goes on, with fewer --workers if memory ran out"
        ) from None
    if isinstance(message, Exception):
        raise message
    return message


def _serve(connection: Connection, make_worker: Callable[[], Worker], threads: int) -> None:
    """A worker process: tells about its worker, then turns tasks into rows until there are none or nobody listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent ends this one
    torch.set_num_threads(threads)
    try:
        try:
            worker = make_worker()
            connection.send(worker.about)
            while (task := connection.recv()) is not None:
                connection.send(worker(task))
        except WherelookError as error:
            connection.send(error)
    except (EOFError, OSError):  # the parent died
        pass
