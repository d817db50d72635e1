"""What a run refuses before it touches anything, and what a dry run says of itself."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from scanner.app import dry_run
from scanner.app.progress import RunProgress, RunRequest
from scanner.app.run import run_scans
from scanner.config import Settings, load_settings
from scanner.errors import UsageError


def quietly(_progress: RunProgress) -> None:
    """Show nothing."""


def settings_of(options: Mapping[str, object], folder: Path) -> Settings:
    """Return settings that nothing on this machine has a say in."""
    config = folder / "scanner.toml"
    config.touch()
    return load_settings(options, {}, config)


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_malformed_glob_is_refused_before_a_catalog_is_made(option: str, tmp_path: Path) -> None:
    database = tmp_path / "catalog.db"
    options: Mapping[str, object] = {option: ["[z-a]"], "database_url": f"sqlite:///{database}"}
    settings = settings_of(options, tmp_path)
    with pytest.raises(UsageError, match=r"glob '\[z-a\]' is malformed.*--include, --exclude"):
        run_scans(settings, RunRequest((str(tmp_path),)), quietly)
    assert not database.exists()


def test_dry_run_says_when_its_list_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "_SHOWN_AT_MOST", 2)
    library = tmp_path / "films"
    library.mkdir()
    for number in range(5):
        (library / f"{number}.mkv").touch()
    options: Mapping[str, object] = {"database_url": f"sqlite:///{tmp_path / 'catalog.db'}", "settle_s": 0}
    settings = settings_of(options, tmp_path)
    result = run_scans(settings, RunRequest((str(library),), dry_run=True), quietly)
    assert [change.path for change in result.changes] == ["0.mkv", "1.mkv"]
    assert result.notes == ("only the first 2 of 5 changes are listed",)
