"""A child that ends with its parent, even when the parent was killed with -9.

The parent keeps the writing end of a pipe; the kernel closes it when the parent dies, however it dies.
Portable, unlike PR_SET_PDEATHSIG, and not confused by threads.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading

VARIABLE = "FAASCTL_LIFELINE_FD"


def watch() -> None:
    """End this process by SIGTERM as soon as the parent's end of the lifeline is closed; no lifeline, no watch."""
    text = os.environ.pop(VARIABLE, "")
    if not text.isdigit():
        return
    descriptor = int(text)
    os.set_inheritable(descriptor, False)

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(descriptor, 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
