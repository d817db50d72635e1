"""From the settings to what each service is told: the one place that knows both."""

import os

from scanner import paths
from scanner.app.broker_side import BrokerSideSettings
from scanner.app.progress import RunRequest
from scanner.broker.publisher import PublisherSettings
from scanner.broker.session import BrokerSettings
from scanner.catalog.scans import Kind
from scanner.config import Settings
from scanner.files.filters import Filters
from scanner.files.walk import WalkerSettings
from scanner.owner import process_name
from scanner.probe.jobs import Hash, ProbeSettings
from scanner.retry import Patience
from scanner.services.collect import CollectSettings
from scanner.services.relay import RelaySettings
from scanner.services.scan import ScanOptions
from scanner.services.work import WorkSettings

_EMBEDDED_DRAIN_S = 2.0
"""How long a stopped run waits for files in hand; those that are not done stay in the outbox."""


def filters_of(settings: Settings) -> Filters:
    """Return which files are looked at."""
    return Filters(
        kinds=settings.kind_set,
        include=settings.include,
        exclude=settings.exclude,
        hidden=settings.hidden,
        follow_symlinks=settings.follow_symlinks,
    )


def scan_options(settings: Settings, request: RunRequest, start: str, relays: bool) -> ScanOptions:
    """Return how a library is to be scanned."""
    kind: Kind = "quick" if request.quick else "partial" if start else "full"
    return ScanOptions(
        kind=kind,
        start=start,
        filters=filters_of(settings),
        walker=WalkerSettings(
            threads=settings.walk_threads, io_timeout_s=settings.io_timeout_s, settle_s=settings.settle_s
        ),
        batch_files=settings.batch_files,
        batch_s=settings.batch_s,
        tasks_per_message=settings.batch_size,
        limit=request.limit,
        restart=request.restart,
        confirm_deletes=request.confirm_deletes,
        guard_files=settings.guard_files,
        guard_percent=settings.guard_percent,
        outbox_high_water=settings.outbox_high_water if relays else None,
    )


def broker_side_settings(settings: Settings, catalog: str, *, collects: bool) -> BrokerSideSettings:
    """Return what the broker side needs to know; it collects results if told to, and always when embedded."""
    embedded = settings.embedded_broker
    return BrokerSideSettings(
        database_url=settings.database_url.reveal(),
        broker=None if embedded else broker_settings(settings, catalog),
        publishing=publisher_settings(settings),
        relay=_embedded_relay(settings) if embedded else _relay(settings),
        work=work_settings(settings, drain_s=_EMBEDDED_DRAIN_S) if embedded else None,
        probe=probe_settings(settings),
        collect=CollectSettings(patience=_patience(settings)) if embedded or collects else None,
        # That services of one process have found each other is nothing to tell a person.
        log_level="warning" if embedded and settings.log_level == "info" else settings.log_level,
        log_format=settings.log_format,
    )


def broker_settings(settings: Settings, catalog: str | None = None) -> BrokerSettings:
    """Return where RabbitMQ is; `catalog` names the queue of results to declare."""
    return BrokerSettings(
        url=settings.broker_url.reveal(),
        prefix=settings.prefix,
        catalog=catalog,
        heartbeat_s=settings.heartbeat_s,
    )


def publisher_settings(settings: Settings) -> PublisherSettings:
    """Return how messages are published."""
    return PublisherSettings(window=settings.publish_window, publish_timeout_s=settings.publish_timeout_s)


def _relay(settings: Settings) -> RelaySettings:
    return RelaySettings(
        queue_limit=settings.queue_limit, role_ttl_s=settings.lease_s, patience=_patience(settings)
    )


def _embedded_relay(settings: Settings) -> RelaySettings:
    """Return how the outbox goes to the embedded broker, which confirms a row only when its files are done.

    Small chunks side by side: a file that takes its time holds up three other rows, not a thousand. And a stop
    need not wait for confirms: what is not done stays in the outbox.
    """
    return RelaySettings(chunk=4, pipeline=16, queue_limit=0, role_ttl_s=settings.lease_s, drain_s=0.2)


def _patience(settings: Settings) -> Patience:
    return Patience(start_s=settings.broker_wait_s, outage_s=settings.broker_outage_s)


def work_settings(
    settings: Settings, *, drain_s: float | None = None, patience: Patience | None = None
) -> WorkSettings:
    """Return how tasks are worked off; by default they wait for the broker as the relay does."""
    return WorkSettings(
        worker=process_name(),
        prefetch=settings.prefetch or 2 * _processes(settings) + 4,
        drain_s=settings.drain_timeout_s if drain_s is None else drain_s,
        root_map=tuple(_mapped(entry) for entry in settings.root_map),
        patience=patience or _patience(settings),
    )


def probe_settings(settings: Settings) -> ProbeSettings:
    """Return how files are probed."""
    return ProbeSettings(
        processes=_processes(settings),
        time_limit_s=settings.probe_timeout_s,
        memory_mib=settings.probe_memory_mib,
        recycle_after=settings.probe_recycle,
        handlers=settings.handlers,
        names=settings.names,
        hash=Hash(settings.hash),
        nice=settings.nice,
        idle_io=settings.idle_io,
        io_rate_mib_s=settings.io_rate_mib_s,
    )


def _processes(settings: Settings) -> int:
    return settings.concurrency or len(os.sched_getaffinity(0))


def _mapped(entry: str) -> tuple[str, str]:
    source, _, target = entry.partition("=")
    return paths.absolute(source), paths.absolute(target)
