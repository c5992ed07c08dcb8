"""Batch sizes: measured, limited, halved."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wherelook.cost import PeakMemory
from wherelook.errors import WherelookError
from wherelook.models.huggingface.batching import BatchPlan, free_memory, is_out_of_memory

CPU = torch.device("cpu")


def test_small_steps_until_an_image_has_been_measured():
    plan = BatchPlan(CPU, largest=16)
    assert plan.size(with_graph=True) == 1
    assert 1 <= plan.size(with_graph=False) <= 16
    assert BatchPlan(CPU, largest=2).size(with_graph=False) <= 2


@pytest.mark.parametrize(
    ("limit", "with_graph", "expected"),
    [
        (1000, True, 10),
        (1000, False, 16),
        (250, True, 2),
        (99, True, 1),
        (0, True, 1),
        (1599, True, 15),
        (9999, True, 16),
    ],
)
def test_sizes_follow_the_limit(limit, with_graph, expected):
    plan = BatchPlan(CPU, largest=16, memory_limit=limit, bytes_per_image=100)
    assert plan.size(with_graph=with_graph) == expected


def test_without_a_limit_free_memory_decides():
    assert free_memory(CPU) > 2**20
    plan = BatchPlan(CPU, largest=10**9, bytes_per_image=free_memory(CPU) // 4)
    assert 1 <= plan.size(with_graph=True) <= 3
    assert BatchPlan(CPU, largest=8, bytes_per_image=free_memory(CPU) * 3).size(with_graph=True) == 1


def test_measuring_counts_each_storage_once():
    """x * x saves x twice, and the second product saves x and the first one: two storages of 8,000 bytes."""
    plan = BatchPlan(CPU)
    leaf = torch.ones(2, 1000, requires_grad=True)
    with plan.measuring(2):
        _ = leaf * leaf * leaf
    assert plan.bytes_per_image == 2 * 8000 // 2
    with plan.measuring(1):  # learnt already
        _ = leaf * leaf
    assert plan.bytes_per_image == 8000


def test_parameters_are_not_part_of_an_images_cost():
    """A linear layer saves a view of its weight, which is no `Parameter` any more."""
    with torch.random.fork_rng():
        layer = torch.nn.Linear(3, 10_000)
    plan = BatchPlan(CPU, weights=frozenset(weight.untyped_storage().data_ptr() for weight in layer.parameters()))
    leaf = torch.ones(1, 3, requires_grad=True)
    with plan.measuring(1):
        _ = layer(leaf)
    assert plan.bytes_per_image is not None
    assert plan.bytes_per_image < 1000


def test_another_workload_is_measured_anew():
    plan = BatchPlan(CPU, bytes_per_image=10, shrunk=2)
    plan.begin("small images")
    assert (plan.bytes_per_image, plan.shrunk) == (None, None)
    plan.bytes_per_image = 10
    plan.begin("small images")
    assert plan.bytes_per_image == 10


class Machine:
    """Runs slices of at most `fits` images, and remembers them."""

    def __init__(self, fits: int, error: Exception | None = None) -> None:
        self.fits = fits
        self.error = error or torch.OutOfMemoryError("CUDA out of memory")
        self.done: list[int] = []
        self.failed: list[int] = []

    def step(self, rows: slice) -> None:
        indices = list(range(rows.start, rows.stop))
        if len(indices) > self.fits:
            self.failed.append(len(indices))
            raise self.error
        self.done += indices


@given(count=st.integers(0, 40), fits=st.integers(1, 20), largest=st.integers(1, 20))
def test_every_image_is_done_once_and_in_order(count, fits, largest):
    plan = BatchPlan(CPU, largest=largest, memory_limit=10**9, bytes_per_image=1)
    machine = Machine(fits)
    plan.run(count, machine.step, with_graph=True)
    assert machine.done == list(range(count))
    assert len(machine.failed) <= 5  # halves: 20, 10, 5, 2, 1
    # What has been learnt is kept: the next run does not fail.
    machine.failed.clear()
    plan.run(count, machine.step, with_graph=False)
    assert not machine.failed


def test_one_image_that_does_not_fit():
    plan = BatchPlan(CPU, largest=4, memory_limit=10**9, bytes_per_image=1)
    machine = Machine(0)
    with pytest.raises(WherelookError, match="out of memory with a single image") as caught:
        plan.run(4, machine.step, with_graph=True)
    assert machine.failed == [4, 2, 1]
    assert caught.value.exit_code == 1
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


def test_cpu_allocation_failures_are_seen_too():
    message = "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: 1 byte"
    assert is_out_of_memory(RuntimeError(message))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    machine = Machine(2, RuntimeError(message))
    BatchPlan(CPU, largest=4, memory_limit=10**9, bytes_per_image=1).run(5, machine.step, with_graph=True)
    assert machine.done == [0, 1, 2, 3, 4]


def test_other_errors_pass_through_at_once():
    machine = Machine(0, RuntimeError("bug"))
    plan = BatchPlan(CPU, largest=4, memory_limit=10**9, bytes_per_image=1)
    with pytest.raises(RuntimeError, match="bug"):
        plan.run(4, machine.step, with_graph=True)
    assert machine.failed == [4]
    assert plan.largest == 4


def test_peak_memory_sees_what_has_been_freed_again():
    memory = PeakMemory(CPU)
    before = memory.bytes()
    block = torch.ones(16_000_000)  # 64 MB, touched
    del block
    assert memory.bytes() - before > 40e6 or before > 4e9
