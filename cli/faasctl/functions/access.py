"""The way to the registry: OpenWhisk's namespace of functions."""

from __future__ import annotations

from eventflow.clients.openwhisk import OpenWhisk
from faasctl.environment import Environment


def open_registry(environment: Environment) -> OpenWhisk:
    """A client for the environment's functions namespace, with the key that the environment names."""
    site = environment.openwhisk
    account = site.functions
    return OpenWhisk(site.apihost, account.auth.reveal(), namespace=account.namespace, ca=site.ca)
