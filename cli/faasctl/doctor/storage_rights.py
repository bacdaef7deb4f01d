"""The platform may do at the storages what its jobs will do: get tokens, write, read and remove a file."""

from __future__ import annotations

from collections.abc import Iterator

from eventflow.errors import FaasError
from faasctl.doctor.finding import Finding, ok, problem
from faasctl.doctor.probe import CONTENT, Probe, probes
from faasctl.environment import Environment

_REMEDY = "compare the policy's credential and prefixes with what the storage grants this identity"


def check(env: Environment) -> Iterator[Finding]:
    """One finding per policy and prefix to write to."""
    for probe in probes(env):
        with probe:
            yield _about(probe)


def _about(probe: Probe) -> Finding:
    about = f"policy {probe.policy.namespace}: {probe.directory.rstrip('/').rpartition('/')[0]}"
    doing = "write"
    try:
        probe.write()
        doing = "read"
        if probe.readable() and (found := probe.read()) != CONTENT:
            return problem(about, f"what was written reads as other {len(found)} bytes", "look at the storage's pools")
        doing = "remove"
        probe.remove()
    except FaasError as error:
        return problem(about, f"cannot {doing} a file: {error}", error.hint or _REMEDY)
    return ok(about, "a file was written, read and removed with tokens for it alone")
