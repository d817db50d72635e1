"""The relay: what waits in the outbox goes to the broker, and leaves the outbox when it is confirmed.

`service` holds the role and the sessions, `shift` is one session's pipeline, `status` what others see of it.
"""

from scanner.services.relay.service import Relay
from scanner.services.relay.status import RelaySettings, RelayState, RelayStatus

__all__ = ["Relay", "RelaySettings", "RelayState", "RelayStatus"]
