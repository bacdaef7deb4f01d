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


def session_from(path: Path) -> Session:
    """The way to the namespace that the file names; certificates are always verified, with ``CERT`` as a CA."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise WskpropsError(f"cannot be read: {error.strerror}", where=str(path)) from None
    pairs = (line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#"))
    properties = {key.strip(): value.strip() for key, _, value in pairs}
    for key in ("APIHOST", "AUTH"):
        if not properties.get(key):
            hint = f"wsk property set --{key.lower()} ..., or name an environment with --env"
            raise WskpropsError(f"{key} is missing", where=str(path), hint=hint)
    apihost, auth = properties["APIHOST"], properties["AUTH"]
    ca = properties.get("CERT") or None
    namespace = properties.get("NAMESPACE") or "_"
    if namespace == "_":
        namespace = OpenWhisk(apihost, auth, ca=ca).own_namespace()
    return Session(apihost, auth, namespace=namespace, ca=ca)
