"""Reading an answer without letting its sender decide how long that takes and how much it is."""

from __future__ import annotations

import time

import requests
import urllib3

MOST = 1 << 20
"""Bytes of an answer."""

LONGEST = 4.0
"""Seconds for its body, however slowly it comes: a socket's timeout begins anew with every byte."""


def read(answer: requests.Response, *, most: int = MOST, longest: float = LONGEST) -> bytes:
    """The body of an answer that was asked for with ``stream=True``.

    Raises `requests.RequestException` when it does not end within ``most`` bytes and ``longest`` seconds.
    """
    until = time.monotonic() + longest
    body = bytearray()
    try:
        while part := answer.raw.read1(65536, decode_content=True):
            body += part
            if len(body) > most:
                raise requests.exceptions.ContentDecodingError(f"more than {most} bytes")
            if time.monotonic() > until:
                raise requests.exceptions.ReadTimeout(f"more than {longest:g} s for an answer")
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ConnectionError(type(error).__name__) from None
    except BaseException:
        answer.close()  # its rest must not be taken for the next answer
        raise
    return bytes(body)
