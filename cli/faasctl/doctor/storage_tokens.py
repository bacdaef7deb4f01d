"""A job's tokens open what they are for and nothing else: tried at the storage itself."""

from __future__ import annotations

from collections.abc import Iterator

from faasctl.doctor.finding import Finding, ok, warning
from faasctl.doctor.probe import probes
from faasctl.environment import Environment

_REMEDY = "docs/threat-model.md says what each limit means and what helps: XRootD 5.9.1, and a door of its own for jobs"


def check(env: Environment) -> Iterator[Finding]:
    """One finding per policy and prefix to write to, or one for each way out."""
    for probe in probes(env):
        with probe:
            about = f"policy {probe.policy.namespace}: {probe.directory.rstrip('/').rpartition('/')[0]}"
            probe.write()
            try:
                found = list(probe.strays())
            finally:
                probe.remove()
            for stray in found:
                yield warning(about, stray, _REMEDY)
            if not found:
                yield ok(about, "a job's tokens open its own file and directory and nothing beside them")
