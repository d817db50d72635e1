"""The topology of CONTRACT.md, as far as it can be read off without a broker."""

from scanner.broker.topology import Topology

QUORUM = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 20,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


def test_dead_letters_are_declared_before_what_sends_them() -> None:
    topology = Topology("scanner", "c")
    assert topology.exchanges[0].name == "scanner.dead"
    assert topology.queues[0].name == "scanner.dead"


def test_tasks_queue_has_the_arguments_of_the_contract() -> None:
    queue = Topology("p").tasks_queue
    assert (queue.name, queue.exchange.name, queue.exchange.kind) == ("p.tasks", "p.tasks", "direct")
    assert queue.arguments == QUORUM | {"x-dead-letter-exchange": "p.dead"}


def test_a_delayed_task_comes_back_by_the_key_of_the_tasks_exchange() -> None:
    retries = {queue.name: queue for queue in Topology("p").queues if queue.name.startswith("p.retry.")}
    assert retries.keys() == {"p.retry.10s", "p.retry.60s", "p.retry.600s"}
    arguments = retries["p.retry.60s"].arguments
    assert arguments["x-message-ttl"] == 60_000
    assert arguments["x-dead-letter-exchange"] == "p.tasks"
    assert arguments["x-dead-letter-routing-key"] == Topology("p").tasks_queue.binding_key


def test_only_a_known_catalog_has_a_results_queue() -> None:
    assert not [queue for queue in Topology("p").queues if "results" in queue.name]
    (results,) = [queue for queue in Topology("p", "abc").queues if "results" in queue.name]
    assert (results.name, results.binding_key) == ("p.results.abc", "result.abc.#")


def test_no_length_limit_is_fixed_in_arguments() -> None:
    for queue in Topology("p", "c").queues:
        assert not {"x-max-length", "x-max-priority", "x-queue-mode"} & queue.arguments.keys()
