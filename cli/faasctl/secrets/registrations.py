"""The keys of fed triggers, which the feed keeps sealed: sealed anew when the feed's key changes."""

from __future__ import annotations

from contextlib import closing

import msgspec

from eventflow.errors import FaasError
from eventflow.seal import SealError, keys_from_text, seal, unseal
from faasctl.environment import Environment


def reseal(env: Environment) -> int:
    """Seal with the first of the feed's keys what is sealed with the one before it; how many registrations that were.

    While one key alone is in force there is nothing to be done, and Kafka is not asked. A feed whose registration is
    written starts again, where it was. Raises `FaasError` for a registration that neither key opens, when the others
    are done.
    """
    keys = keys_from_text(env.keys.feed.reveal())
    if len(keys) == 1:
        return 0

    from faasctl.kafka import registrations  # comes with faasctl[platform]

    count, closed = 0, []
    with closing(registrations(env)) as store:
        for one in store.all():
            try:
                unseal(one.auth, name=one.trigger, keys=keys[:1])
            except SealError:
                try:
                    auth = unseal(one.auth, name=one.trigger, keys=keys[1:])
                except SealError:
                    closed.append(one.trigger)
                    continue
                store.put(msgspec.structs.replace(one, auth=seal(auth, name=one.trigger, key=keys[0])))
                count += 1
    if closed:
        hint = "its owner creates the trigger's feed anew; for the platform's own: faasctl deploy"
        raise FaasError(f"no key opens the registration of {', '.join(closed)}", where="keys.feed", hint=hint)
    return count
