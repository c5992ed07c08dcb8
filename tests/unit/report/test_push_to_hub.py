"""A page on the hub, with a hub that only takes notes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

from wherelook.errors import InputError, WherelookError
from wherelook.report import hub


@pytest.fixture
def files(tmp_path):
    (tmp_path / "page.html").write_text("<p>page")
    (tmp_path / "tables").mkdir()
    for name in ("pairs.csv", "pairs.parquet", "compare.json"):
        (tmp_path / "tables" / name).write_text(name)
    return tmp_path


@pytest.fixture
def calls(monkeypatch) -> list:
    noted: list = []

    class Hub:
        def create_repo(self, repository, **options):
            noted.append((repository, options))

        def create_commit(self, repository, operations, **options):
            noted.append((repository, [operation.path_in_repo for operation in operations], options["repo_type"]))
            return SimpleNamespace(commit_url="the address")

    monkeypatch.setattr(hub.huggingface_hub, "HfApi", Hub)
    return noted


def test_page_and_tables_go_to_a_private_data_set(files, calls):
    assert hub.push("me/study", files / "page.html", sorted((files / "tables").iterdir())) == "the address"
    assert calls == [
        ("me/study", {"repo_type": "dataset", "private": True, "exist_ok": True}),
        ("me/study", ["report.html", "figures/compare.json", "figures/pairs.csv", "figures/pairs.parquet"], "dataset"),
    ]


def test_without_tables_the_page_goes_alone(files, calls):
    hub.push("me/study", files / "page.html")
    assert calls[1][1] == ["report.html"]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (HFValidationError("x"), InputError, "'me/study' is no name of a repository: expected OWNER/NAME"),
        (LocalTokenNotFoundError("x"), InputError, "no token for the hub: log in with `hf auth login`"),
        (OSError("no route\nmore"), WherelookError, "could not be pushed to me/study: no route$"),
        (HfHubHTTPError("403 Forbidden", response=SimpleNamespace(headers={}, request=None)), WherelookError,
         "could not be pushed to me/study: 403 Forbidden"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_and_the_page_stays(files, calls, monkeypatch, error, kind, message):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(hub.huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(kind, match=message):
        hub.push("me/study", files / "page.html")
    assert (files / "page.html").is_file()
