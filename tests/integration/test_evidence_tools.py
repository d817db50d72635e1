"""Trees, the independent consumer and the naive control: what the proofs lean on."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Amqp
from tests.support import amqp as amqp_calls
from tests.support import consumer, trees
from tests.support.processes import REPOSITORY
from tests.support.shims import Shims


def test_find_sees_every_name_of_a_varied_library(tmp_path: Path) -> None:
    trees.make_library(tmp_path / "library", 600, seed=3)
    everything = trees.find_files(tmp_path / "library", hidden=True)
    shown = trees.find_files(tmp_path / "library")
    assert len(everything) == 600
    assert len(shown) < 600
    assert not any(b"/." in b"/" + path for path in shown)
    assert any(b"\n" in path for path in shown)
    assert any(not _is_utf8(path) for path in shown)
    assert max(len(path.rpartition(b"/")[2]) for path in everything) == 255
    assert {size > 700_000_000 for size in shown.values()} == {True, False}
    videos = trees.find_files(tmp_path / "library", suffixes=[".mkv"])
    assert videos == {path: size for path, size in shown.items() if path.lower().endswith(b".mkv")}


def test_a_library_is_a_function_of_its_seed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        trees.make_library(tmp_path / name, 200, seed=5)
    one, two = (trees.find_files(tmp_path / name, hidden=True) for name in ("one", "two"))
    assert one == two


def test_a_tree_beyond_path_max_can_be_made_listed_aged_and_removed(tmp_path: Path) -> None:
    path = trees.make_deep(tmp_path / "deep")
    assert len(path) > 4096
    assert list(trees.find_files(tmp_path / "deep")) == [path]
    trees.age_directories(tmp_path / "deep")
    trees.remove(tmp_path / "deep")
    assert not (tmp_path / "deep").exists()


def test_consumer_gives_exact_bytes_in_order_and_empties_the_queue(amqp: Amqp) -> None:
    amqp_calls.declare_queue(amqp.url, amqp.tasks)
    raw = b"caf\xe9\n.mkv"
    bodies = [
        _body({"path": "plain.mkv"}),
        _body({"path": "caf?", "path_bytes": base64.b64encode(raw).decode()}),
    ]
    amqp_calls.publish(amqp.url, amqp.tasks, bodies)
    messages = consumer.drain(amqp.url, amqp.tasks)
    assert consumer.sizes(messages) == {b"plain.mkv": 7, raw: 7}
    assert [message.delivery_mode for message in messages] == [2, 2]
    assert amqp.node.queue_depth(amqp.tasks) == 0
    with pytest.raises(AssertionError, match="more than once"):
        consumer.sizes([*messages, *messages])


def test_naive_scanner_loses_its_connection_on_a_slow_walk(amqp: Amqp, shims: Shims, tmp_path: Path) -> None:
    trees.make_flat(tmp_path / "library", 300, directories=300)
    url = amqp.node.url(heartbeat_s=1)
    done = _naive(tmp_path / "library", url, amqp.tasks, shims.slow(root=tmp_path, directory_ms=20))
    assert done.returncode == 1, done.stderr
    assert "connection lost" in done.stderr
    assert "missed heartbeats from client, timeout: 1s" in amqp.node.log_text()


def test_naive_scanner_hands_over_everything_when_nothing_is_in_its_way(amqp: Amqp, tmp_path: Path) -> None:
    trees.make_flat(tmp_path / "library", 300)
    done = _naive(tmp_path / "library", amqp.url, amqp.tasks, {})
    assert done.stdout.strip() == "300", done.stderr
    assert amqp.node.queue_depth(amqp.tasks) == 300


def _naive(root: Path, url: str, queue: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.support.naive", str(root), url, queue],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _body(task: dict[str, object]) -> bytes:
    whole = {
        "file": 1,
        "revision": 1,
        "content": 1,
        "change": "added",
        "kind": "video",
        "size": 7,
        "mtime_ns": "1",
    }
    return json.dumps({"root": "/srv", "tasks": [{**whole, **task}]}).encode()


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_benchmark_tree_has_exactly_what_was_asked_for_and_is_made_once(tmp_path: Path) -> None:
    asked = [str(tmp_path / "tree"), "--files", "1500", "--directories", "140", "--processes", "1"]
    assert "made in" in _generate(*asked)
    assert "there already" in _generate(*asked)
    assert len(trees.find_files(tmp_path / "tree", hidden=True)) == 1500
    assert sum(1 for _ in os.walk(tmp_path / "tree")) == 140
    assert "--force replaces it" in _generate(str(tmp_path / "tree"), "--files", "9")


def _generate(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.generate_tree", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr
