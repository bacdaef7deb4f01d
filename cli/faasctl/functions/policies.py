"""The policies of an environment, by namespace."""

from __future__ import annotations

from pathlib import Path

from eventflow import policy
from eventflow.errors import FaasError
from eventflow.function import Function
from eventflow.policy import Policy, check_function
from eventflow.spec import SpecError
from faasctl.environment import Environment
from faasctl.functions.file import load_policy


class NoPolicy(FaasError):
    """The environment has no policy for a namespace."""


def policies_of(environment: Environment) -> dict[str, Policy]:
    """Read them: files of a folder, each named as its namespace, or the list in the environment itself."""
    if isinstance(environment.policies, str):
        return policies_in(Path(environment.policies))
    found: dict[str, Policy] = {}
    for index, source in enumerate(environment.policies):
        try:
            one = policy.decode(source)
        except SpecError as error:
            where = f"environment {environment.name}: policies[{index}]"
            raise FaasError(str(error), where=where, hint=error.hint) from None
        found[one.namespace] = one
    return found


def check(environment: Environment, function: Function) -> Policy:
    """The policy that ``function`` keeps to; raises `NoPolicy` or `eventflow.policy.PolicyError`."""
    known = policies_of(environment)
    if function.namespace not in known:
        raise NoPolicy(
            f"the environment {environment.name} has no policy for the namespace {function.namespace!r}",
            hint=f"there are: {', '.join(sorted(known)) or 'none'}; the platform team adds one",
        )
    check_function(known[function.namespace], function)
    return known[function.namespace]


def policies_in(folder: Path) -> dict[str, Policy]:
    """The policies of a folder, a file for each."""
    if not folder.is_dir():
        raise FaasError("is no folder with policies", where=str(folder), hint="see policies in the environment file")
    found: dict[str, Policy] = {}
    for path in sorted(folder.glob("*.yaml")):
        one = load_policy(path)
        if one.namespace != path.stem:
            why = f"is the policy of {one.namespace!r}, and a policy's file has its namespace's name"
            raise FaasError(why, where=str(path), hint=f"rename it to {one.namespace}.yaml")
        found[one.namespace] = one
    return found
