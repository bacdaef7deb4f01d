"""PEM text as files, since TLS libraries read only files."""

from __future__ import annotations

import os
import tempfile


def pem_file(*parts: str) -> str:
    """Write PEM text to a file of mode 0600 that stays for the process's life.

    Action containers are few and their files die with them.
    """
    descriptor, name = tempfile.mkstemp(suffix=".pem")
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(part.rstrip() + "\n" for part in parts))
    return name
