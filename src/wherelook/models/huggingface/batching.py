"""How many images go through the model at once: measured, bounded, and halved when memory runs out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wherelook.errors import WherelookError

USABLE_SHARE = 0.6  # of the free memory: the rest is for the allocator's fragments and the backward pass
UNMEASURED_BATCH = 4  # images at once before the first gradient has told what one costs
CPU_BATCH_BYTES = 5 * 10**8  # a larger batch on a CPU is slower: it leaves the caches, and its pages are fetched anew
RECOMPUTED_SHARE = 2  # recomputing needs about as much again as is kept: the inside of a layer, which is not measured
FORWARD_SAVING = 4  # a forward without a graph needs at most this fraction of one with it


@dataclass
class BatchPlan:
    """Batch sizes for one model on one device. Learns from what it sees, so it is mutable.

    Attributes:
        device: where the model's input lives.
        largest: never more images than this at once.
        memory_limit: bytes that a batch may use; None takes 60 % of what is free when asked, on a CPU 0.5 GB at most.
        weights: storages (data pointers) of the model's weights, which no batch pays for.
        recompute: whether the backward pass computes layers again (`wherelook.models.speedups.checkpointing`).
        bytes_per_image: memory that the graph of one image holds; None until measured for the workload at hand.
        shrunk: images that fitted after memory ran out; None until it does.
    """

    device: torch.device
    largest: int = 16
    memory_limit: int | None = None
    weights: frozenset[int] = frozenset()
    recompute: bool = False
    bytes_per_image: int | None = None
    shrunk: int | None = None
    _workload: Hashable = None

    def begin(self, workload: Hashable) -> None:
        """Forgets what was learned from images and answers of another size."""
        if workload != self._workload:
            self.forget()
            self._workload = workload

    def forget(self) -> None:
        """Forgets all that was learned: what comes then does not depend on what came before."""
        self._workload, self.bytes_per_image, self.shrunk = None, None, None

    def size(self, *, with_graph: bool) -> int:
        """Images per batch now."""
        largest = self.largest if self.shrunk is None else min(self.largest, self.shrunk)
        if self.bytes_per_image is None:
            return 1 if with_graph else min(largest, UNMEASURED_BATCH)
        limit = self.memory_limit
        if limit is None:
            limit = int(USABLE_SHARE * free_memory(self.device))
            limit = min(limit, CPU_BATCH_BYTES) if self.device.type == "cpu" else limit
        share = 1 if with_graph else FORWARD_SAVING
        return max(1, min(largest, share * limit // max(self.bytes_per_image, 1)))

    def run(self, count: int, step: Callable[[slice], None], *, with_graph: bool) -> None:
        """Calls `step` on consecutive slices of range(count), smaller ones after running out of memory.

        `step` must not keep anything of a slice that failed.

        Raises:
            WherelookError: one image alone does not fit.
        """
        done = 0
        while done < count:
            size = min(self.size(with_graph=with_graph), count - done)
            try:
                step(slice(done, done + size))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if size == 1:
                    raise WherelookError(
                        "out of memory with a single image: use a smaller image or model, --dtype bfloat16, "
                        "or a device with more memory"
                    ) from error
                self.shrunk = size // 2
            else:
                done += size
                continue
            # Outside the handler, where the failed step's tensors are no longer referenced.
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    @contextlib.contextmanager
    def measuring(self, images: int) -> Iterator[None]:
        """Measures `bytes_per_image` from the tensors that autograd saves in the first graph built inside."""
        if self.bytes_per_image is not None:
            yield
            return
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.weights:  # a linear layer saves a view of its weight
                storages[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()  # an output that its own node saves would keep the graph alive for good

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            yield
        held = sum(storages.values()) * (RECOMPUTED_SHARE if self.recompute else 1)
        self.bytes_per_image = max(1, held // max(images, 1))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch means that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error)
    return "can't allocate memory" in text or "out of memory" in text


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated on `device`; 4 GiB where the system does not tell."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + cached
    information = Path("/proc/meminfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 4 * 2**30
