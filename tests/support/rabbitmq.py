"""A private RabbitMQ node: own ports, own epmd, own cookie, own folders; killed, frozen, alarmed at will.

Nothing of it is shared with another node of the machine, and it ends with the process that started it.
Source: RabbitMQ's "Environment Variables" and rabbitmqctl(8).
"""

import atexit
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.support import amqp
from tests.support.services import (
    ServiceUser,
    find_program,
    free_port,
    give,
    private_folder,
    run_as,
    start_process,
)
from tests.support.waiting import wait_until

_SCRIPTS = "/usr/lib/rabbitmq/bin"
_START_TIMEOUT_S = 90.0
_CTL_TIMEOUT_S = 60.0
_ALARM_SET = "memory resource limit alarm set"
_CONNECTION_COLUMNS = (
    "pid",
    "name",
    "user",
    "vhost",
    "peer_port",
    "state",
    "timeout",
    "channels",
    "connected_at",
    "client_properties",
)


@dataclass(frozen=True, slots=True)
class BrokerConnection:
    """One row of `rabbitmqctl list_connections`; `pid` tells two connections apart for good."""

    pid: str
    name: str
    user: str
    vhost: str
    peer_port: int
    state: str
    timeout_s: int
    channels: int
    connected_at: int
    client_properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Ports:
    amqp: int
    distribution: int
    epmd: int


