"""What a client reads first (controller/Controller.scala, RestAPIs.scala, Limits.scala)."""

from __future__ import annotations

from faasctl import __version__
from faasctl.local.openwhisk.http import TEXT, Reply
from faasctl.local.openwhisk.settings import MB, Settings

SUPPORT = "https://openwhisk.apache.org"


def root(settings: Settings) -> Reply:
    """GET /: limits and runtimes; wskdeploy resolves kinds with it."""
    timeout, memory, logs = settings.timeout, settings.memory, settings.logs
    limits = {
        "actions_per_minute": settings.invocations_per_minute,
        "triggers_per_minute": settings.fires_per_minute,
        "concurrent_actions": settings.concurrent_invocations,
        "sequence_length": settings.sequence_length,
    }
    for prefix in ("", "default_"):
        limits |= {
            f"{prefix}min_action_duration": timeout.least,
            f"{prefix}max_action_duration": timeout.greatest,
            f"{prefix}min_action_memory": memory.least * MB,
            f"{prefix}max_action_memory": memory.greatest * MB,
            f"{prefix}min_action_logs": logs.least * MB,
            f"{prefix}max_action_logs": logs.greatest * MB,
        }
    kinds = [
        {
            "kind": kind,
            "image": f"openwhisk/action-{kind.replace(':', '-v')}:nightly",
            "default": kind == settings.default_kind,
            "deprecated": False,
            "attached": True,
            "requireMain": False,
        }
        for kind in settings.kinds
    ]
    document = {
        "description": "OpenWhisk",
        "support": {"github": "https://github.com/apache/openwhisk/issues", "slack": "http://slack.openwhisk.org"},
        "api_paths": ["/api/v1"],
        "limits": limits,
        "runtimes": {"python": kinds},
    }
    return Reply(200, document, cors=False)


def ping() -> Reply:
    return Reply(200, b"pong", cors=False, content_type=TEXT)


def api() -> Reply:
    """GET /api/v1."""
    document = {
        "description": "OpenWhisk API",
        "api_version": "1.0.0",
        "api_version_path": "v1",
        "build": "faasctl",
        "buildno": __version__,
        "swagger_paths": {"ui": "/docs", "api-docs": "/api-docs"},
    }
    return Reply(200, document)


def limits(settings: Settings) -> Reply:
    """GET /namespaces/{ns}/limits."""
    document = {
        "invocationsPerMinute": settings.invocations_per_minute,
        "firesPerMinute": settings.fires_per_minute,
        "concurrentInvocations": settings.concurrent_invocations,
        "minActionTimeout": settings.timeout.least,
        "maxActionTimeout": settings.timeout.greatest,
        "minActionMemory": settings.memory.least,
        "maxActionMemory": settings.memory.greatest,
        "minActionLogs": settings.logs.least,
        "maxActionLogs": settings.logs.greatest,
        "minActionConcurrency": settings.concurrency.least,
        "maxActionConcurrency": settings.concurrency.greatest,
        "maxActionInstances": settings.concurrent_invocations,
        "maxParameterSize": f"{settings.payload_size} B",
    }
    return Reply(200, document)
