"""`python -m tools.real_parts`: downloads, builds every folder, checks it, and prints a table."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from torchvision_stub import enable_torchvision

enable_torchvision()  # before transformers is imported

import transformers  # noqa: E402
from tools.real_parts.checks import CHECKS, run_checks  # noqa: E402
from tools.real_parts.folders import FOLDERS, build_folder  # noqa: E402
from tools.real_parts.tokenizers import fetch  # noqa: E402


def main() -> int:
    """Returns 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.real_parts", description=__doc__)
    cache = Path(os.environ.get("WHERELOOK_REAL_PARTS", ".real-parts"))
    parser.add_argument("--cache", type=Path, default=cache, help="folder of downloads and models")
    parser.add_argument("--only", nargs="*", choices=list(FOLDERS), default=list(FOLDERS), help="folders to check")
    parser.add_argument("--quick", action="store_true", help="prompts, pieces and words alone")
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    options.cache.mkdir(parents=True, exist_ok=True)
    fetch(options.cache.resolve() / "tokenizers")
    names = [name for name in CHECKS if not options.quick or name not in ("check", "explain")]
    print(f"{'folder':20}{''.join(f'{name:>11}' for name in names)}{'seconds':>10}", flush=True)
    wrong: dict[str, list[str]] = {}
    for name in options.only:
        started = time.monotonic()
        folder = build_folder(name, options.cache / "tokenizers", options.cache / "folders" / name)
        found = run_checks(folder, quick=options.quick)
        cells = "".join(f"{'ok' if not found[check] else len(found[check]):>11}" for check in names)
        print(f"{name:20}{cells}{time.monotonic() - started:10.1f}", flush=True)
        wrong |= {f"{name} {check}": found[check] for check in names if found[check]}
    for name, lines in wrong.items():
        for line in lines:
            print(f"{name}: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
