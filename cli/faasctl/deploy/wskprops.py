"""`.wskprops`, as wsk and wskdeploy read it: the way to a namespace for who has no environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from eventflow.clients.openwhisk import OpenWhisk
from eventflow.errors import FaasError
from faasctl.deploy.session import Session


class WskpropsError(FaasError):
    """The file does not say enough."""


def path_of(process: Mapping[str, str] = os.environ) -> Path:
    """``$WSK_CONFIG_FILE``, or ``~/.wskprops``."""
    return Path(process.get("WSK_CONFIG_FILE") or Path.home() / ".wskprops")


def read(path: Path) -> dict[str, str]:
    """The file's properties (``APIHOST``, ``AUTH``, ``NAMESPACE``, ``CERT``), none when there is no file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise WskpropsError(f"cannot be read: {error}", where=str(path)) from None
    pairs = (line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs if value.strip()}


def session(properties: Mapping[str, str], *, where: str) -> Session:
    """The way to the namespace that properties name; certificates are always verified, with ``CERT`` as a CA."""
    if "AUTH" not in properties:
        hint = "wsk property set --auth ..., or name an environment with --env"
        raise WskpropsError("AUTH is missing", where=where, hint=hint)
    apihost, auth, ca = properties["APIHOST"], properties["AUTH"], properties.get("CERT")
    namespace = properties.get("NAMESPACE", "_")
    if namespace == "_":
        namespace = OpenWhisk(apihost, auth, ca=ca).own_namespace()
    return Session(apihost, auth, namespace=namespace, ca=ca)