class RabbitNode:
    """One node and its epmd, from `start()` to `close()`; what it stores survives `kill()` and `stop()`."""

    def __init__(self, *, extra_config: str = "") -> None:
        """Prepare a node; `extra_config` is appended to its rabbitmq.conf (a TLS listener, say).

        Raises:
            ServiceMissing: RabbitMQ is not installed.
        """
        self._server = find_program("rabbitmq-server", _SCRIPTS)
        self._control = find_program("rabbitmqctl", _SCRIPTS)
        self._epmd_program = find_program("epmd", "/usr/lib/erlang/erts-*/bin", "/usr/lib64/erlang/erts-*/bin")
        self._user = ServiceUser.named("rabbitmq")
        self._ports = _Ports(free_port(), free_port(), free_port())
        self._name = f"scanner-test-{secrets.token_hex(4)}@localhost"
        self.folder = private_folder("rabbitmq", self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._write_files(extra_config)
        atexit.register(self.close)

    @property
    def port(self) -> int:
        """The loopback port of the AMQP listener."""
        return self._ports.amqp

    @property
    def pid(self) -> int:
        """The process id of the running node (the Erlang machine itself)."""
        assert self._process is not None, "the node is not running"
        return self._process.pid

    def is_running(self) -> bool:
        """Tell whether the node's process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> "RabbitNode":
        """Start the node (again), with what it stored; returns when clients can connect unless not to wait."""
        assert not self.is_running(), "the node runs already"
        self._start_epmd()
        self._process = start_process(
            [self._server, "-noinput"],
            user=self._user,
            environment=self._environment(),
            folder=self.folder,
            log=self.folder / "console.log",
        )
        if wait:
            self.wait_until_up()
        return self

    def wait_until_up(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Return once the node answers an AMQP handshake; its listeners open last.

        Raises:
            AssertionError: it died or did not answer in time; the text holds its console.
        """
        wait_until(self._answers_or_died, timeout_s, what="RabbitMQ answers", interval_s=0.1)
        if not self.is_running():
            raise AssertionError(f"RabbitMQ died at its start:\n{self._console()}")

    def stop(self) -> None:
        """Stop the node in order (SIGTERM, as systemd does), -9 if it does not end within 60 s."""
        self.thaw()
        self._end(signal.SIGTERM, timeout_s=60)

    def kill(self) -> None:
        """End the node with SIGKILL; `start()` brings it back with what was on its disk."""
        self._end(signal.SIGKILL, timeout_s=20)

    def restart(self) -> None:
        """Stop in order and start again."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the node's process in its tracks (SIGSTOP): TCP stays open, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen node go on (SIGCONT)."""
        if self.is_running():
            os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End node and epmd and remove the folder; harmless when done already."""
        atexit.unregister(self.close)
        self._end(signal.SIGKILL, timeout_s=20)
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait(20)
            self._epmd = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(
        self,
        vhost: str = "/",
        *,
        user: str = "guest",
        password: str = "guest",
        heartbeat_s: int | None = None,
        port: int | None = None,
    ) -> str:
        """Return the AMQP URL of a virtual host; `port` is another one to connect to, a proxy's."""
        query = "" if heartbeat_s is None else f"?heartbeat={heartbeat_s}"
        credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"amqp://{credentials}@127.0.0.1:{port or self.port}/{quote(vhost, safe='')}{query}"

    def ctl(self, *arguments: str, timeout_s: float = _CTL_TIMEOUT_S) -> str:
        """Run `rabbitmqctl` against this node (takes a second or two) and return what it prints."""
        return run_as(
            [self._control, "--quiet", *arguments],
            user=self._user,
            environment=self._environment(),
            folder=self.folder,
            timeout_s=timeout_s,
        )

    def log_text(self) -> str:
        """Return the whole of the node's log."""
        log = self.folder / "log" / "node.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def connections(self) -> list[BrokerConnection]:
        """Return the open client connections."""
        rows = json.loads(self.ctl("list_connections", *_CONNECTION_COLUMNS, "--formatter", "json"))
        return [_connection(row) for row in rows]

    def queue_depth(self, queue: str, vhost: str = "/") -> int:
        """Return how many messages of `queue` are ready (asked over AMQP: quick).

        Raises:
            amqp.QueueMissing: there is no such queue.
        """
        return amqp.queue_depth(self.url(vhost), queue)

    def queue_exists(self, queue: str, vhost: str = "/") -> bool:
        """Tell whether `queue` is declared."""
        try:
            self.queue_depth(queue, vhost)
        except amqp.QueueMissing:
            return False
        return True

    def add_vhost(self, name: str, user: str = "guest") -> str:
        """Make a virtual host that `user` may use, and return its URL."""
        self.ctl("add_vhost", name)
        self.ctl("set_permissions", "-p", name, user, ".*", ".*", ".*")
        return self.url(name, user=user)

    def add_user(self, user: str, password: str, vhost: str = "/") -> None:
        """Make a user with every permission on `vhost`."""
        self.ctl("add_user", user, password)
        self.ctl("set_permissions", "-p", vhost, user, ".*", ".*", ".*")

    @contextlib.contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """Hold the memory alarm raised: every publishing connection is blocked meanwhile."""
        self.set_memory_alarm()
        try:
            yield
        finally:
            self.clear_memory_alarm()

    def set_memory_alarm(self) -> None:
        """Raise the memory alarm, and return when it is raised."""
        before = self.log_text().count(_ALARM_SET)
        self._set_watermark("0.0000001")
        wait_until(lambda: self.log_text().count(_ALARM_SET) > before, 20, what="the memory alarm")

    def clear_memory_alarm(self) -> None:
        """Clear the memory alarm."""
        self._set_watermark("0.6")

    def set_policy(self, name: str, pattern: str, definition: dict[str, object], vhost: str = "/") -> None:
        """Apply a policy to the queues whose name matches `pattern`, such as `{"max-length": 100}`."""
        self.ctl("set_policy", "-p", vhost, "--apply-to", "queues", name, pattern, json.dumps(definition))

    def clear_policy(self, name: str, vhost: str = "/") -> None:
        """Remove a policy."""
        self.ctl("clear_policy", "-p", vhost, name)

    def delete_queue(self, queue: str, vhost: str = "/") -> None:
        """Delete a queue with what it holds."""
        amqp.delete_queue(self.url(vhost), queue)

    def delete_exchange(self, exchange: str, vhost: str = "/") -> None:
        """Delete an exchange and its bindings."""
        amqp.delete_exchange(self.url(vhost), exchange)

    def close_connection(self, connection: BrokerConnection, reason: str = "closed by a test") -> None:
        """Close one client connection from the broker's side (320 CONNECTION_FORCED)."""
        rows = [row.split("\t") for row in self.ctl("list_connections", "pid", "name").splitlines()]
        erlang_pid = next(pid for pid, name in rows if name == connection.name)
        self.ctl("close_connection", erlang_pid, reason)

    def _write_files(self, extra_config: str) -> None:
        config = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "vm_memory_high_watermark.relative = 0.6",
            "disk_free_limit.absolute = 50MB",
            "raft.wal_max_size_bytes = 67108864",
            "log.file.level = info",
            extra_config,
        ]
        files = {
            "rabbitmq.conf": "\n".join(config) + "\n",
            "rabbitmq-env.conf": "",
            "enabled_plugins": "[].\n",
            ".erlang.cookie": secrets.token_hex(20).upper(),
        }
        for name, text in files.items():
            (self.folder / name).write_text(text)
            give(self.folder / name, self._user, 0o400 if name == ".erlang.cookie" else 0o600)

    def _environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin",
            "LANG": "C.UTF-8",
            "HOME": folder,
            "ERL_EPMD_PORT": str(self._ports.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": os.devnull,
            "RABBITMQ_ALLOW_INPUT": "true",  # the script becomes the node: its pid is the node's
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._ports.distribution),
            "RABBITMQ_CTL_DIST_PORT_MIN": "35672",
            "RABBITMQ_CTL_DIST_PORT_MAX": "36672",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_LOGS": f"{folder}/log/node.log",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/rabbitmq-env.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
        }

    def _start_epmd(self) -> None:
        if self._epmd is not None and self._epmd.poll() is None:
            return
        self._epmd = start_process(
            [self._epmd_program, "-port", str(self._ports.epmd), "-address", "127.0.0.1"],
            user=self._user,
            environment=self._environment(),
            folder=self.folder,
            log=self.folder / "console.log",
        )
        wait_until(lambda: _accepts(self._ports.epmd), 10, what="epmd listens")

    def _answers_or_died(self) -> bool:
        return not self.is_running() or _greets(self.port)

    def _end(self, number: signal.Signals, *, timeout_s: float) -> None:
        if self._process is None:
            return
        if self.is_running():
            self._process.send_signal(number)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout_s)
        self._process = None

    def _console(self) -> str:
        return (self.folder / "console.log").read_text(errors="replace")[-4000:]

    def _set_watermark(self, fraction: str) -> None:
        self.ctl("set_vm_memory_high_watermark", fraction)


def _connection(row: dict[str, Any]) -> BrokerConnection:
    properties = row["client_properties"]
    return BrokerConnection(
        pid=row["pid"],
        name=row["name"],
        user=row["user"],
        vhost=row["vhost"],
        peer_port=int(row["peer_port"]),
        state=row["state"],
        timeout_s=int(row["timeout"]),
        channels=int(row["channels"]),
        connected_at=int(row["connected_at"]),
        client_properties=properties if isinstance(properties, dict) else {p[0]: p[-1] for p in properties},
    )


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _greets(port: int) -> bool:
    """Tell whether an AMQP broker answers the protocol header with Connection.Start (a method frame: 1)."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(5)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False
