"""Every error that Scanner raises on purpose, in one tree.

    ScannerError
    ├── UsageError                 wrong arguments or settings                        exit 2
    ├── DatabaseError              the database cannot be reached or refuses          exit 3
    │   ├── DatabaseUnavailable    it may come back: retried with backoff
    │   └── DatabaseRefused        unwritable, corrupt, too new: a person must act
    ├── BrokerError                the broker cannot be reached or refuses            exit 3
    │   ├── BrokerUnavailable      it may come back: the session is tried again
    │   ├── BrokerRefused          credentials, permissions, a topology mismatch
    │   └── PublishRejected        nack, full queue, unroutable: the row stays in the outbox
    ├── LibraryBusy                another living scanner holds the library           exit 4
    ├── LeaseLost                  we were fenced off: somebody took the library over exit 4
    ├── ServiceStalled             a service made no progress within its limit        exit 5
    └── ProbeUnavailable           the machine starts no probe process                exit 5

Whether to try again is a property of the class (`retryable`), never a match on the text. A message says
what failed, on which object, and the setting that governs it.
"""

from typing import ClassVar


class ScannerError(Exception):
    """The root of every error raised on purpose; its text is a sentence for the user."""

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False


class UsageError(ScannerError):
    """Raised when an argument, option, environment variable or configuration key is wrong."""

    kind = "usage"
    exit_code = 2


class DatabaseError(ScannerError):
    """Raised when the database cannot do what was asked of it."""

    kind = "database"
    exit_code = 3


class DatabaseUnavailable(DatabaseError):
    """Raised when the database cannot be reached, is locked or restarts: it may come back."""

    kind = "database_unavailable"
    retryable = True


class DatabaseRefused(DatabaseError):
    """Raised when the database is unwritable, corrupt, full or of a newer schema: a person must act."""

    kind = "database_refused"


class BrokerError(ScannerError):
    """Raised when the message broker cannot do what was asked of it."""

    kind = "broker"
    exit_code = 3


class BrokerUnavailable(BrokerError):
    """Raised when no session with the broker can be had, or a session was lost: it may come back."""

    kind = "broker_unavailable"
    retryable = True


class BrokerRefused(BrokerError):
    """Raised when the broker refuses credentials, permissions or the topology: a person must act."""

    kind = "broker_refused"


class PublishRejected(BrokerError):
    """Raised when the broker nacks or returns a message; the message is still ours."""

    kind = "publish_rejected"
    retryable = True


class LibraryBusy(ScannerError):
    """Raised when another living scanner holds the library's lease; the text names it."""

    kind = "library_busy"
    exit_code = 4


class LeaseLost(ScannerError):
    """Raised when a commit finds that the lease is no longer ours: nothing of it was written."""

    kind = "lease_lost"
    exit_code = 4


class ServiceStalled(ScannerError):
    """Raised when a service that has work made no progress within its limit."""

    kind = "stalled"
    exit_code = 5


class ProbeUnavailable(ScannerError):
    """Raised when no probe process starts, for want of memory, processes or time: a later start may succeed.

    Its exit code is that of a service that stalled: a service manager is to start the program again.
    """

    kind = "probe_unavailable"
    exit_code = 5
