"""Settings: precedence, refusals in words, masked passwords, the trip to a child process."""

import re
from pathlib import Path

import pytest

from scanner.config import Settings, load_settings
from scanner.config.__main__ import page
from scanner.config.load import variable
from scanner.errors import UsageError

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / "scanner.toml"


def refusal(options: dict[str, object], environment: dict[str, str], config_file: Path | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        load_settings(options, environment, config_file)
    return str(caught.value)


def test_option_beats_environment_beats_file_beats_default(config_file: Path) -> None:
    config_file.write_text("settle_s = 1\nbatch_size = 2\nwalk_threads = 3\n")
    environment = {"SCANNER_SETTLE_S": "4", "SCANNER_BATCH_SIZE": "5"}
    settings = load_settings({"settle_s": "6", "batch_size": None}, environment, config_file)
    assert (settings.settle_s, settings.batch_size, settings.walk_threads) == (6.0, 5, 3)
    assert settings.batch_files == 5_000


def test_empty_variable_counts_as_not_set() -> None:
    assert load_settings({}, {"SCANNER_SETTLE_S": "", "SCANNER_BROKER_URL": ""}, None).embedded_broker


def test_environment_of_the_process_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCANNER_SETTLE_S", "77")
    monkeypatch.setenv("SETTLE_S", "78")
    settings = load_settings({}, {}, None)
    assert settings.settle_s == 10
    assert Settings.from_json(settings.to_json()).settle_s == 10


def test_file_is_found_by_variable_and_in_its_default_place(tmp_path: Path, config_file: Path) -> None:
    config_file.write_text("walk_threads = 3")
    assert load_settings({}, {"SCANNER_CONFIG": str(config_file)}, None).walk_threads == 3
    default = tmp_path / "config" / "scanner" / "scanner.toml"
    default.parent.mkdir(parents=True)
    default.write_text("walk_threads = 4")
    assert load_settings({}, {}, None).walk_threads == 4
    assert load_settings({}, {}, config_file).walk_threads == 3


def test_default_database_is_sqlite_in_the_state_directory(tmp_path: Path) -> None:
    url = load_settings({}, {}, None).database_url.reveal()
    assert url == f"sqlite:///{tmp_path}/state/scanner/catalog.db"


def test_unknown_key_is_refused_by_name_with_the_nearest(config_file: Path) -> None:
    config_file.write_text("setle_s = 3")
    assert refusal({}, {}, config_file) == f"unknown key 'setle_s' in {config_file}; did you mean 'settle_s'?"


@pytest.mark.parametrize(
    ("text", "told"),
    [("settle_s = [", "not valid TOML"), ("settle_s = true", "settle_s in "), ("hidden = 7", "true or false")],
)
def test_wrong_file_is_refused_with_its_name(config_file: Path, text: str, told: str) -> None:
    config_file.write_text(text)
    assert told in (sentence := refusal({}, {}, config_file))
    assert str(config_file) in sentence


def test_named_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "there is no such file" in refusal({}, {}, tmp_path / "absent.toml")
    assert "cannot be read" in refusal({}, {}, tmp_path)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "soon", "1e9"])
@pytest.mark.parametrize("name", ["settle_s", "io_timeout_s", "lease_s", "broker_wait_s", "batch_s"])
def test_seconds_are_finite_and_within_limits(name: str, value: str) -> None:
    sentence = refusal({}, {variable(name): value})
    assert sentence.startswith(f"{variable(name)} = '{value}' is refused: ")
    assert "allowed: a number of seconds from " in sentence


@pytest.mark.parametrize("value", ["0", "1001", "1.5", "many", "true"])
def test_refusal_names_option_value_and_what_is_allowed(value: str) -> None:
    sentence = refusal({"batch_size": value}, {})
    assert sentence.startswith(f"--batch-size = '{value}' is refused: ")
    assert sentence.endswith("allowed: a whole number of tasks from 1 to 1,000")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hush@h/x",
        "postgresql://u:hush/word@h/x",
        "postgresql://u:hush@h:port/x",
        "postgresql://u:hush@h\x1b/",
    ],
)
def test_refused_database_url_shows_no_password(url: str) -> None:
    sentence = refusal({}, {"SCANNER_DATABASE_URL": url})
    assert sentence.startswith("SCANNER_DATABASE_URL = ")
    assert "hush" not in sentence


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "catalog.db", "postgres://h/x"]
)
def test_databases_that_processes_cannot_share_are_refused(url: str) -> None:
    assert "allowed: sqlite:///FILE or postgresql://" in refusal({"database_url": url}, {})


@pytest.mark.parametrize("url", ["http://h", "amqp://", "amqp://u:hush@", "amqp://u:hush@h:99999/", "rabbit"])
def test_brokers_that_are_none_are_refused(url: str) -> None:
    sentence = refusal({"broker_url": url}, {})
    assert sentence.startswith("--broker = ")
    assert "hush" not in sentence


@pytest.mark.parametrize(
    "url", ["embedded", "amqp://h", "amqps://u:p@h:5671/vhost?heartbeat=2", "amqp://u:p%40@[::1]/"]
)
def test_brokers_that_are_some_are_taken_as_given(url: str) -> None:
    assert load_settings({"broker_url": url}, {}, None).broker_url.reveal() == url


@pytest.mark.parametrize("prefix", ["amq.x", "", "-x", "a b", "x" * 65, "ä"])
def test_prefix_that_a_broker_would_refuse_is_refused(prefix: str) -> None:
    assert "--" not in (sentence := refusal({"prefix": prefix}, {}))
    assert sentence.startswith(f"prefix = {prefix!r}")


def test_kinds_are_checked_and_parsed() -> None:
    assert "video" in refusal({"kinds": "vidoe"}, {})
    assert [kind.label for kind in load_settings({"kinds": "video"}, {}, None).kind_set] == ["video"]


def test_globs_come_as_list_lines_or_with_commas(config_file: Path) -> None:
    config_file.write_text('exclude = ["a,b", "c"]')
    assert load_settings({}, {}, config_file).exclude == ("a,b", "c")
    assert load_settings({}, {"SCANNER_EXCLUDE": "a, b"}, None).exclude == ("a", "b")
    assert load_settings({}, {"SCANNER_EXCLUDE": "a,b\nc\n"}, None).exclude == ("a,b", "c")


def test_glob_in_include_and_exclude_is_refused() -> None:
    told = "'*.mkv' stands in include and in exclude"
    assert told in refusal({"include": ["*.mkv"], "exclude": ["*.mkv"]}, {})


def test_password_is_never_shown_but_travels_to_a_child() -> None:
    options: dict[str, object] = {
        "broker_url": "amqp://u:hush@h/",
        "database_url": "postgresql://u:hush@h/x",
        "exclude": [b"\xff*".decode("utf-8", "surrogateescape")],
    }
    settings = load_settings(options, {}, None)
    for shown in (repr(settings), str(settings), str(settings.broker_url), settings.model_dump_json()):
        assert "hush" not in shown
    assert Settings.from_json(settings.to_json()) == settings
    assert Settings.from_json(settings.to_json()).broker_url.reveal() == "amqp://u:hush@h/"


def test_every_setting_says_what_it_means_and_defaults_to() -> None:
    for name, setting in Settings.model_fields.items():
        assert re.search(r"\bDefaults to .+\.$", setting.description or "", re.DOTALL), name


def test_configuration_page_is_current() -> None:
    written = (PROJECT / "docs" / "configuration.md").read_text()
    assert written == page(), "run: python -m scanner.config > docs/configuration.md"
