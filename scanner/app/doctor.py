"""`scanner doctor`: looks at everything a run needs and says in one line each how it stands and what to do."""

import asyncio
import dataclasses
import errno
import os
from collections.abc import Callable, Iterator

from scanner import paths
from scanner.app.database import open_catalog
from scanner.app.reports import Finding
from scanner.app.wiring import broker_settings, probe_settings, publisher_settings
from scanner.broker.rabbit import RabbitBroker
from scanner.catalog import libraries, outbox, schema
from scanner.catalog.engine import Database
from scanner.catalog.libraries import Library
from scanner.config import Settings
from scanner.errors import ScannerError
from scanner.files.filters import Filters
from scanner.files.mounts import MountTable, is_network, stable_inodes
from scanner.files.walk import Walker, WalkerSettings
from scanner.files.wire import Verified, VerifyRequest
from scanner.probe.jobs import ProbeSettings
from scanner.probe.pool import Pool
from scanner.urls import mask

_ANSWER_WITHIN_S = 10.0
_LARGE_OUTBOX = 100_000
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})


def diagnose(settings: Settings) -> list[Finding]:
    """Return a finding for the database, the broker, probing, the outbox and every library's root."""
    access = "check broker_url, credentials and permissions"
    findings = [
        _checked("broker", lambda: _broker(settings), access),
        _checked("probing", lambda: _probing(settings), "check handlers, nice and probe_memory_mib"),
    ]
    try:
        with open_catalog(settings) as database:
            findings.insert(0, _database(settings, database))
            findings.append(_outbox(database))
            findings.extend(_roots(database))
    except ScannerError as error:
        findings.insert(0, Finding("database", "fail", str(error)))
    return findings


def _checked(name: str, check: Callable[[], Finding], remedy: str) -> Finding:
    try:
        return check()
    except ScannerError as error:
        return Finding(name, "fail", str(error), remedy)


def _database(settings: Settings, database: Database) -> Finding:
    with database.write():
        pass
    url = mask(settings.database_url.reveal())
    return Finding("database", "ok", f"{url} is writable, schema {schema.SCHEMA}")


def _broker(settings: Settings) -> Finding:
    if settings.embedded_broker:
        text = "embedded: scanner run works off the tasks by itself"
        idle = "embedded, and probe is false: tasks stay in the outbox"
        remedy = "set --broker amqp://HOST/ or SCANNER_BROKER_URL, or leave out --no-probe"
        return Finding("broker", "ok", text) if settings.probe else Finding("broker", "warn", idle, remedy)
    described = asyncio.run(_reach(settings))
    return Finding("broker", "ok", f"{described} takes connections, its topology is ours")


async def _reach(settings: Settings) -> str:
    broker = RabbitBroker(broker_settings(settings), publisher_settings(settings))
    session = await broker.open_publishing()
    await session.close()
    return broker.described


def _probing(settings: Settings) -> Finding:
    asyncio.run(_start_one(probe_settings(settings)))
    return Finding("probing", "ok", f"{', '.join(settings.handlers)} can be loaded")


async def _start_one(settings: ProbeSettings) -> None:
    """Start a probe process, with its limits, and end it."""
    pool = Pool(dataclasses.replace(settings, processes=1))
    await pool.start()
    await pool.stop(0)


def _outbox(database: Database) -> Finding:
    waiting = outbox.depth(database)
    if not waiting:
        return Finding("outbox", "ok", "empty")
    text = f"messages waiting: {waiting:,}, the oldest for {outbox.oldest_age_s(database):,.0f} s"
    if waiting > _LARGE_OUTBOX:
        return Finding("outbox", "warn", text, "scanner run sends them, or works them off")
    return Finding("outbox", "ok", text)


def _roots(database: Database) -> Iterator[Finding]:
    for library in libraries.all_libraries(database):
        yield _root(library)


def _root(library: Library) -> Finding:
    name = f"library {paths.printable(library.name)}"
    root = paths.printable(library.root)
    look = _look(library)
    if look is None:
        return Finding(name, "fail", f"{root} does not answer: is it mounted?", f"ls -ld {root}")
    if look.errno in _NOT_THERE or (look.status != "failed" and not look.is_directory):
        return Finding(name, "fail", f"{root} is not there", "mount it, or scanner library relocate")
    if look.status == "failed":
        text = f"{root} cannot be looked at: {os.strerror(look.errno)}"
        return Finding(name, "fail", text, f"ls -ld {root}; {_as_whom()}")
    if not os.access(paths.to_os(library.root), os.R_OK | os.X_OK):
        return Finding(name, "fail", f"{root} may not be read", f"setfacl -R -m u:{os.getuid()}:rX {root}")
    mount = MountTable.load().of(os.fsencode(os.path.realpath(paths.to_os(library.root))))
    text = f"{root} on {mount.fs_type}"
    if is_network(mount.fs_type) or not stable_inodes(mount.fs_type):
        return Finding(name, "ok", f"{text}: moves are told by size and time at most", "")
    return Finding(name, "ok", text)


def _look(library: Library) -> Verified | None:
    """Look at a root through the walker: a dead mount hangs that process, not this one."""
    settings = WalkerSettings(threads=1, io_timeout_s=_ANSWER_WITHIN_S)
    with Walker(library.root, Filters(), settings) as walker:
        walker.submit([VerifyRequest(-1, "")])
        replies = walker.receive(_ANSWER_WITHIN_S + 2.0)
    return next((reply for reply in replies if isinstance(reply, Verified)), None)


def _as_whom() -> str:
    return f"this runs as user id {os.getuid()}"
