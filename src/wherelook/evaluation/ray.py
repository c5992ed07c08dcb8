"""How samples reach workers on a Ray cluster, or on this machine alone as if it were one.

Every worker is an actor with a model of its own. It holds few tasks at a time, so a data set streams through whatever
its length. A worker that dies is replaced and its tasks go to others; a task that costs two workers is given up.

Ray's own pools do not know when to give up: `ray.util.ActorPool` goes on with one actor fewer and does not tell which
task it died at; Ray Data hands a task that ends its worker to the next one without end.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from wherelook.errors import InputError, WherelookError, how_to_install
from wherelook.evaluation.local import Finished, Task, Worker, most_threads, threads_of_worker
from wherelook.explanation.versions import versions

IN_FLIGHT = 2
"""Tasks that a worker holds: the one it is at, and the next, so that it need not wait for the network."""

DEATHS_OF_TASK = 2
"""Workers that a task may cost before it is given up."""

DEATHS_PER_WORKER = 4
"""Workers that may die, for each there is, with nothing finished in between."""

STRAGGLING = 3.0
"""Times the mean duration of a task, after which an idle worker may do it too."""

LOOK_EVERY = 1.0
"""Seconds between looks for stragglers."""

OBJECT_STORE = 200 * 2**20
"""Bytes of shared memory that Ray may take on this machine. A task is a question and where its image is."""

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would report to its makers
    "RAY_DEDUP_LOGS_SKIP_REGEX": "(?s).*",  # its remarks on dead workers would go to standard output
}

CONNECT_SECONDS = 10.0


def execute_ray(
    tasks: Iterable[Task],
    make_worker: Callable[[], Worker],
    *,
    workers: int = 1,
    accept: Callable[[Mapping[str, Any]], None],
    address: str | None = None,
    gpus_per_worker: float | None = None,
) -> Iterator[Finished]:
    """On a Ray cluster; see `wherelook.evaluation.local.Engine`. A connection that this process has already is used.

    Args:
        address: HOST:PORT of the cluster, or "auto" for the one that this machine belongs to; None starts Ray on this
            machine and stops it at the end.
        gpus_per_worker: below 1 several workers share one; above 1 whole numbers. None takes 1 where there are GPUs.

    Raises:
        InputError: Ray is missing, no cluster answers, it has no room for a worker, or its packages are others.
        WherelookError: a worker could not be made, one sample after another costs workers, or a device failed twice.
    """
    threads = most_threads()  # before Ray sets the variable for its own processes
    with _connected(address, workers):
        pool = _Pool(
            make_worker=make_worker, workers=workers, accept=accept, gpus=_gpus(gpus_per_worker), threads=threads
        )
        try:
            yield from pool.finish(iter(tasks))
        finally:
            pool.close()


@contextlib.contextmanager
def _connected(address: str | None, workers: int) -> Iterator[None]:
    if importlib.util.find_spec("ray") is None:
        raise InputError(f"--engine ray needs Ray: {how_to_install('ray')}")
    if address is not None:
        _check_address(address)
    with _environment(ENVIRONMENT):
        import ray

        if ray.is_initialized():
            yield
            return
        quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        try:
            if address is None:
                ray.init(
                    "local",
                    num_cpus=workers,  # each takes one: all find room
                    object_store_memory=OBJECT_STORE,
                    include_dashboard=False,
                    **quiet,
                )
            else:
                ray.init(address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = "on this machine" if address is None else f"at {address!r}"
            raise InputError(f"no Ray cluster {where}: {' '.join(str(error).split())[:300]}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Ray itself tries for minutes, then ends the process."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"--ray-address {address!r}: expected HOST:PORT, or auto on a machine of the cluster")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise InputError(f"no Ray cluster answers at {address!r}: {error.strerror or error}") from error


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _gpus(wanted: float | None) -> float:
    """GPUs for each worker."""
    import ray

    most = max((node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
    if wanted is None:
        return min(1.0, most)
    if wanted < 0 or (wanted > 1 and wanted != int(wanted)):
        raise InputError(f"--gpus-per-worker {wanted:g}: expected a share from 0 to 1, or a whole number")
    if wanted > most:
        raise InputError(f"--gpus-per-worker {wanted:g}: no machine of the cluster has more than {most:g}")
    return wanted


class _Actor:
    """A worker's process."""

    def start(
        self, make_worker: Callable[[], Worker], sharing: int, most: int | None, expected: Mapping[str, Any]
    ) -> Any:
        """What the worker says of itself, or the error that keeps it from working."""
        torch.set_num_threads(threads_of_worker(sharing, most))
        found = versions()
        if found != expected:
            return InputError(f"the cluster has other packages: {found}, here: {dict(expected)}; install the same")
        try:
            self.worker = make_worker()
        except WherelookError as error:
            return error
        return self.worker.about

    def work(self, task: Task, given_up: str | None) -> Finished | WherelookError:
        try:
            return self.worker(task) if given_up is None else self.worker.give_up(task, given_up)
        except WherelookError as error:
            return error


@dataclass(eq=False)
class _Attempt:
    """A task on its way. Once it is in doubt (a worker died at it) it is alone with a worker, so that it is it."""

    task: Task
    sent: float = 0.0
    copies: int = 0
    deaths: int = 0
    done: bool = False


