"""The outside servers that speak HTTP or TLS, as checks look at them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from faasctl.environment import Environment
from faasctl.environment.model import ProcessPool


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server: what it is called, its URL, a file with its CA (None: the system's), and the key that names the CA."""

    name: str
    url: str
    ca: str | None
    setting: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def http_servers(env: Environment) -> Iterator[Server]:
    """OpenWhisk, every door of every storage once, and a pool that speaks HTTP."""
    site = env.openwhisk
    apihost = site.apihost if "://" in site.apihost else f"https://{site.apihost}"
    yield Server(name="openwhisk", url=apihost, ca=site.ca, setting="openwhisk.ca")
    for storage in env.storages:
        for url in dict.fromkeys((storage.read, storage.write)):
            yield Server(
                name=f"storage {storage.name}", url=url, ca=storage.ca, setting=f"ca of storage {storage.name}"
            )
    if isinstance(env.pool, ProcessPool):
        yield Server(name="pool", url=env.pool.url, ca=None, setting="pool.url")


def tls_servers(env: Environment) -> Iterator[Server]:
    """Those of them that speak TLS, and the Kafka brokers where they do."""
    yield from (server for server in http_servers(env) if server.url.startswith("https://"))
    if env.kafka.security.protocol.endswith("SSL"):
        for broker in env.kafka.bootstrap_servers:
            ca = env.kafka.security.ca
            yield Server(name=f"kafka {broker}", url=f"https://{broker}", ca=ca, setting="kafka.security.ca")
