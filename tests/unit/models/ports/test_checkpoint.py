"""Folders of converted checkpoints: whole, or not there."""

from __future__ import annotations

import errno
import importlib
import sys

import pytest
from safetensors import SafetensorError

from wherelook.models.ports.checkpoint import new_folder


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, "out: No space left on device; mend the cause, and"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), 1, "out: I/O error: No space left"),
        (PermissionError(errno.EACCES, "Permission denied"), 1, "out: Permission denied; mend the cause, and"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
    ],
)
@pytest.mark.parametrize("kind", ["minigemini", "cambrian"])
def test_a_conversion_that_is_not_finished_leaves_nothing(tmp_path, monkeypatch, capsys, kind, error, code, message):
    module = importlib.import_module(f"wherelook.models.ports.{kind}.convert")

    def half(*_, **__):
        with new_folder(tmp_path / "out") as made:
            (made / "model.safetensors").write_bytes(b"half")
            raise error

    monkeypatch.setattr(module, "convert", half)
    monkeypatch.setattr(sys, "argv", ["convert", "x", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        module.main()
    assert stopped.value.code == code
    output, errors = capsys.readouterr()
    assert (output, errors.count("\n")) == ("", 1)
    assert message in errors
    assert list(tmp_path.iterdir()) == []
