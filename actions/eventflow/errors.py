"""The one root of every error that faasctl raises on purpose.

An error says *where* it happened (a file and line, an entity, a server), *why*, and a *hint* what to do.
None of the three may hold a secret: they are printed, logged and written to Kafka.
"""

from __future__ import annotations


class FaasError(Exception):
    """Something went wrong that a person can understand and act upon.

    ``why`` is one sentence without a full stop; ``where`` names the place (``function.yaml:7``,
    ``action guest/faas/mint_tokens``); ``hint`` says what to do about it. ``exit_code`` is the
    command line's: 1 for errors, 64 for wrong usage (sysexits' EX_USAGE).
    """

    exit_code = 1

    def __init__(self, why: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.why}" if self.where else self.why


class UsageError(FaasError):
    """The command or its options do not make sense together."""

    exit_code = 64


class ItemError(FaasError):
    """One work item cannot go on; the others of its batch do.

    ``code`` is a stable word for machines (``policy``, ``token_refused``, ``credential_refused``, ``unavailable``);
    ``retryable`` tells the feed whether to deliver the item again; ``destination`` names the outside
    system when it, and not the item, is in trouble (``storage:main``, ``schedd:bird``), so that an
    outage is never counted as the item's own failure.
    """

    def __init__(
        self,
        why: str,
        *,
        code: str,
        retryable: bool = False,
        destination: str | None = None,
        where: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(why, where=where, hint=hint)
        self.code = code
        self.retryable = retryable
        self.destination = destination
