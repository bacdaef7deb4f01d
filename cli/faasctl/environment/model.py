"""What an environment file says: where OpenWhisk, Kafka, the storages and the pool are, and with which keys.

Every struct is frozen and refuses unknown keys; files it names are absolute once it is loaded.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from faasctl.environment.secret import Secret


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenWhisk namespace and the key that owns it (``uuid:key``)."""

    namespace: str
    auth: Secret


class OpenWhiskSite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OpenWhisk installation: the pipeline lives in ``platform``, the users' functions in ``functions``.

    ``apihost`` is a URL; ``ca`` a file with CA certificates, ``None`` for the system's; ``kind`` the runtime of
    the platform's actions. ``runs_here`` says that it runs actions on the very interpreter that runs faasctl (the
    local stack), so that `build` vendors wheels for this machine and not for the kind's image.
    """

    apihost: str
    platform: Account
    functions: Account
    ca: str | None = None
    kind: str = "python:3.11"
    runs_here: bool = False


class KafkaSecurity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach the brokers, in librdkafka's words (``security.protocol``, ``sasl.mechanism``)."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: Secret | None = None
    ca: str | None = None


class Topic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A topic that events come from: which storage instance writes it, and in which format."""

    instance: str
    format: Literal["dcache", "cloudevents"] = "dcache"


class Registrations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the feed keeps its registrations: a compacted topic shared by all its replicas, or files in a
    directory (for the local stack, whose broker forgets). Exactly one of the two."""

    topic: str | None = None
    directory: str | None = None


class Duration(int):
    """Seconds, written as ``90s``, ``12h`` or ``7d``."""


class Kafka(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The brokers, the topics with events, and the feed's own topics.

    ``api_version`` pins the protocol version for brokers that announce none properly (librdkafka's mock cluster).
    ``longest_outage`` is how long the platform may be away without losing an event: topics must keep records longer.
    """

    bootstrap_servers: tuple[str, ...]
    topics: dict[str, Topic]
    registrations: Registrations
    api_version: tuple[int, ...] | None = None
    security: KafkaSecurity = KafkaSecurity()
    outcomes: str = "faas.outcomes"
    dead_letters: str = "faas.dead-letters"
    parked: str = "faas.parked"
    longest_outage: Duration = Duration(3 * 86400)


class Basic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A storage account with a password."""

    username: str
    password: Secret


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An X.509 client certificate as PEM files; a proxy is one file that holds all of it, named as ``cert``."""

    cert: str
    key: str | None = None


class OAuth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The platform's client at an issuer of tokens, and the grant by which it gets them.

    ``token`` is the refresh token, or the subject token that is exchanged; ``ca`` a file.
    """

    token_endpoint: str
    client_id: str
    client_secret: Secret | None = None
    grant: Literal["client_credentials", "refresh_token", "token_exchange"] = "client_credentials"
    token: Secret | None = None
    scope: str | None = None
    audience: str | None = None
    ca: str | None = None


class Credential(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the platform asks for tokens with: exactly one of basic, bearer, x509, oidc (it logs in at the storage and
    asks it for macaroons) and jwt (the issuer gives jobs their tokens itself).

    ``identity`` is the user name that the storage maps it to, where that is not the basic user name: files that this
    user wrote are the platform's own output.
    """

    identity: str | None = None

    basic: Basic | None = None
    bearer: Secret | None = None
    x509: Certificate | None = None
    oidc: OAuth | None = None
    jwt: OAuth | None = None


class Storage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A storage: the path prefixes it holds, its doors for reading and writing, and who asks it for tokens.

    ``subnets`` are the worker nodes' networks; tokens are bound to them where the storage can (dCache).
    ``identities`` are the users that the storage knows the platform's jobs as, besides those of its passwords.
    ``mint`` is the door where the platform asks for tokens, if jobs use others: on XRootD they should.
    ``max_token_life`` is the longest that its tokens live, where the site changed the default (dCache 7d, XRootD 24h).
    """

    name: str
    flavour: Literal["dcache", "xrootd"]
    prefixes: tuple[str, ...]
    read: str
    write: str
    ca: str | None = None
    credentials: dict[str, Credential]
    subnets: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    max_token_life: Duration | None = None
    mint: str | None = None


class ProcessPool(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="process"
):
    """The local stack's pool: processes on this machine behind a small HTTP interface."""

    url: str
    token: Secret


class HTCondorPool(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="htcondor"
):
    """An HTCondor pool: where its collector is, the schedds that take jobs, and what the platform submits with.

    That is an IDTOKEN (``token``), or SciTokens of an issuer (``scitoken``) over TLS, for which ``ca`` is a file.
    """

    collector: str
    schedds: tuple[str, ...]
    token: Secret | None = None
    scitoken: OAuth | None = None
    ca: str | None = None
    trust_domain: str | None = None


class Keys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The platform's own keys, base64 of 32 bytes each: ``seal`` hides tokens between actions, ``submit`` signs
    the permission to submit one job, ``feed`` hides the keys of fed triggers.

    To change a key, its old one stays after the new one, with a blank or a line's end between (`faasctl secret
    rotate`): what was sealed or signed with it may still be on its way.
    """

    seal: Secret
    submit: Secret
    feed: Secret


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GitLab whose CI jobs may push functions: its URL (``iss``), the ``aud`` their id_tokens must be made for, where
    its keys are (``None``: as its OpenID configuration says), and a file with its CA (``None``: the system's)."""

    issuer: str
    audience: str
    jwks: str | None = None
    ca: str | None = None


class Registry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may talk to the registry of functions: jobs of these issuers, and whoever holds the administrator's key."""

    issuers: tuple[Issuer, ...] = ()
    admin_key: Secret | None = None


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One environment, as its file says it.

    ``policies`` is a folder with one policy file per namespace, or the policies themselves.
    """

    name: str
    openwhisk: OpenWhiskSite
    kafka: Kafka
    storages: tuple[Storage, ...]
    pool: ProcessPool | HTCondorPool
    keys: Keys
    policies: str | tuple[dict[str, Any], ...]
    registry: Registry = Registry()
