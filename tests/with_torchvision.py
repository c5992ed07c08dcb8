"""Runs the command line with the torchvision that the tests use: `python tests/with_torchvision.py models --verify`.

The processes that the command starts read this file too, and so find torchvision as well.
"""

from torchvision_stub import enable_torchvision

enable_torchvision()

from wherelook.cli import main  # noqa: E402 - Transformers decides at its import what it can use

if __name__ == "__main__":
    main()
