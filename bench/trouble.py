"""What is in the way of measuring, and how a run ends before its time."""

import signal
import sys
from types import FrameType


class Trouble(Exception):
    """The one error that is told to the person at the terminal in plain words: what it is, and what to do."""


def heed_termination() -> None:
    """From here on SIGTERM ends the process by way of all that is to be tidied up.

    npm passes a signal on that a terminal or a supervisor has sent to the whole group: the second one must not end the
    tidying up.
    """

    def end(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(143)

    signal.signal(signal.SIGTERM, end)
