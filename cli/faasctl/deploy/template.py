"""The platform's manifest, rendered from an environment.

No secret is ever in the rendered text: it holds ``${VARIABLES}``, and their values travel beside it, so that the same
text can be printed, compared and handed to wskdeploy.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from eventflow import policy
from eventflow.errors import FaasError
from faasctl import bundle
from faasctl.environment import Environment, Secret
from faasctl.environment.model import Certificate, HTCondorPool, OAuth, Storage
from faasctl.environment.variables import Resolved
from faasctl.functions.policies import policies_of

TEMPLATE = "platform.yaml.j2"


class TemplateError(FaasError):
    """The manifest cannot be rendered from this environment."""


class Rendered(msgspec.Struct, frozen=True):
    """A manifest's text, and the values of the variables in it."""

    text: str
    variables: dict[str, str]

    def __repr__(self) -> str:
        return f"Rendered({len(self.text)} characters, variables {sorted(self.variables)})"


def render(environment: Environment, zip_of: Callable[[str], str], *, standing: bool = False) -> Rendered:
    """Render the platform's manifest; ``zip_of`` tells where an action's zip is.

    With ``standing`` the environment was loaded with its references left standing (`variables.as_wskdeploy`) and they
    go into the text as they are. Raises `TemplateError`.
    """
    writer = _Writer(standing)
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(bundle.manifests()),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, not HTML: every value goes through `text` or `variable`
        keep_trailing_newline=True,
        finalize=_printable,
    )
    jinja.filters |= {"text": writer.text, "variable": writer.variable}
    try:
        text = jinja.get_template(TEMPLATE).render(
            env=environment,
            zip=zip_of,
            pem=_pem,
            topics={name: msgspec.to_builtins(topic) for name, topic in environment.kafka.topics.items()},
            identities=identities(environment),
            storages=lambda credentials: [storage_settings(storage, credentials) for storage in environment.storages],
            policies=[policy.encode(one) for _, one in sorted(policies_of(environment).items())],
            pool=pool_settings(environment),
            feed=_feed(environment),
            callers=_callers(environment),
        )
    except jinja2.TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f"{TEMPLATE}:{line}" if line else TEMPLATE
        raise TemplateError(str(error.message), where=where) from None
    return Rendered(text, writer.variables)


class _Writer:
    """Values as YAML strings; collects the secrets that they hold as variables."""

    def __init__(self, standing: bool) -> None:
        self._standing = standing
        self.variables: dict[str, str] = {}

    def text(self, value: Any) -> str:
        """JSON text in single quotes. A literal ``$`` is written as JSON's ``\\u0024``, so that it starts no
        reference."""
        return self._quoted(value if isinstance(value, str) else self._json(value))

    def variable(self, secret: Secret) -> str:
        """A reference to a secret, in single quotes."""
        return self._quoted(self._reference(secret))

    def _json(self, value: Any) -> str:
        if isinstance(value, Secret):
            return f'"{self._reference(value)}"'
        if isinstance(value, str):
            literal = json.dumps(value)
            return literal if self._standing and isinstance(value, Resolved) else literal.replace("$", "\\u0024")
        if isinstance(value, dict):
            inner = ", ".join(f"{self._json(k)}: {self._json(v)}" for k, v in value.items() if v is not None)
            return f"{{{inner}}}"
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self._json, value))}]"
        return json.dumps(value)

    def _reference(self, secret: Secret) -> str:
        if self._standing:
            if "$" not in secret.reveal():
                raise TemplateError("a secret stands in the environment file itself", hint="write it as ${env:NAME}")
            return secret.reveal()
        known = {value: name for name, value in self.variables.items()}
        name = known.get(secret.reveal(), f"FAAS_SECRET_{len(self.variables) + 1}")
        self.variables[name] = secret.reveal()
        return f"${{{name}}}"

    @staticmethod
    def _quoted(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"


def _printable(value: Any) -> Any:
    if isinstance(value, Secret):
        raise jinja2.TemplateRuntimeError(f"{value!r} would be printed: use | variable")
    return value


def _pem(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        return Path(file).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no PEM text"
        hint = "the environment names it as a ca, cert or key"
        raise TemplateError(f"cannot be read: {reason}", where=file, hint=hint) from None


def storage_settings(storage: Storage, credentials: bool) -> dict[str, Any]:
    """A storage as `eventflow.storages.Storage` reads it, its secrets still hidden."""
    plain: dict[str, Any] = {
        "name": storage.name,
        "flavour": storage.flavour,
        "prefixes": storage.prefixes,
        "read": storage.read,
        "write": storage.write,
        "ca": _pem(storage.ca),
        "subnets": storage.subnets,
        "max_token_life": storage.max_token_life,
        "mint": storage.mint,
    }
    if credentials:
        plain["credentials"] = {
            name: {
                "basic": c.basic and {"username": c.basic.username, "password": c.basic.password},
                "bearer": c.bearer,
                "x509": c.x509 and _certificate(c.x509),
                "oidc": c.oidc and _client(c.oidc),
                "jwt": c.jwt and _client(c.jwt),
            }
            for name, c in storage.credentials.items()
        }
    return plain


def _certificate(files: Certificate) -> dict[str, Any]:
    """A certificate is public, but it changes together with its key; a proxy holds both."""
    key = {} if files.key is None else {"key": Secret(_pem(files.key) or "", "file")}
    return {"cert": Secret(_pem(files.cert) or "", "file"), **key}


def _client(access: OAuth) -> dict[str, Any]:
    return {**msgspec.structs.asdict(access), "ca": _pem(access.ca)}


def identities(environment: Environment) -> list[str]:
    """The storage users that the platform's own jobs write as: their files fire only chained functions."""
    users = {c.basic.username for s in environment.storages for c in s.credentials.values() if c.basic}
    return sorted(users.union(*(storage.identities for storage in environment.storages)))


def pool_settings(environment: Environment) -> dict[str, Any]:
    """The pool as `eventflow.clients.pools.PoolAccess` reads it, its secrets still hidden."""
    pool = environment.pool
    plain = {"kind": type(pool).__struct_config__.tag, **msgspec.structs.asdict(pool)}
    if isinstance(pool, HTCondorPool):
        plain |= {"scitoken": pool.scitoken and _client(pool.scitoken), "ca": _pem(pool.ca)}
    return plain


def _feed(environment: Environment) -> dict[str, Any]:
    kafka = environment.kafka
    security = kafka.security
    plain = {name: getattr(security, name) for name in ("protocol", "mechanism", "username", "password")}
    return {
        "registrations": {"topic": kafka.registrations.topic, "directory": kafka.registrations.directory},
        "bootstrap_servers": kafka.bootstrap_servers,
        "api_version": kafka.api_version,
        "security": {**plain, "ca": _pem(security.ca)},
        "topics": sorted(kafka.topics),
        "apihost": environment.openwhisk.apihost,
        "ca": _pem(environment.openwhisk.ca),
        "seal_key": environment.keys.feed,
    }


def _callers(environment: Environment) -> dict[str, Any]:
    registry = environment.registry
    issuers = [{**msgspec.structs.asdict(one), "ca": _pem(one.ca)} for one in registry.issuers]
    return {"issuers": issuers, "admin_key": registry.admin_key}
