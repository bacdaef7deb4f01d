"""Which secrets there are, where they are, and what a rotation writes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import trustme
from msgspec.structs import replace

from eventflow import submittoken
from eventflow.errors import FaasError
from eventflow.seal import key_from_text, seal, unseal
from faasctl import bundle, environment
from faasctl.environment import Secret
from faasctl.environment.ends import End
from faasctl.functions.file import load
from faasctl.secrets import deployed, rotation
from faasctl.secrets.inventory import Named, chosen, inventory
from faasctl.secrets.places import Place, places
from faasctl.secrets.registrations import reseal
from faasfeeds.kafka.directory import DirectoryRegistrations
from faasfeeds.kafka.registration import Registration, Settings
from tests.unit.test_render import PROCESS

EXAMPLE = bundle.manifests() / "environments" / "local.yaml"
PASSWORD = "storages.main.credentials.default.basic.password"
NOW = 1_800_000_000.0


def env_of(folder: Path, **values: str) -> environment.Environment:
    file = folder / "environment.yaml"
    file.write_text(EXAMPLE.read_text().replace("../policies", str(bundle.manifests() / "policies")))
    return environment.load(file, process=PROCESS | values)


def rows_of(several: list[Place], texts: dict[tuple[str, str], str], updated: float = NOW) -> dict[str, Any]:
    """Actions with these parameters."""
    rows: dict[str, Any] = {place.action: {"updated": updated * 1000, "parameters": []} for place in several}
    for (action, name), text in texts.items():
        rows[action]["parameters"].append({"key": name, "value": text})
    return rows


def test_every_secret_is_listed_by_its_keys_and_none_is_shown(tmp_path: Path) -> None:
    found = inventory(env_of(tmp_path))
    assert len(found) == len(PROCESS)
    assert {one.origin for one in found} == {f"${{env:{name}}}" for name in PROCESS}
    assert PASSWORD in {one.name for one in found}
    assert not any(value in repr(found) for value in PROCESS.values())
    assert len({one.fingerprint("key") for one in found}) == len(found)
    assert found[0].fingerprint("key") != found[0].fingerprint("another")


def test_secrets_are_chosen_by_name_and_by_what_they_are_below(tmp_path: Path) -> None:
    found = inventory(env_of(tmp_path))
    assert [one.name for one in chosen(found, ("storages.main",))] == [PASSWORD]
    assert [one.name for one in chosen(found, ("keys", "keys.seal"))] == ["keys.seal", "keys.submit", "keys.feed"]
    with pytest.raises(FaasError, match="no secret storage"):
        chosen(found, ("storage",))


def test_a_certificate_and_its_key_are_one_secret_that_ends(tmp_path: Path) -> None:
    made = trustme.CA().issue_cert("faas.example.org")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    file = tmp_path / "environment.yaml"
    basic = 'basic: {username: faas, password: "${env:FAAS_STORAGE_PASSWORD}"}'
    file.write_text(
        EXAMPLE.read_text()
        .replace(basic, "x509: {cert: cert.pem, key: key.pem}")
        .replace("../policies", str(bundle.manifests() / "policies"))
    )
    env = environment.load(file, process=PROCESS)
    (one,) = (one for one in inventory(env) if one.name.startswith("storages"))
    assert one.name == "storages.main.credentials.default.x509"
    assert one.ends is not None
    found = [place for place in places(env, [one]) if place.names == (one.name,)]
    assert [(place.action, place.path[-1]) for place in found] == [
        ("faas/mint_tokens", "cert"),
        ("faas/mint_tokens", "key"),
    ]


def test_a_rotation_writes_the_secret_and_leaves_every_other_character(tmp_path: Path) -> None:
    env = env_of(tmp_path, FAAS_STORAGE_PASSWORD='n"ew')
    (place,) = (one for one in places(env, inventory(env)) if one.names == (PASSWORD,))
    there = '[{"name": "other"},  {"read": "a\\u0024", "name": "main", "credentials": {"default": {"basic": '
    whole = there + '{"username": "faas",  "password": "%s"}}}}]'
    assert rotation.rewritten(place, whole % "old") == whole % 'n\\"ew'
    twice = json.loads(rotation.rewritten(place, whole % "faas"))
    assert twice[1]["credentials"]["default"]["basic"] == {"username": "faas", "password": 'n"ew'}


def test_a_place_that_is_not_deployed_is_missing_and_others_are_compared(tmp_path: Path) -> None:
    env = env_of(tmp_path)
    secrets = inventory(env)
    several = [one for one in places(env, secrets) if one.names == (PASSWORD,)]
    text = '[{"name": "main", "credentials": {"default": %s}}]'
    for inner, state in (
        ({"basic": {"password": PROCESS["FAAS_STORAGE_PASSWORD"]}}, "same"),
        ({"basic": {"password": "another"}}, "differs"),
        ({"bearer": "another"}, "missing"),
    ):
        rows = rows_of(several, {("faas/mint_tokens", "FAAS_STORAGES"): text % json.dumps(inner)})
        assert [one.state for one in deployed.uses(PASSWORD, several, rows)] == [state]
    assert deployed.use(several[0], {"faas/mint_tokens": None}).state == "missing"


@pytest.mark.parametrize(
    ("there", "wanted", "ago", "error"),
    [
        ("old", "new old", 0, None),
        ("new old", "new", 721, None),
        ("new old", "new", 700, "may still be on its way"),
        ("old", "new", 1e6, "could not be opened"),
        ("new old", "newest old", 1e6, "could not be opened"),
        ("new old", "newest new", 10, "may still be on its way"),
        ("new old", "newest new", 721, None),
    ],
)
def test_a_key_is_dropped_when_nothing_is_on_its_way_with_it(
    there: str, wanted: str, ago: float, error: str | None
) -> None:
    actions = ("faas/mint_tokens", "faas/submit_condor")
    several = [
        Place(action=name, parameter="FAAS_SEAL_KEY", path=(), names=("keys.seal",), wanted=Secret(wanted))
        for name in actions
    ]
    rows = rows_of(several, {(name, "FAAS_SEAL_KEY"): there for name in actions}, updated=NOW - ago)
    steps = rotation.steps(several, rows, NOW)
    assert [step.place.action for step in steps] == ["faas/submit_condor", "faas/mint_tokens"]
    assert {step.outcome(dry_run=False) for step in steps} == {"refused" if error else "written"}
    assert all((error or "None") in str(step.refusal) for step in steps)


def test_two_keys_have_two_fingerprints() -> None:
    new, old = Named("keys.seal", (Secret("n"),)), Named("keys.seal", (Secret("o"),))
    both = Named("keys.seal", (Secret("n\no"),))
    assert both.fingerprint("k") == f"{new.fingerprint('k')} {old.fingerprint('k')}"


def test_what_lives_shortly_is_spoken_of_in_its_last_quarter() -> None:
    proxy = End(name="storage", kind="x509", at=NOW + 12 * 3600, since=NOW)
    assert not proxy.is_soon(NOW + 8.9 * 3600)
    assert proxy.is_soon(NOW + 9.1 * 3600)
    assert End(name="pool", kind="idtoken", at=NOW).is_soon(NOW - 6 * 86400)
    assert not End(name="pool", kind="idtoken", at=NOW).is_soon(NOW - 8 * 86400)


def test_a_macaroon_tells_its_end() -> None:
    spec = load(bundle.manifests() / "functions" / "calibrate")
    token = submittoken.mint("key", spec, now=NOW, secret=bytes(32))
    assert Named("storages.main.credentials.default.bearer", (Secret(token),)).ends == NOW + submittoken.LIFE


def test_registrations_are_sealed_anew_while_two_feed_keys_are_in_force(tmp_path: Path) -> None:
    new, old, lost = (base64.b64encode(letter * 32).decode() for letter in (b"n", b"o", b"l"))
    store = DirectoryRegistrations(tmp_path / "registrations")

    def register(trigger: str, key: str) -> None:
        auth = seal(f"key of {trigger}", name=trigger, key=key_from_text(key))
        store.put(Registration(trigger=trigger, auth=auth, settings=Settings(topics=("billing",)), paused=True))

    def env(keys: str) -> environment.Environment:
        loaded = env_of(tmp_path, FAAS_FEED_KEY=keys)
        place = replace(loaded.kafka.registrations, topic=None, directory=str(tmp_path / "registrations"))
        return replace(loaded, kafka=replace(loaded.kafka, registrations=place))

    register("/faas/a", old)
    register("/faas/b", new)
    assert reseal(env(new)) == 0
    assert reseal(env(f"{new} {old}")) == 1
    assert reseal(env(f"{new} {old}")) == 0
    for one in store.all():
        assert unseal(one.auth, name=one.trigger, keys=[key_from_text(new)]) == f"key of {one.trigger}"
        assert one.paused

    register("/faas/c", lost)
    register("/faas/d", old)
    with pytest.raises(FaasError, match="no key opens the registration of /faas/c"):
        reseal(env(f"{new} {old}"))
    renewed = store.get("/faas/d")
    assert renewed is not None
    assert unseal(renewed.auth, name="/faas/d", keys=[key_from_text(new)])
