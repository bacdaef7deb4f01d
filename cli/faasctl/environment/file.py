"""Reading an environment file: strict, every error with file, line and what to do."""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from eventflow.caller import is_safe
from eventflow.spec import Key, SpecError, duration
from faasctl import strict_yaml
from faasctl.decoding import decode
from faasctl.environment import credentials, find, variables
from faasctl.environment.model import Duration, Environment, HTCondorPool
from faasctl.environment.secret import Secret

ADMIN_KEY = 32
"""Characters that the administrator's key has at least: it is compared over the network."""


def load(
    name_or_path: str | Path,
    *,
    process: Mapping[str, str] = os.environ,
    look_up: variables.Lookup | None = None,
    partial: bool = False,
) -> Environment:
    """The environment of that name, or in that file when it is a path with a slash or a ``.yaml``.

    References are resolved with ``process`` (environment variables) and files, or with ``look_up`` when the
    caller has its own reading of them; with ``partial``, those that cannot be resolved stay as they are. Raises
    `SpecError` and `YamlError` with file and line, and `find.NoEnvironment`.
    """
    text = str(name_or_path)
    is_file = isinstance(name_or_path, Path) or "/" in text or text.endswith((".yaml", ".yml"))
    path = Path(text) if is_file else find.find(text)
    document = strict_yaml.read(path)
    private = not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)

    def hook(kind: type, value: Any) -> Any:
        if kind is Duration:
            return _duration(value)
        if kind is not Secret:
            raise NotImplementedError
        if not isinstance(value, str):
            raise msgspec.ValidationError("Expected `str`")
        if isinstance(value, variables.Resolved):
            return Secret(str(value), value.origin)
        if not private:
            raise msgspec.ValidationError(
                "Holds a secret in a file that others may read: "
                f"write ${{env:NAME}} or ${{file:PATH}}, or chmod 600 {path}"
            )
        return Secret(value)

    folder = path.parent.absolute()
    try:
        if not isinstance(document.value, dict):
            raise SpecError("must be a mapping", hint="faasctl init NAME writes an environment to start from")
        look_up = look_up or variables.from_process(process, folder)
        tree = variables.resolve(document.value, variables.where_known(look_up) if partial else look_up)
        environment = decode(tree, Environment, hook)
        _check(environment)
    except SpecError as error:
        located = document.located(error)
        if path == find.bundled(find.LOCAL):
            located.hint += "; or start the local stack, whose environment needs no variables: faasctl local up"
        raise located from None
    return _with_absolute_paths(environment, folder)


def _check(environment: Environment) -> None:
    """What the types cannot say."""
    registrations = environment.kafka.registrations
    if (registrations.topic is None) == (registrations.directory is None):
        raise SpecError(
            "must name a topic or a directory, and not both",
            key=("kafka", "registrations"),
            hint="registrations: {topic: NAME}",
        )
    seen = set()
    for index, storage in enumerate(environment.storages):
        if storage.name in seen:
            raise SpecError(f"there are two storages {storage.name!r}", key=("storages", index, "name"))
        seen.add(storage.name)
        for name, credential in storage.credentials.items():
            credentials.check(credential, ("storages", index, "credentials", name))
        _check_subnets(storage.subnets, ("storages", index, "subnets"))
    pool = environment.pool
    if isinstance(pool, HTCondorPool):
        if (pool.token is None) == (pool.scitoken is None):
            raise SpecError("must have a token or a scitoken, and not both", key=("pool",), hint="add pool.token: ...")
        if pool.scitoken is not None:
            credentials.check_client(pool.scitoken, ("pool", "scitoken"))
    admin_key = environment.registry.admin_key
    if admin_key is not None and not admin_key.reveal().startswith("$") and len(admin_key.reveal()) < ADMIN_KEY:
        why = f"is shorter than {ADMIN_KEY} characters"
        raise SpecError(why, key=("registry", "admin_key"), hint="make one with: openssl rand -hex 32")
    for index, issuer in enumerate(environment.registry.issuers):
        if not is_safe(issuer.jwks or issuer.issuer):
            raise SpecError("must be an https URL", key=("registry", "issuers", index, "issuer"))
    for name in ("platform", "functions"):
        account = getattr(environment.openwhisk, name)
        if account.namespace == "_":
            hint = "wsk namespace list tells it"
            raise SpecError("must be the namespace's own name", key=("openwhisk", name, "namespace"), hint=hint)
        auth = account.auth.reveal()
        if ":" not in auth and not auth.startswith("$"):
            raise SpecError(
                "is no OpenWhisk key",
                key=("openwhisk", name, "auth"),
                hint="it looks like uuid:key (see wsk property get --auth)",
            )


def _check_subnets(subnets: tuple[str, ...], key: Key) -> None:
    """Tokens for one family of addresses only are worth nothing to a worker that comes by the other."""
    for subnet in subnets:
        try:
            ipaddress.ip_network(subnet)
        except ValueError:
            raise SpecError(f"{subnet!r} is no network", key=key, hint="as 192.0.2.0/24 or 2001:db8::/32") from None


def _duration(value: Any) -> Duration:
    try:
        return Duration(duration(value, ()))
    except SpecError as error:
        raise msgspec.ValidationError(f"{error.why}; {error.hint}") from None


def _with_absolute_paths(environment: Environment, folder: Path) -> Environment:
    """Files named in the environment are relative to its folder, whatever the working directory."""

    def absolute(path: str | None) -> str | None:
        return None if path is None else os.path.normpath(folder / Path(path).expanduser())

    replace = msgspec.structs.replace
    kafka = environment.kafka
    policies = environment.policies
    pool = environment.pool
    if isinstance(pool, HTCondorPool):
        scitoken = credentials.client_with_files(pool.scitoken, absolute)
        pool = replace(pool, scitoken=scitoken, ca=absolute(pool.ca))
    return replace(
        environment,
        openwhisk=replace(environment.openwhisk, ca=absolute(environment.openwhisk.ca)),
        kafka=replace(
            kafka,
            security=replace(kafka.security, ca=absolute(kafka.security.ca)),
            registrations=replace(kafka.registrations, directory=absolute(kafka.registrations.directory)),
        ),
        storages=tuple(
            replace(
                storage,
                ca=absolute(storage.ca),
                credentials={
                    name: credentials.with_files(credential, absolute)
                    for name, credential in storage.credentials.items()
                },
            )
            for storage in environment.storages
        ),
        pool=pool,
        policies=absolute(policies) if isinstance(policies, str) else policies,
        registry=replace(
            environment.registry,
            issuers=tuple(replace(one, ca=absolute(one.ca)) for one in environment.registry.issuers),
        ),
    )
