"""The message broker: all of aio-pika, and nothing else has it."""
