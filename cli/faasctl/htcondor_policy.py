"""The policies as HTCondor enforces them: the configuration of schedds and negotiator, rendered.

The platform checks a policy when a function is pushed and again when tokens are minted; this is the second wall, for
whoever holds the platform's own token.
"""

from __future__ import annotations

from collections.abc import Iterable

import jinja2

from eventflow.clients.condor_ad import literal
from eventflow.policy import Policy
from faasctl import bundle
from faasctl.environment import Environment
from faasctl.functions.policies import policies_of

TEMPLATE = "61-faas-policies.conf.j2"

CAPS = (
    ("Cpus", "RequestCpus", "cpus"),
    ("Memory", "RequestMemory", "MB of memory"),
    ("Gpus", "RequestGPUs", "GPUs"),
    ("Runtime", "FaasRuntime", "s of runtime"),
)
"""What is capped: its name in the configuration, the job's attribute, and how a refusal calls it."""

REQUIREMENTS = {
    "60-faas-schedd.conf": frozenset({"FaasShape", "FaasCpus", "FaasMemory", "FaasGpus"}),
    TEMPLATE.removesuffix(".j2"): frozenset(
        {"FaasPolicy", "FaasOpen", "FaasPolicyGroup", *(f"FaasPolicy{name}" for name, _, _ in CAPS)}
    ),
}
"""What a schedd with these files requires of every job, by the names that HTCondor keeps it under."""


def of_environment(env: Environment) -> str:
    """The configuration for an environment."""
    return configuration(env.name, policies_of(env).values())


def configuration(name: str, policies: Iterable[Policy]) -> str:
    """The configuration for the environment ``name``; needs `60-faas-schedd.conf`, which says who `FAAS_OWNER` is."""
    environment = jinja2.Environment(  # noqa: S701 - a configuration file, not HTML
        loader=jinja2.FileSystemLoader(bundle.manifests() / "htcondor"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["classad"] = literal
    ordered = sorted(policies, key=lambda one: one.namespace)
    return environment.get_template(TEMPLATE).render(
        name=name,
        policies=ordered,
        caps=CAPS,
        groups=groups(ordered),
        cpus=lambda one: one.max_resources.cpus,
        memory=lambda one: -(-one.max_resources.memory // 2**20),
        gpus=lambda one: one.max_resources.gpus,
        runtime=lambda one: int(one.max_resources.runtime),
        group=lambda one: literal(one.accounting_group or ""),
    )


def groups(policies: Iterable[Policy]) -> dict[str, float | None]:
    """The accounting groups with their share of the pool, each after the group that it is a part of.

    Several namespaces may share a group; then the largest share that one of them names is the group's.
    """
    found: dict[str, float | None] = {}
    for policy in policies:
        if policy.accounting_group is None:
            continue
        parts = policy.accounting_group.split(".")
        for count in range(1, len(parts)):
            found.setdefault(".".join(parts[:count]), None)
        shares = [one for one in (found.get(policy.accounting_group), policy.accounting_share) if one is not None]
        found[policy.accounting_group] = max(shares, default=None)
    return dict(sorted(found.items()))
