"""amqps:// against a node with a certificate of its own making."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scanner.broker.rabbit import RabbitBroker
from scanner.broker.session import BrokerSettings
from scanner.errors import BrokerRefused
from tests.support.rabbitmq import RabbitNode
from tests.support.services import free_port


@dataclass(frozen=True, slots=True)
class TlsNode:
    """A node that speaks TLS on `port`; `authority` is the file that vouches for it."""

    port: int
    authority: Path

    def url(self, query: str = "") -> str:
        return f"amqps://guest:guest@localhost:{self.port}/%2F{query}"


@pytest.fixture(scope="module")
def node(rabbitmq: RabbitNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsNode]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = _make_certificate(folder)
    port = free_port()
    # Not in the test's own folder: the service's user may not enter that.
    made = type(rabbitmq)()
    for file in (certificate, key):
        shutil.copy(file, made.folder / file.name)
        (made.folder / file.name).chmod(0o644)
    with (made.folder / "rabbitmq.conf").open("a") as config:
        config.write(
            f"listeners.ssl.1 = 127.0.0.1:{port}\n"
            f"ssl_options.certfile = {made.folder / certificate.name}\n"
            f"ssl_options.keyfile = {made.folder / key.name}\n"
        )
    made.start()
    yield TlsNode(port, certificate)
    made.close()


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = [
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return certificate, key


async def _open_and_close(url: str) -> int:
    session = await RabbitBroker(BrokerSettings(url, prefix="tls")).open_publishing()
    try:
        return await session.depth()
    finally:
        await session.close()


def test_amqps_is_spoken_with_an_authority_that_vouches_for_the_node(node: TlsNode) -> None:
    assert asyncio.run(_open_and_close(node.url(f"?cafile={node.authority}"))) == 0


def test_a_certificate_nobody_vouches_for_is_refused_and_not_tried_again(node: TlsNode) -> None:
    with pytest.raises(BrokerRefused, match="CERTIFICATE_VERIFY_FAILED"):
        asyncio.run(_open_and_close(node.url()))
