"""Every topic is there, keeps records as long as the longest outage, and takes records as large as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kafka.admin import ConfigResource, ConfigResourceType

from faasctl import topics
from faasctl.doctor.finding import Finding, ok, problem, skipped, warning
from faasctl.doctor.kafka import administering, is_pinned
from faasctl.environment import Environment
from faasctl.topics import Topic


def check(env: Environment) -> Iterator[Finding]:
    """One finding per topic, with everything that is wrong with it."""
    wanted = [*topics.events(env), *topics.own(env)]
    if is_pinned(env):
        yield skipped("topics", "kafka.api_version is pinned: such a broker tells no settings")
        return
    with administering(env) as admin:
        there = {row["name"]: len(row["partitions"]) for row in admin.describe_topics() if not row["error_code"]}
        resources = [ConfigResource(ConfigResourceType.TOPIC, one.name) for one in wanted if one.name in there]
        told = admin.describe_configs(resources, config_filter="all").get("topic", {}) if resources else {}
    for one in wanted:
        if one.name not in there:
            remedy = f"faasctl render --target kafka prints the command; it holds {one.holds}"
            yield problem(f"topic {one.name}", "does not exist, or may not be seen", remedy)
            continue
        settings = {name: str(data["value"]) for name, data in told.get(one.name, {}).items()}
        yield _about(one, settings, there[one.name])


def _about(wanted: Topic, settings: Mapping[str, str], partitions: int) -> Finding:
    about = f"topic {wanted.name}"
    if not settings:
        return warning(about, "its settings may not be seen", "grant DESCRIBE_CONFIGS (faasctl render --target kafka)")
    wrong = {name: value for name, value in wanted.settings.items() if not _serves(name, settings.get(name, ""), value)}
    size = int(settings.get("retention.bytes", "-1"))
    if wrong:
        has = ", ".join(f"{name}={settings.get(name)}" for name in wrong)
        changes = ",".join(f"{name}={value}" for name, value in wrong.items())
        remedy = f"kafka-configs.sh --alter --entity-type topics --entity-name {wanted.name} --add-config {changes}"
        return problem(about, f"has {has}: {_consequence(wrong)}", remedy)
    if size >= 0 and settings.get("cleanup.policy") != "compact":
        why = f"retention.bytes={size} ends records by size, however young they are"
        return warning(about, why, "size it for the longest outage at full rate, or set it to -1")
    return ok(about, f"{partitions} partitions, {', '.join(f'{name}={settings[name]}' for name in wanted.settings)}")


def _serves(name: str, found: str, wanted: str) -> bool:
    """Whether a setting is as wanted, or better."""
    if name == "cleanup.policy":
        return found == wanted
    number = int(found or 0)
    return number >= int(wanted) or (name == "retention.ms" and number == -1)


def _consequence(wrong: Mapping[str, str]) -> str:
    if "cleanup.policy" in wrong:
        return "records would be thrown away that are still needed"
    if "retention.ms" in wrong:
        return "records would end before the longest outage that must lose nothing"
    return "the largest records would be refused"
