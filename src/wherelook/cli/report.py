"""`wherelook report`: the page of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wherelook.cli import options
from wherelook.cli.compare import CORRECTION, MEASURE
