"""The work service: task batches in, probed files out, each message acknowledged only after its answers.

`service` holds the sessions, `shift` works over one pair of them, `admission` refuses what is not ours, `batch`
works off one message, `suspects` lets what may have killed a worker wait its turn, `roots` knows which
libraries are there, `answer` turns verdicts into messages, `pressure` sets the pace.
"""

from scanner.services.work.service import Work
from scanner.services.work.status import WorkSettings, WorkState, WorkStatus

__all__ = ["Work", "WorkSettings", "WorkState", "WorkStatus"]
