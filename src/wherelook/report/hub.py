"""Puts a page and its figures on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

from wherelook.errors import InputError, WherelookError


def push(repository: str, page: Path, figures: Sequence[Path] = ()) -> str:
    """Uploads the page as report.html and the files of its plots and tables; makes a private dataset if there is none.

    Args:
        repository: OWNER/NAME of a dataset on the hub.
        page: the HTML file.
        figures: the files of its plots and tables.

    Returns:
        Where it is.

    Raises:
        InputError: that is no name of a repository, or there is no token to write with.
        WherelookError: the hub refuses, or cannot be reached.
    """
    hub = huggingface_hub.HfApi()
    operations = [huggingface_hub.CommitOperationAdd("report.html", page)]
    operations += [huggingface_hub.CommitOperationAdd(f"figures/{file.name}", file) for file in sorted(figures)]
    try:
        # One that exists keeps its visibility.
        hub.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        done = hub.create_commit(repository, operations, commit_message="wherelook report", repo_type="dataset")
    except HFValidationError as error:
        raise InputError(f"{repository!r} is no name of a repository: expected OWNER/NAME") from error
    except LocalTokenNotFoundError as error:
        raise InputError("no token for the hub: log in with `hf auth login`, or set HF_TOKEN") from error
    except (HfHubHTTPError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WherelookError(f"{page} is written, but could not be pushed to {repository}: {reason}") from error
    return str(done.commit_url)
