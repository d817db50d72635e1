"""The relay against a real RabbitMQ: every promise, and every trap of aio-pika it defends against."""
