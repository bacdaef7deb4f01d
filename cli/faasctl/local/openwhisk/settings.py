"""What an installation of OpenWhisk decides: kinds, limits, throttles."""

from __future__ import annotations

import sys

import msgspec

MB = 1024 * 1024


def kinds_here() -> tuple[str, ...]:
    """Apache's kinds, its default first, and the one that this interpreter is: all run on the interpreter at hand."""
    here = f"python:{sys.version_info.major}.{sys.version_info.minor}"
    return tuple(dict.fromkeys((*Settings().kinds, here)))


class Range(msgspec.Struct, frozen=True):
    """Least and greatest value allowed, and the one taken when none is given."""

    least: int
    greatest: int
    standard: int


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults are those of Apache OpenWhisk's application.conf and ansible/group_vars/all."""

    kinds: tuple[str, ...] = ("python:3.10", "python:3.11")
    default_kind: str = "python:3.10"
    timeout: Range = Range(100, 300_000, 60_000)
    memory: Range = Range(128, 512, 256)
    logs: Range = Range(0, 10, 10)
    concurrency: Range = Range(1, 1, 1)
    payload_size: int = MB
    """Bytes of a request's arguments, of all parameters of an entity, of its annotations, and of a result."""
    code_size: int = 48 * MB
    body_size: int = 50 * MB
    """Bytes of any request's body."""
    sequence_length: int = 50
    blocking_wait: float = 60.0
    """Seconds a blocking invocation waits before it is answered with 202."""
    throttled: bool = True
    invocations_per_minute: int = 60
    concurrent_invocations: int = 30
    fires_per_minute: int = 60
    most_in_flight: int = 10_000
    """Activations of all namespaces together that run or wait; holds without throttles, too."""
    containers: int = 16
    """Action processes at one time; activations beyond wait for one."""
    idle_seconds: float = 600.0
    """How long a container without work is kept."""
    activations_kept: int = 10_000
    activation_bytes_kept: int = 256 * MB

    def resolve_kind(self, kind: str) -> str | None:
        """``python:default`` becomes the default kind; an unknown kind None."""
        if kind == "python:default":
            return self.default_kind
        return kind if kind in self.kinds else None
