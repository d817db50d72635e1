"""Work over one pair of sessions: deliveries in hand side by side, each answered and then acknowledged.

Invariant: a task message is acknowledged only after every message that answers it was confirmed. When either
session is lost both end, and what is in hand is delivered again, to us or to another worker. A crash here loses
nothing: it repeats what was not acknowledged.
"""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog

from scanner import message
from scanner.broker.api import ConsumingSession, Delivery, OutgoingMessage, PublishingSession
from scanner.errors import BrokerError, BrokerRefused, PublishRejected
from scanner.log import shown
from scanner.services.work.admission import Admitted, NewerVersion, Refused, admit
from scanner.services.work.answer import Answer, refusal
from scanner.services.work.batch import Batches
from scanner.services.work.status import Tally, WorkSettings, WorkState
from scanner.waiting import stop

_REFUSAL_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_RETURN_WITHIN_S = 5.0
_SHORTAGE_PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)

log = structlog.get_logger(__name__)


class Shift:
    """Works until a session is lost, it drains, or a message of a newer version comes."""

    def __init__(
        self,
        publisher: PublishingSession,
        consumer: ConsumingSession,
        batches: Batches,
        settings: WorkSettings,
        tally: Tally,
    ) -> None:
        self._publisher, self._consumer = publisher, consumer
        self._batches, self._settings, self._tally = batches, settings, tally
        self._in_hand: dict[asyncio.Task[None], Delivery] = {}
        self._ids: dict[str, asyncio.Future[None]] = {}
        self.is_refusing = False
        """Whether a message of a newer version was met: nothing more is taken."""

    async def run(self, draining: asyncio.Event) -> None:
        """Work; when draining, finish what is in hand within `drain_s` and give the rest back.

        Raises:
            BrokerError: a session was lost, or an answer cannot be delivered; open others.
        """
        taking = asyncio.create_task(self._take(), name="work.take")
        ends: list[asyncio.Future[Any]] = [asyncio.ensure_future(draining.wait())]
        ends += [asyncio.ensure_future(session.wait_lost()) for session in (self._publisher, self._consumer)]
        try:
            await asyncio.wait({taking, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if draining.is_set():
                await self._drain()
            self._raise_what_ended_it(taking)
            if self.is_refusing:
                await draining.wait()  # whatever becomes of the sessions
        finally:
            await stop(taking, *ends, *self._in_hand)
            if not taking.cancelled():
                taking.exception()  # retrieved: the loss of a session is told by whichever saw it first

    def _raise_what_ended_it(self, taking: "asyncio.Task[None]") -> None:
        lost = self._publisher.error or self._consumer.error
        if lost is not None:
            raise lost
        if taking.done() and not taking.cancelled() and (error := taking.exception()) is not None:
            raise error

    async def _take(self) -> None:
        """Start a task for each delivery; the prefetch bounds how many there are."""
        try:
            async with asyncio.TaskGroup() as group:
                while deliveries := await self._consumer.receive(self._settings.prefetch):
                    for delivery in deliveries:
                        task = group.create_task(self._handle(delivery), name="work.delivery")
                        self._in_hand[task] = delivery
                        task.add_done_callback(self._drop)
                        self._show()
        except BaseExceptionGroup as group:
            lost = group.subgroup(BrokerError)
            raise (lost or group).exceptions[0] from None

    def _drop(self, task: "asyncio.Task[None]") -> None:
        del self._in_hand[task]
        self._show()

    def _show(self) -> None:
        self._tally.hold(len(self._in_hand), self._batches.away)

    async def _drain(self) -> None:
        """Take nothing more, finish what can be finished in time, return the rest."""
        self._tally.show(WorkState.DRAINING, f"{len(self._in_hand)} messages in hand")
        await self._consumer.stop()
        if self._in_hand:
            lost = asyncio.ensure_future(self._consumer.wait_lost())
            everything = asyncio.ensure_future(asyncio.wait(set(self._in_hand)))
            await asyncio.wait(
                {lost, everything}, timeout=self._settings.drain_s, return_when=asyncio.FIRST_COMPLETED
            )
            lost.cancel()
            everything.cancel()
        left = dict(self._in_hand)
        if left:
            log.info("work.given_back", messages=len(left))
            await stop(*left)
            await self._return(list(left.values()))

    async def _return(self, deliveries: Sequence[Delivery]) -> None:
        """Put them at the end of their queue: given back they would count as delivered, and be taken apart."""
        try:
            async with asyncio.timeout(_RETURN_WITHIN_S):
                await self._consumer.put_last(deliveries)
        except (BrokerError, TimeoutError) as error:  # the session's end gives them back
            log.warning("work.not_put_last", messages=len(deliveries), error=repr(error))

    # One delivery

    async def _handle(self, delivery: Delivery) -> None:
        """Answer one delivery and acknowledge it; the same message delivered twice is worked on once a time."""
        while delivery.message_id in self._ids:
            await asyncio.shield(self._ids[delivery.message_id])
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ids[delivery.message_id] = done
        try:
            await self._answer(delivery)
        finally:
            del self._ids[delivery.message_id]
            done.set_result(None)

    async def _answer(self, delivery: Delivery) -> None:
        try:
            admitted = admit(delivery)
        except NewerVersion as error:
            await self._refuse_newer(delivery, error)
        except Refused as error:
            await self._refuse(delivery, str(error))
        except Exception as error:
            log.exception("work.failed_on_message", message_id=shown(delivery.message_id))
            await self._refuse(delivery, f"the worker cannot read it: {error!r}")
        else:
            async with self._batches.turn(delivery, admitted):
                answer = await self._worked_off(delivery, admitted)
                await self._send(answer.messages, delivery)
            self._tally.add(answer.verdicts, answer.counts)

    async def _refuse(self, delivery: Delivery, reason: str) -> None:
        log.warning("work.refused", message_id=shown(delivery.message_id), reason=shown(reason))
        await self._send([refusal(delivery, reason)], delivery)
        self._tally.count(refused=1)

    async def _worked_off(self, delivery: Delivery, admitted: Admitted) -> Answer:
        """Return the answer; while this machine is short of something, wait with the message in hand."""
        for pause_s in itertools.chain(_SHORTAGE_PAUSES_S, itertools.repeat(_SHORTAGE_PAUSES_S[-1])):
            try:
                await self._declare_results(admitted.batch.catalog)
                return await self._batches.answer(delivery, admitted)
            except BrokerError:
                raise
            except (OSError, MemoryError) as error:
                log.error("work.cannot_work", error=repr(error), again_in_s=pause_s)  # noqa: TRY400 - it says it all
                await asyncio.sleep(pause_s)
            except Exception as error:
                log.exception("work.failed_on_message", message_id=shown(delivery.message_id))
                return self._batches.after_defect(delivery, admitted, error)
        raise AssertionError  # the pauses never end

    async def _declare_results(self, catalog: str) -> None:
        try:
            await self._publisher.declare_results(catalog)
        except BrokerRefused as error:  # it exists with other arguments: it may take results all the same
            log.error("work.results_queue_refused", error=str(error))  # noqa: TRY400 - the sentence says it all

    async def _refuse_newer(self, delivery: Delivery, error: NewerVersion) -> None:
        """Leave the message to a newer worker, and take nothing more: it would only come back."""
        if not self.is_refusing:
            self.is_refusing = True
            log.error("work.newer_version", found=str(error), remedy="upgrade this worker")
            await self._consumer.stop()
            self._tally.show(WorkState.REFUSING, f"{error}: upgrade this worker")
        await self._consumer.put_last([delivery])

    async def _send(self, messages: Sequence[OutgoingMessage], delivery: Delivery) -> None:
        """Publish what answers a delivery, and acknowledge it."""
        await self._publish(messages, delivery)
        await self._consumer.acknowledge([delivery])
        self._tally.count(messages=1)

    async def _publish(self, messages: Sequence[OutgoingMessage], delivery: Delivery) -> None:
        """Publish until every message is confirmed: a full queue is waited for.

        Raises:
            BrokerError: the session was lost, or a message was returned though its queue was declared.
        """
        waiting = list(messages)
        for pause_s in itertools.chain(_REFUSAL_PAUSES_S, itertools.repeat(_REFUSAL_PAUSES_S[-1])):
            outcome = await self._publisher.publish(waiting, answers=delivery)
            if outcome.error is not None:
                raise outcome.error
            confirmed = set(outcome.confirmed)
            returned = [one for one in waiting if one.id in outcome.returned]
            waiting = [one for one in waiting if one.id not in confirmed and one not in returned]
            if returned:
                waiting.append(_instead_of(returned, delivery))
            if not waiting:
                return
            log.warning("work.answer_refused", messages=len(waiting), retry_in_s=pause_s)
            self._publisher.narrow()
            await asyncio.sleep(pause_s)
            await self._publisher.refresh()


def _instead_of(returned: Sequence[OutgoingMessage], delivery: Delivery) -> OutgoingMessage:
    """Return the dead letter that stands for results which no queue takes.

    Raises:
        PublishRejected: something else was returned: the topology has to be declared again.
    """
    if any(one.type != message.RESULTS_TYPE for one in returned):
        raise PublishRejected("the broker returned an answer: no queue takes it; declaring the topology again")
    return replace(refusal(delivery, f"no queue takes {returned[0].route}"), id=returned[0].id)
