"""PyTorch's modes of a thread set aside: an explanation is the same whatever mode the application is in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

AUTOCAST_DEVICES = ("cpu", "cuda", "mps")


@contextlib.contextmanager
def ordinary_modes() -> Iterator[None]:
    """Inside, autograd records, nothing is cast automatically, and tensors are made on the CPU unless told otherwise.

    Inference mode, `no_grad`, autocast and a default device belong to a thread; they are as they were after. The
    default dtype belongs to the process, so it is left alone: this package names the dtype of what it makes.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        for device in AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield
