"""Scanner: walks big media libraries and hands every change to RabbitMQ, losing nothing."""

__version__ = "0.1.0"
