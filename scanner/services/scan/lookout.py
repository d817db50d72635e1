"""The walker as the scan sees it: listings as they come, and questions answered at once.

A question (`verify`, `changed`) waits for its own answers and keeps the listings that come in between for
`listings`. Keys of questions are negative, those of listings are directory ids.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from scanner.files.walk import Walker
from scanner.files.wire import (
    Checked,
    CheckRequest,
    Listing,
    ListRequest,
    Reply,
    Verified,
    VerifyRequest,
)
from scanner.services.scan.context import ScanContext

Item = TypeVar("Item")

_POLL_S = 0.25
_QUESTIONS_AT_ONCE = 2000
_CHECKED_TOGETHER = 100


class Lookout:
    """Sends requests to the walker and sorts its answers."""

    def __init__(self, walker: Walker, context: ScanContext) -> None:
        self._walker = walker
        self._context = context
        self._kept: deque[Listing] = deque()
        self._next_key = -1
        self._listing = 0

    @property
    def outstanding(self) -> int:
        """Listings that were asked for and have not ended."""
        return self._listing

    def request(self, requests: Sequence[ListRequest]) -> None:
        """Ask for directories to be listed."""
        self._listing += len(requests)
        self._walker.submit(requests)

    def listings(self, timeout_s: float, room: int) -> list[Listing]:
        """Return listings that have come, up to about `room` files; wait up to `timeout_s` for the first."""
        if not self._kept:
            self._keep(self._walker.receive(timeout_s))
        found: list[Listing] = []
        while self._kept and room > 0:
            found.append(self._kept.popleft())
            room -= len(found[-1].files) + 1
        self._listing -= sum(listing.status != "part" for listing in found)
        return found

    def _keep(self, replies: Iterable[Reply]) -> list[Verified | Checked]:
        answers: list[Verified | Checked] = []
        for reply in replies:
            if isinstance(reply, Listing):
                self._kept.append(reply)
            else:
                answers.append(reply)
        return answers

    def verify(self, paths: Sequence[str]) -> dict[str, Verified]:
        """Look at each path with `lstat`."""
        found: dict[str, Verified] = {}
        for chunk in _chunks(iter(paths), _QUESTIONS_AT_ONCE):
            requests = [VerifyRequest(self._key(), path) for path in chunk]
            for answer, request in self._ask(requests):
                if isinstance(answer, Verified):
                    found[request.path] = answer
        return found

    def changed(self, directories: Iterable[tuple[int, str, int]]) -> list[int]:
        """Return the ids of those directories (id, path, mtime_ns) whose mtime is another by now."""
        asked: dict[int, list[int]] = {}
        requests: list[CheckRequest] = []
        for chunk in _chunks(iter(directories), _CHECKED_TOGETHER):
            requests.append(CheckRequest(self._key(), [(path, mtime_ns) for _, path, mtime_ns in chunk]))
            asked[requests[-1].key] = [key for key, _, _ in chunk]
        return [
            asked[answer.key][position]
            for answer, _ in self._ask(requests)
            if isinstance(answer, Checked)
            for position in answer.changed
        ]

    def _ask(
        self, requests: Sequence[VerifyRequest | CheckRequest]
    ) -> Iterator[tuple[Verified | Checked, VerifyRequest | CheckRequest]]:
        waiting = {request.key: request for request in requests}
        self._walker.submit(requests)
        while waiting:
            self._context.raise_if_stopped()
            for answer in self._keep(self._walker.receive(_POLL_S)):
                request = waiting.pop(answer.key, None)
                if request is not None:
                    yield answer, request

    def _key(self) -> int:
        self._next_key -= 1
        return self._next_key


def _chunks(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while chunk := list(islice(items, size)):
        yield chunk
