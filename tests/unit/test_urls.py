"""No password is ever shown, whatever shape its URL is in."""

import pytest

from scanner.urls import mask


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://user:s3cret@host:5672/v", "amqp://user:***@host:5672/v"),
        ("amqps://user:s3cret@host", "amqps://user:***@host"),
        (
            "postgresql+psycopg://u:s3cret@h/db?sslmode=require",
            "postgresql+psycopg://u:***@h/db?sslmode=require",
        ),
        ("amqp://user:s3c@ret@host/v", "amqp://user:***@host/v"),
        ("amqp://user:s3c/ret@host/v", "amqp://user:***@host/v"),
        ("postgresql://h/db?user=u&password=s3cret&x=1", "postgresql://h/db?user=u&password=***&x=1"),
        ("amqp://host:5672/v", "amqp://host:5672/v"),
        ("sqlite:////srv/catalog.db", "sqlite:////srv/catalog.db"),
        ("embedded", "embedded"),
    ],
)
def test_password_is_masked_and_the_rest_is_readable(url: str, shown: str) -> None:
    assert mask(url) == shown
