"""The ground the other tests stand on does what it says."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiormq
import pytest

from tests.conftest import Amqp
from tests.support import amqp as amqp_calls
from tests.support import processes
from tests.support.postgresql import PostgresCluster
from tests.support.proxy import TcpProxy
from tests.support.rabbitmq import RabbitNode
from tests.support.waiting import wait_until


def test_wait_until_gives_the_value_and_names_what_never_came() -> None:
    assert wait_until(lambda: 7) == 7
    with pytest.raises(AssertionError, match="pigs fly"):
        wait_until(lambda: 0, 0.05, what="pigs fly")


def test_rabbitmq_shows_the_negotiated_heartbeat_of_a_connection(rabbitmq: RabbitNode) -> None:
    async def look(channel: aiormq.abc.AbstractChannel) -> list[int]:
        del channel
        return [one.timeout_s for one in await asyncio.to_thread(rabbitmq.connections)]

    assert 7 in amqp_calls.call(rabbitmq.url(heartbeat_s=7), look)


def test_rabbitmq_keeps_confirmed_messages_over_a_kill(rabbitmq_of_my_own: RabbitNode) -> None:
    node = rabbitmq_of_my_own
    amqp_calls.declare_queue(node.url(), "kept", {"x-queue-type": "classic"})
    amqp_calls.publish(node.url(), "kept", [b"one", b"two"])
    node.kill()
    node.start()
    assert node.queue_depth("kept") == 2
    with node.memory_alarm():
        pass
    assert "alarm set" in node.log_text()


def test_amqp_fixture_deletes_what_a_test_declared(rabbitmq: RabbitNode, amqp: Amqp) -> None:
    amqp_calls.declare_queue(amqp.url, amqp.tasks)
    assert rabbitmq.queue_exists(amqp.tasks)
    assert not rabbitmq.queue_exists(f"{amqp.prefix}.other")


def test_postgresql_gives_databases_of_their_own(postgresql: PostgresCluster) -> None:
    one, other = postgresql.database(), postgresql.database()
    with postgresql.connect(one) as connection:
        connection.execute("CREATE TABLE here (id int)")
    with postgresql.connect(other) as connection:
        found = connection.execute("SELECT to_regclass('here')").fetchone()
    assert found == (None,)
    postgresql.drop(one)
    postgresql.drop(other)


def test_postgresql_keeps_what_was_committed_over_a_kill(postgresql: PostgresCluster) -> None:
    url = postgresql.database()
    with postgresql.connect(url) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    postgresql.kill()
    postgresql.start()
    with postgresql.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_database_url_is_once_sqlite_and_once_postgresql(database_url: str) -> None:
    assert database_url.startswith(("sqlite:////", "postgresql://"))


@pytest.fixture
def echo() -> Iterator["subprocess.Popen[bytes]"]:
    code = (
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "while True:\n"
        "    end, _ = listener.accept()\n"
        "    with end:\n"
        "        try:\n"
        "            while data := end.recv(1000): end.sendall(data)\n"
        "        except ConnectionResetError: pass\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as server:
        yield server
        server.kill()


def test_proxy_cuts_pauses_swallows_and_refuses(echo: "subprocess.Popen[bytes]") -> None:
    with TcpProxy(_port_of(echo)) as line:
        first = _connect(line)
        assert _echoed(first, b"a") == b"a"
        line.pause()
        first.settimeout(0.2)
        first.sendall(b"b")
        with pytest.raises(TimeoutError):
            first.recv(1)
        line.resume()
        first.settimeout(5)
        assert first.recv(1) == b"b"
        assert line.cut() == 1
        with pytest.raises(ConnectionResetError):
            first.recv(1)
        _check_blackhole(line)
        line.refuse()
        with pytest.raises(ConnectionResetError), _connect(line) as refused:
            _echoed(refused, b"c")
        first.close()


def _check_blackhole(line: TcpProxy) -> None:
    with _connect(line) as old:
        assert _echoed(old, b"c") == b"c"
        line.blackhole()
        with _connect(line) as new:
            for end in (old, new):
                with pytest.raises(TimeoutError):
                    _echoed(end, b"d", timeout_s=0.2)
            line.resume()
            for end in (old, new):
                end.settimeout(5)
                with pytest.raises(ConnectionResetError):
                    end.recv(1)


def _port_of(echo: "subprocess.Popen[bytes]") -> int:
    assert echo.stdout is not None
    return int(echo.stdout.readline())


def _connect(line: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", line.port), timeout=0.2)


def _echoed(end: socket.socket, data: bytes, timeout_s: float = 5) -> bytes:
    end.settimeout(timeout_s)
    end.sendall(data)
    return end.recv(100)


def test_marked_processes_are_found_with_their_descendants(tmp_path: Path) -> None:
    environment = processes.scanner_environment(tmp_path)
    mark = environment[processes.MARK]
    command = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()', 'walker'])"
    with subprocess.Popen([sys.executable, "-c", command], env=environment, stdin=subprocess.PIPE) as parent:
        found = wait_until(lambda: [one for one in processes.marked(mark) if "walker" in one.command])
        assert processes.role_of(found[0], parent.pid) == "walker"
        assert found[0].pid in [one.pid for one in processes.descendants(parent.pid)]
        assert found[0].memory_peak_bytes() > 1_000_000
        os.kill(parent.pid, signal.SIGKILL)
        with pytest.raises(AssertionError, match="left over"):
            processes.assert_no_process_left(mark, timeout_s=0.1)
        processes.assert_no_process_left(mark)
