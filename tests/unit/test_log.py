"""The log: both formats, our events and the libraries', and nothing in them that a terminal obeys."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from scanner import log


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    for name in log._CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET)


def fail(text: str) -> None:
    raise ValueError(text)


def event_of(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    written = capsys.readouterr()
    assert written.out == ""
    event = json.loads(written.err)
    assert isinstance(event, dict)
    return event


def test_json_event_has_level_logger_and_utc_time(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    structlog.get_logger("scanner.x").info("scan.started", files=3)
    event = event_of(capsys)
    assert str(event.pop("timestamp")).endswith("Z")
    assert event == {
        "event": "scan.started",
        "level": "info",
        "logger": "scanner.x",
        "files": 3,
    }


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_control_character_and_no_password_in_any_value(
    capsys: pytest.CaptureFixture[str], log_format: log.LogFormat
) -> None:
    log.configure("info", log_format, colours=False)
    hostile = "a\x1b[31m\r\u202eb\udcff amqp://u:hush@h/ \u2028"
    logger = structlog.get_logger("x")
    logger.info("e", text=hostile, error=OSError(2, hostile), rows=[hostile, {hostile: hostile}])
    logging.getLogger("aiormq").warning("lost %s", hostile, extra={"more": hostile})
    try:
        fail(hostile)
    except ValueError:
        logger.exception("broke")
    written = capsys.readouterr().err
    assert "hush" not in written
    assert not [char for char in written if ord(char) < 32 and char != "\n"]
    assert not set("\u202e\u2028\udcff") & set(written)


def test_line_break_in_a_name_does_not_make_a_second_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "console", colours=False)
    structlog.get_logger("x").info("e", path="a\n2026-01-01 [error] forged")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_traceback_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "console", colours=False)
    try:
        fail("broken")
    except ValueError:
        structlog.get_logger("x").exception("e")
    assert capsys.readouterr().err.splitlines()[1] == "Traceback (most recent call last):"


def test_libraries_are_heard_from_warning_on(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    logging.getLogger("alembic.runtime").info("chatter")
    logging.getLogger("sqlalchemy.engine").warning("lost")
    assert event_of(capsys)["event"] == "lost"


def test_debug_opens_the_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", "json")
    logging.getLogger("aiormq.connection").debug("frame")
    assert event_of(capsys)["event"] == "frame"


def test_events_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("warning", "json")
    structlog.get_logger("x").info("e")
    logging.getLogger("y").info("e")
    assert capsys.readouterr().err == ""


def test_text_beside_a_url_stays() -> None:
    assert log.masked("at amqp://u:hush@h:5/v, then 3:2@x") == "at amqp://u:***@h:5/v, then 3:2@x"


def test_amqp_libraries_tell_of_lost_connections_at_debug_only(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    logging.getLogger("aiormq.connection").warning("reader exited abnormally", exc_info=ValueError("gone"))
    assert capsys.readouterr().err == ""
    log.configure("debug", "json")
    logging.getLogger("aiormq.connection").warning("reader exited abnormally")
    assert event_of(capsys)["event"] == "reader exited abnormally"
