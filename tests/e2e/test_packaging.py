"""What is delivered: a wheel that can migrate, and pages whose commands exist."""

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from scanner import __version__, message
from scanner.catalog.schema import SCHEMA
from scanner.errors import ScannerError
from scanner.message import Chapter, Media, Name, Result, ResultBatch, Stream, Task, TaskBatch
from tests.support.rabbitmq import RabbitNode

PROJECT = Path(__file__).resolve().parents[2]
FULL = os.environ.get("SCANNER_TEST_FULL") == "1"
README = (PROJECT / "README.md").read_text()
COMMANDS = [
    *(
        (name,)
        for name in (
            "run",
            "worker",
            "files",
            "failures",
            "status",
            "resend",
            "library",
            "backup",
            "doctor",
            "db",
        )
    ),
    *(("failures", name) for name in ("list", "show", "retry")),
]
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


def help_of(*command: str) -> set[str]:
    """Return the options that a command's help names."""
    told = run(sys.executable, "-m", "scanner", *command, "--help", COLUMNS="200")
    return set(re.findall(r"--[a-z]+(?:-[a-z]+)*", told))


def commands_in(text: str) -> Iterator[list[str]]:
    """Yield the words of every `scanner ...` line in a page's blocks, and of a unit's ExecStart."""
    for line in re.findall(r"^(?:    |ExecStart=/opt/scanner/bin/)scanner ([^#\n]+)", text, re.MULTILINE):
        yield shlex.split(line)


def test_commands_and_options_in_the_readme_exist() -> None:
    known = {option for words in COMMANDS for option in help_of(*words)}
    named = set(re.findall(r"^\| `scanner ([a-z]+)", README, re.MULTILINE))
    assert named == {words[0] for words in COMMANDS}
    assert set(re.findall(r"--[a-z]+(?:-[a-z]+)*", README)) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_in_the_pages_take_their_options(page: Path) -> None:
    helps = {words: help_of(*words) for words in COMMANDS}
    for words in commands_in(page.read_text()):
        command = max((known for known in COMMANDS if tuple(words[: len(known)]) == known), key=len)
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= helps[command], words


def test_messages_in_the_pages_are_what_the_code_reads() -> None:
    for page in (README, (PROJECT / "docs" / "messages.md").read_text()):
        for body in re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
            decoded = msgspec.json.decode(body)
            read = message.decode_tasks if "tasks" in decoded else message.decode_results
            assert msgspec.to_builtins(read(body.encode())) == decoded


def test_every_field_of_a_message_is_in_its_page() -> None:
    page = (PROJECT / "docs" / "messages.md").read_text()
    shapes = (Task, TaskBatch, Result, ResultBatch, Media, Stream, Chapter, Name)
    fields = {name for shape in shapes for name in shape.__struct_encode_fields__}
    assert {name for name in fields if f"`{name}`" not in page and f'"{name}"' not in page} == set()
    assert {kind for kind in message.ERROR_KINDS if f"| `{kind}` |" not in page} == set()


def test_the_documented_worker_of_ones_own_works_off_a_run(rabbitmq: RabbitNode, tmp_path: Path) -> None:
    """It speaks of the default prefix, so it gets a virtual host of its own."""
    page = (PROJECT / "docs" / "messages.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    code = next(block for block in blocks if "def look" in block)
    (tmp_path / "worker.py").write_text(code)
    library = tmp_path / "films"
    library.mkdir()
    for name in ("a.mkv", "b.mp3"):
        (library / name).write_bytes(name.encode())
        os.utime(library / name, (1, 1))
    url = rabbitmq.add_vhost(f"own-{secrets.token_hex(4)}")
    settings = {
        "SCANNER_DATABASE_URL": f"sqlite:///{tmp_path / 'catalog.db'}",
        "SCANNER_BROKER_URL": url,
        "HOME": str(tmp_path),
    }
    scanner = (sys.executable, "-m", "scanner")
    run(*scanner, "run", library, **settings)
    worker = subprocess.Popen((sys.executable, tmp_path / "worker.py", url))
    try:
        told = json.loads(run(*scanner, "run", library, "--wait", "--json", **settings))
        assert worker.poll() is None
    finally:
        worker.kill()
        worker.wait()
    assert (told["processed"], told["failed"]) == (2, 0)
    shown = json.loads(run(*scanner, "failures", "show", "a.mkv", "--json", **settings))
    assert (shown["state"], shown["container"]) == ("ok", "plain")
    assert shown["result"]["details"]["handlers"] == {"first-byte": "61"}
    assert 'handler    first-byte: "61"\n' in run(*scanner, "failures", "show", "a.mkv", **settings)


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
