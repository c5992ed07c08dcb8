"""Runs a module with the torchvision that the tests use: `python tests/with_torchvision.py -m tools.families`.

The processes that the module starts read this file too, and so find torchvision as well.
"""

import runpy
import sys
from pathlib import Path

from torchvision_stub import enable_torchvision

sys.path.insert(0, str(Path(__file__).parents[1]))
enable_torchvision()  # Transformers decides at its import what it can use

if __name__ == "__main__":
    _, module = sys.argv[1:3]
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