class _Pool:
    def __init__(
        self,
        make_worker: Callable[[], Worker],
        workers: int,
        accept: Callable[[Mapping[str, Any]], None],
        gpus: float,
        threads: int | None,
    ) -> None:
        import ray

        self.ray: Any = ray
        self.accept = accept
        self.workers = workers
        # Ray would do nothing again by itself: what is lost is known here.
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        self.actor: Any = ray.remote(_Actor).options(**options)
        nodes = sum(node["Alive"] for node in ray.nodes())
        self.start_with = (ray.put(make_worker), math.ceil(workers / nodes), threads, versions())
        self.calls: dict[Any, tuple[Any, _Attempt | None]] = {}  # in the order they were made; None: it is starting
        self.held: dict[Any, list[_Attempt]] = {}  # by every worker that has started, the first being worked at
        self.again: deque[_Attempt] = deque()
        self.exhausted = False
        self.deaths = 0
        self.finished, self.seconds = 0, 0.0
        for _ in range(workers):
            self._start()

    def finish(self, source: Iterator[Task]) -> Iterator[Finished]:
        """Rows of all tasks."""
        while True:
            self._fill(source)
            if self.exhausted and not self.again and all(a.done for held in self.held.values() for a in held):
                return
            ready, _ = self.ray.wait(list(self.calls), timeout=LOOK_EVERY)
            for call in ready:
                result = self._receive(call)
                if result is not None:
                    yield result

    def close(self) -> None:
        """Ends all workers."""
        for actor in {*self.held, *(actor for actor, _ in self.calls.values())}:
            self.ray.kill(actor)

    def _start(self) -> None:
        actor = self.actor.remote()
        self.calls[actor.start.remote(*self.start_with)] = actor, None

    def _fill(self, source: Iterator[Task]) -> None:
        for actor, held in self.held.items():
            while len(held) < IN_FLIGHT and not any(attempt.deaths for attempt in held):
                attempt = self._next(source, idle=not held)
                if attempt is None:
                    break
                attempt.sent, attempt.copies = time.monotonic(), attempt.copies + 1
                held.append(attempt)
                given_up = f"{attempt.deaths} workers died at it" if attempt.deaths >= DEATHS_OF_TASK else None
                self.calls[actor.work.remote(attempt.task, given_up)] = actor, attempt

    def _next(self, source: Iterator[Task], idle: bool) -> _Attempt | None:
        if self.again:
            return self.again.popleft() if idle or not self.again[0].deaths else None
        task = None if self.exhausted else next(source, None)
        if task is not None:
            return _Attempt(task)
        self.exhausted = True
        return self._straggler() if idle else None

    def _straggler(self) -> _Attempt | None:
        """What has been under way for longest, if that is long and nobody else does it."""
        if not self.finished:
            return None
        latest = time.monotonic() - STRAGGLING * self.seconds / self.finished
        waiting = (attempt for held in self.held.values() for attempt in held)
        slow = [a for a in waiting if a.copies == 1 and not a.deaths and not a.done and a.sent < latest]
        return min(slow, key=lambda attempt: attempt.sent, default=None)

    def _receive(self, call: Any) -> Finished | None:
        errors = self.ray.exceptions
        actor, attempt = self.calls.pop(call)
        try:
            message = self.ray.get(call)
        except errors.RayTaskError as error:
            if not isinstance(error, errors.RaySystemError):
                raise  # a mistake in the code, with its traceback
            raise WherelookError(
                f"a machine of the cluster cannot read what it is sent: {str(error).strip().splitlines()[-1].strip()}; "
                "install the same packages there"
            ) from error
        except errors.RayError as error:
            self._lost(actor, error)
            return None
        if attempt is None:
            if isinstance(message, WherelookError):
                raise message
            self.accept(message)
            self.held[actor] = []
            return None
        if isinstance(message, WherelookError):  # its device failed; another one may not
            self._lost(actor, message)
            return None
        self.held[actor].remove(attempt)
        attempt.copies -= 1
        if attempt.done:
            return None
        attempt.done, self.deaths = True, 0
        self.finished, self.seconds = self.finished + 1, self.seconds + time.monotonic() - attempt.sent
        result: Finished | None = message
        return result

    def _lost(self, actor: Any, error: Exception) -> None:
        """Replaces a worker, and gives what it held to others.

        Raises:
            WherelookError: that would not end, or the device fails at this task again.
        """
        self.ray.kill(actor)
        self.calls = {call: (of, attempt) for call, (of, attempt) in self.calls.items() if of is not actor}
        lost = self.held.pop(actor, [])
        if lost:  # it was at the first
            lost[0].deaths += 1
            if isinstance(error, WherelookError) and lost[0].deaths >= DEATHS_OF_TASK:
                raise error
        for attempt in lost:
            attempt.copies -= 1
            if not attempt.done and not attempt.copies:
                self.again.append(attempt)
        self.deaths += 1
        if self.deaths >= DEATHS_PER_WORKER * self.workers:
            raise WherelookError(
                f"{self.deaths} workers died and nothing was finished in between (often for lack of memory: fewer "
                f"--workers, or more --gpus-per-worker), the last one: {' '.join(str(error).split())[:300]}; what is "
                "finished is kept: the same command goes on"
            ) from error
        self._start()
