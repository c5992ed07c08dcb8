"""The command as its own process: what only shows there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from processes import Command


def run(*arguments: object, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m wherelook` where torchvision is not on the path, or only what `path` holds."""
    environment = {**os.environ, "PYTHONPATH": str(path) if path else "", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    line = [sys.executable, "-m", "wherelook", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=environment, check=False)


@pytest.fixture
def broken_torchvision(tmp_path) -> Path:
    """A torchvision as pip sees it, that fails at import as one built for another torch does."""
    package = tmp_path / "site" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    metadata = tmp_path / "site" / "torchvision-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.1.0\n")
    return tmp_path / "site"


@pytest.fixture(scope="session")
def no_torchvision():
    """Skips where the environment itself has torchvision."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torchvision') is not None)"
    if subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ""}, check=False).returncode:
        pytest.skip("torchvision is installed here")


def test_bad_input_says_nothing_but_its_line(images):
    result = run("explain", images / "truncated.jpg", "What?")
    assert result.stdout == ""
    assert result.stderr.startswith("wherelook: ")
    assert result.stderr.count("\n") == 1
    assert result.returncode == 2


def test_a_processor_with_a_video_part_does_without_torchvision(no_torchvision, patches_folder, tmp_path):
    """The folder is saved where torchvision is at hand if the tests have it, video part included."""
    code, output, errors = Command(("check", patches_folder), tmp_path).wait(120)
    assert errors == ""
    assert output.endswith("works with wherelook.\n")
    assert code == 0


def test_explain_without_torchvision(no_torchvision, images, model_folder, tmp_path):
    result = run("explain", images / "good.png", "What?", "--model", model_folder, "--answer", "a red circle",
                 "--preset", "fast", "--out", tmp_path / "out")  # fmt: skip
    assert result.stderr == ""
    assert result.returncode == 0
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_broken_torchvision_is_named(no_torchvision, broken_torchvision, model_folder):
    result = run("check", model_folder, path=broken_torchvision)
    reason = "the installed torchvision cannot be imported (operator torchvision::nms does not exist)"
    assert result.stderr.startswith(f"wherelook: {reason}")
    assert "pip uninstall torchvision" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.returncode == 2


def test_a_reader_that_goes_away_is_no_error():
    line = [sys.executable, "-m", "wherelook", "methods"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()  # long before the command has anything to say
        assert process.stderr.read() == ""
        assert process.wait(timeout=120) == 0


def test_settings_of_libraries_are_made_before_they_are_imported():
    """OpenMP reads how its threads wait when torch is imported: later is too late, and slow beside a busy process."""
    code = "import os, sys, wherelook.cli.app; print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'])"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["False", "PASSIVE"]
