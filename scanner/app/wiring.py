"""From the settings to what each service is told: the one place that knows both."""

from scanner.app.broker_side import BrokerSideSettings
from scanner.app.progress import RunRequest
from scanner.broker.publisher import PublisherSettings
from scanner.broker.session import BrokerSettings
from scanner.catalog.scans import Kind
from scanner.config import Settings
from scanner.files.filters import Filters
from scanner.files.walk import WalkerSettings
from scanner.retry import Patience
from scanner.services.relay import RelaySettings
from scanner.services.scan import ScanOptions


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


def broker_side_settings(settings: Settings, catalog: str) -> BrokerSideSettings:
    """Return what the broker side needs to know."""
    return BrokerSideSettings(
        database_url=settings.database_url.reveal(),
        broker=BrokerSettings(
            url=settings.broker_url.reveal(),
            prefix=settings.prefix,
            catalog=catalog,
            heartbeat_s=settings.heartbeat_s,
        ),
        publishing=PublisherSettings(
            window=settings.publish_window, publish_timeout_s=settings.publish_timeout_s
        ),
        relay=RelaySettings(
            queue_limit=settings.queue_limit,
            role_ttl_s=settings.lease_s,
            patience=Patience(start_s=settings.broker_wait_s, outage_s=settings.broker_outage_s),
        ),
        log_level=settings.log_level,
        log_format=settings.log_format,
    )
