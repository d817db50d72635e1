"""What is delivered: a wheel that can migrate, and pages whose commands exist."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner import __version__
from scanner.catalog.schema import SCHEMA
from scanner.errors import ScannerError

PROJECT = Path(__file__).resolve().parents[2]
FULL = os.environ.get("SCANNER_TEST_FULL") == "1"
README = (PROJECT / "README.md").read_text()
PAGES = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").glob("*.md"))]


def run(*command: str | Path, **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCANNER_")}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=PROJECT, env=environment | more, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build from a copy: a checkout that somebody works in stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    for name in ("scanner", "migrations"):
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps")
    try:
        run(*command, "--wheel-dir", folder, source)
    except AssertionError as error:
        if os.environ.get("CI") != "true" and re.search("No matching distribution|connection", str(error)):
            pytest.skip("no package index here to fetch the build backend from")
        raise
    yield next(folder.glob("*.whl"))


def test_wheel_holds_package_types_and_every_migration(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    versions = {f"scanner/migrations/versions/{path.name}" for path in PROJECT.glob("migrations/versions/*.py")}
    assert any(f"/{SCHEMA}_" in name for name in versions)
    assert versions | {"scanner/migrations/env.py", "scanner/py.typed", "scanner/__main__.py"} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "migrations/"))]
    assert wheel.name.startswith(f"scanner-{__version__}-")


@pytest.mark.long
@pytest.mark.skipif(not FULL, reason="installs from the package index: SCANNER_TEST_FULL=1")
@pytest.mark.timeout(600)
def test_installed_wheel_migrates_and_scans(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    pip = (programs / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--constraint", PROJECT / "constraints.txt", wheel)
    library = tmp_path / "films"
    library.mkdir()
    (library / "a.mkv").write_bytes(b"x")
    os.utime(library / "a.mkv", (1, 1))
    database = f"sqlite:///{tmp_path / 'state' / 'catalog.db'}"
    told = run(programs / "scanner", "run", str(library), SCANNER_DATABASE_URL=database)
    assert "1 added" in told
    assert f"the schema is {SCHEMA}" in run(programs / "scanner", "db", "check", "--database", database)


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_in_the_pages_exist(page: Path) -> None:
    named = set(re.findall(r"(?:^ {4}|`)make ([a-z]+)", page.read_text(), re.MULTILINE))
    assert named <= targets()
    assert page.name != "README.md" or {"run", "test", "help"} <= named


def test_commands_and_options_in_the_readme_exist() -> None:
    for command in set(re.findall(r"^\| `scanner ([a-z]+)", README, re.MULTILINE)):
        assert run(sys.executable, "-m", "scanner", command, "--help")
    known = run(sys.executable, "-m", "scanner", "run", "--help", COLUMNS="200")
    known += run(sys.executable, "-m", "scanner", "resend", "--help", COLUMNS="200")
    assert set(re.findall(r"--[a-z]+(?:-[a-z]+)*", README)) <= set(re.findall(r"--[a-z-]+", known))


def test_every_exit_code_of_an_error_is_in_the_readme() -> None:
    listed = set(re.findall(r"\d+", " ".join(re.findall(r"^\| ([\d, ]+) \|", README, re.MULTILINE))))
    not_yet = {"5"}  # the watchdog comes with the health registry
    assert {str(error.exit_code) for error in descendants(ScannerError)} - not_yet <= listed


def descendants(error: type[ScannerError]) -> list[type[ScannerError]]:
    return [error, *(found for child in error.__subclasses__() for found in descendants(child))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_settings_in_the_pages_exist() -> None:
    variables = set(re.findall(r"SCANNER_[A-Z_]+", (PROJECT / "docs" / "configuration.md").read_text()))
    for page in PAGES:
        named = set(re.findall(r"SCANNER_[A-Z_]+", page.read_text())) - {"SCANNER_TEST_FULL"}
        assert named <= variables, page.name


def test_version_is_the_projects() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
