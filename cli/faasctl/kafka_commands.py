"""The platform's topics and ACLs as commands of Kafka's own tools, for whoever administers the brokers. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import groupby

from faasctl import topics
from faasctl.environment import Environment
from faasctl.topics import Right, Service

PRINCIPALS: dict[Service, str] = {
    "feed": "faas-feed",
    "watcher": "faas-watcher",
    "action": "faas-action",
    "people": "faas-operator",
    "storage": "storage",
}
"""A user for each service: the name that the commands use unless the variable in the script says another."""

_HEADER = """\
#!/bin/sh
# Topics and ACLs of the environment {name}, written by: faasctl render --env {name} --target kafka
# Give the tools a file with the administrator's login as ADMIN, and the users' names where they are others.
set -eu
: "${{BOOTSTRAP:={servers}}}" "${{ADMIN:=admin.properties}}" "${{PARTITIONS:=6}}" "${{REPLICATION:=3}}"
"""


def script(env: Environment) -> str:
    """A shell script that may be run again: topics are made when they are missing, ACLs are as they are."""
    lines = [_HEADER.format(name=env.name, servers=",".join(env.kafka.bootstrap_servers))]
    lines += [f': "${{{_variable(service)}:={name}}}"' for service, name in PRINCIPALS.items()]
    lines += ["", *_topics(env), "", *_acls(env)]
    return "\n".join(lines) + "\n"


def _topics(env: Environment) -> Iterator[str]:
    for topic in (*topics.events(env), *topics.own(env)):
        settings = " ".join(f"--config {shlex.quote(f'{name}={value}')}" for name, value in topic.settings.items())
        partitions = "1" if topic.settings["cleanup.policy"] == "compact" else '"$PARTITIONS"'
        yield f"# {topic.holds}"
        yield (
            f"kafka-topics.sh {_LOGIN} --create --if-not-exists --topic {shlex.quote(topic.name)}"
            f' --partitions {partitions} --replication-factor "$REPLICATION" {settings}'
        )


def _acls(env: Environment) -> Iterator[str]:
    def place(right: Right) -> tuple[str, str, str]:
        return right.service, right.kind, right.name

    order = list(PRINCIPALS)
    found = sorted(topics.rights(env), key=lambda right: (order.index(right.service), right.kind, right.name))
    for (service, kind, name), several in groupby(found, key=place):
        operations = " ".join(f"--operation {right.operation.title().replace('_c', 'C')}" for right in several)
        pattern = " --resource-pattern-type prefixed" if kind == "group" else ""
        yield (
            f'kafka-acls.sh {_LOGIN} --add --allow-principal "User:${_variable(service)}"'
            f" --{kind} {shlex.quote(name)}{pattern} {operations}"
        )


_LOGIN = '--bootstrap-server "$BOOTSTRAP" --command-config "$ADMIN"'


def _variable(service: str) -> str:
    return f"{service.upper()}_USER"
