"""From verdicts to messages: what a task message is answered with. Pure.

One results message a status; what may succeed later goes alone to a retry queue; what failed for the last time
goes to the dead letters, too. All ids are derived from the task message's, so that a repeat carries the same.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from scanner import message
from scanner.broker.api import DEAD, ERROR_KIND_HEADER, REASON_HEADER, Delivery, OutgoingMessage, retry_route
from scanner.message import ReadyBatch, Status, Task, TaskBatch
from scanner.portions import portions
from scanner.probe.jobs import Verdict

AWAY_DELAYS_S = message.RETRY_DELAYS_S[1:]
"""How long tasks wait whose library is away: the first time, and from then on."""

POSTPONED_HEADER = "x-postponed"
"""How often a message waited for its library."""

_MOST_BYTES = 4 * 1024 * 1024
"""Of results in one message."""


@dataclass(slots=True)
class Answer:
    """The messages that answer one delivery, as they gather, and what they tell of its files."""

    delivery: Delivery
    batch: TaskBatch
    worker: str
    messages: list[OutgoingMessage] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def results(self, verdicts: Iterable[Verdict]) -> None:
        """Add one results message a status; what would be too large for a broker goes in several."""
        by_status: dict[Status, list[bytes]] = defaultdict(list)
        for verdict in verdicts:
            by_status[verdict.status].append(verdict.result)
        for status, results in by_status.items():
            for part, some in enumerate(portions(results, len, _MOST_BYTES)):
                self._add_results(status, some, part)

    def retry(self, task: Task) -> None:
        """Add the task alone, to come back after the delay of its next attempt."""
        attempt = self.delivery.attempt
        self._add_single(task, retry_route(message.RETRY_DELAYS_S[attempt]), attempt + 1)

    def bury(self, task: Task, kind: str, text: str) -> None:
        """Add the task alone to the dead letters."""
        self._add_single(
            task, DEAD, self.delivery.attempt, headers={ERROR_KIND_HEADER: kind, REASON_HEADER: text[:500]}
        )

    def postpone(self, tasks: Sequence[Task]) -> None:
        """Add tasks of a library that is away, to come back later without an attempt counted.

        The first time soon, then less often: a library may be away for weeks.
        """
        before = _number(self.delivery.headers.get(POSTPONED_HEADER, ""))
        delay_s = AWAY_DELAYS_S[min(before, len(AWAY_DELAYS_S) - 1)]
        self._send_on(tasks, retry_route(delay_s), headers={POSTPONED_HEADER: str(before + 1)})

    def split(self, tasks: Sequence[Task]) -> None:
        """Add each task as a message of its own."""
        for task in tasks:
            self._add_single(task, message.TASKS, self.delivery.attempt)

    def _send_on(self, tasks: Sequence[Task], route: str, *, headers: dict[str, str] | None = None) -> None:
        """Add tasks as they came, in one message when they are the whole of it, otherwise each alone."""
        sent, attempt = self.delivery, self.delivery.attempt
        if len(tasks) == len(self.batch.tasks):
            self._add(sent.message_id, route, sent.body, attempt, len(tasks), headers=headers)
            return
        for task in tasks:
            self._add_single(task, route, attempt, headers=headers)

    def _add_results(self, status: Status, results: list[bytes], part: int) -> None:
        batch = self.batch
        body = message.encode_results(
            ReadyBatch(
                message.VERSION,
                batch.catalog,
                self.worker,
                self.delivery.message_id,
                batch.library,
                status,
                [msgspec.Raw(result) for result in results],
            )
        )
        message_id = message.result_message_id(self.delivery.message_id, status, self.delivery.attempt, part)
        route = message.result_route(batch.catalog, status)
        self._add(message_id, route, body, self.delivery.attempt, len(results), type=message.RESULTS_TYPE)

    def _add_single(
        self, task: Task, route: str, attempt: int, *, headers: dict[str, str] | None = None
    ) -> None:
        body = message.encode(msgspec.structs.replace(self.batch, tasks=[task]))
        message_id = message.single_message_id(self.delivery.message_id, task, attempt)
        self._add(message_id, route, body, attempt, 1, headers=headers)

    def _add(
        self,
        message_id: str,
        route: str,
        body: bytes,
        attempt: int,
        task_count: int,
        *,
        type: str = message.TASKS_TYPE,  # noqa: A002 - the property's name
        headers: dict[str, str] | None = None,
    ) -> None:
        self.messages.append(
            OutgoingMessage(
                len(self.messages), message_id, type, route, body, attempt, task_count, headers or {}
            )
        )


def refusal(delivery: Delivery, reason: str) -> OutgoingMessage:
    """Return a message that nobody should take as a dead letter, with the reason.

    Under an id of its own: that of the message is the sender's, who may have used it twice.
    """
    return OutgoingMessage(
        id=0,
        message_id=message.new_message_id(),
        type=delivery.type or "",
        route=DEAD,
        body=delivery.body,
        attempt=delivery.attempt,
        headers={ERROR_KIND_HEADER: "rejected", REASON_HEADER: reason[:500]},
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
