"""The platform without its feed, deployed on an OpenWhisk host for tests of the registry, and who may call it."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from eventflow.clients.openwhisk import OpenWhisk
from faasctl import environment
from faasctl.functions.access import address
from faasctl.functions.client import Registry
from faasctl.main import cli
from tests.parts.gitlab import AUDIENCE, GitLab
from tests.parts.openwhisk import running

ADMIN_KEY = "the administrator's key of a test: 0123456789"
POLICIES = [
    {
        "namespace": "belle",
        "read": ["/pnfs/belle"],
        "write": ["/pnfs/belle/out"],
        "push": ["belle/functions"],
    },
    {"namespace": "demo", "read": ["/demo/in", "/demo/ring"], "write": ["/demo/out", "/demo/ring"]},
]


@dataclass(frozen=True)
class Desk:
    """A running registry: its environment's file and address, and what a test looks at behind its back."""

    file: Path
    url: str
    functions: OpenWhisk
    platform: OpenWhisk
    secrets: tuple[str, ...]

    def as_administrator(self) -> Registry:
        """The registry with the administrator's key."""
        return Registry(self.url, ADMIN_KEY)

    def empty(self) -> None:
        """Remove every action of the functions namespace."""
        for row in list(self.functions.pages("actions")):
            self.functions.delete("actions", f"{row['namespace'].partition('/')[2]}/{row['name']}")


@contextmanager
def deployed(folder: Path, gitlab: GitLab | None = None) -> Iterator[Desk]:
    """Start a host, deploy the platform on it, and stop it at the end."""
    with running() as host:
        file = folder / "here.yaml"
        plain = _environment(host.apihost, host.auths, gitlab, folder)
        file.write_text(yaml.safe_dump(plain))
        file.chmod(0o600)
        with contextlib.redirect_stdout(io.StringIO()):
            cli.main(["deploy", "--yes", "--env-file", str(file)], standalone_mode=False)
        env = environment.load(file)
        yield Desk(
            file=file,
            url=address(env),
            functions=OpenWhisk(host.apihost, host.auths["functions"], namespace="functions"),
            platform=OpenWhisk(host.apihost, host.auths["guest"], namespace="guest"),
            secrets=(*plain["keys"].values(), ADMIN_KEY, *host.auths.values()),
        )


def _environment(apihost: str, auths: dict[str, str], gitlab: GitLab | None, folder: Path) -> dict[str, Any]:
    """Storage, pool and Kafka are nowhere: the registry needs none of them."""
    issuers = [{"issuer": gitlab.url, "audience": AUDIENCE}] if gitlab else []
    return {
        "name": "registry-test",
        "openwhisk": {
            "apihost": apihost,
            "platform": {"namespace": "guest", "auth": auths["guest"]},
            "functions": {"namespace": "functions", "auth": auths["functions"]},
            "runs_here": True,
        },
        "kafka": {
            "bootstrap_servers": ["127.0.0.1:9"],
            "topics": {"billing": {"instance": "test"}},
            "registrations": {"directory": str(folder / "registrations")},
        },
        "storages": [
            {
                "name": "main",
                "flavour": "dcache",
                "prefixes": ["/pnfs", "/demo"],
                "read": "https://127.0.0.1:9",
                "write": "https://127.0.0.1:9",
                "credentials": {"default": {"basic": {"username": "faas", "password": "storage-password"}}},
            }
        ],
        "pool": {"kind": "process", "url": "http://127.0.0.1:9", "token": "pool-token"},
        "policies": POLICIES,
        "registry": {"issuers": issuers, "admin_key": ADMIN_KEY},
        "keys": {name: base64.b64encode(name.encode() * 8)[:43].decode() + "=" for name in ("seal", "submit", "feed")},
    }
