"""The broker side: a child process that does AMQP and short SQL, and nothing else, so that nothing starves it.

`BrokerSide` is the parent's handle; `python -m scanner.app.broker_side` is the child; `lines` is what the two
say to each other over the child's stdin and stdout. They share no memory and meet only in the database: the
death of either loses nothing.
"""

from scanner.app.broker_side.handle import BrokerSide
from scanner.app.broker_side.lines import BrokerSideSettings

__all__ = ["BrokerSide", "BrokerSideSettings"]
