"""The feed's decisions: what may be committed, what goes on, is parked or dead, and that the books balance."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventflow.batch import Done, Failure, Message, Origin, Report
from eventflow.registry import Registry
from faasfeeds import outcomes
from faasfeeds.kafka import letters, settlement
from faasfeeds.kafka.cluster import Cluster
from faasfeeds.kafka.entrance import Entrance
from faasfeeds.kafka.finals import DAY_MS, Finals
from faasfeeds.kafka.flight import Entry, Leg, Rule
from faasfeeds.kafka.ledger import Lane, books
from faasfeeds.kafka.line import Line
from faasfeeds.kafka.memory import Memory
from faasfeeds.kafka.pace import FIRST_RECORDS, MOST_FLIGHTS, Pace
from faasfeeds.kafka.settlement import Limits, UnfitReport
from faasfeeds.kafka.sieve import Sieve

LIMITS = Limits(max_attempts=3, max_age_s=3600)
NOW = 1000.0
RULE = Rule("ns/r", "ns/p/a")


def message(offset: int, *, attempt: int = 1, value: str = "v", only: tuple[str, ...] | None = None) -> Message:
    return Message(
        topic="t", partition=0, offset=offset, timestamp=int(NOW * 1000), value=value, attempt=attempt, only=only
    )


def leg(offset: int = 0, *, attempt: int = 1, tries: int = 0, value: str = "v", counted: bool = False) -> Leg:
    one = message(offset, attempt=attempt, value=value)
    return Leg(entry=Entry(one.origin, one, Lane(0), claim=f"e{offset}"), message=one, tries=tries, counted=counted)


def failed(offset: int, code: str, *, retryable: bool, function: str | None = "n.f", at: str | None = None) -> Failure:
    return Failure(
        origin=Origin("t", 0, offset),
        stage="mint",
        code=code,
        message="",
        retryable=retryable,
        function=function,
        id=f"e{offset}",
        destination=at,
    )


def done(offset: int, function: str = "n.f") -> Done:
    return Done(
        origin=Origin("t", 0, offset), key=f"e{offset}/{function}", function=function, version="1", outcome="submitted"
    )


# -- the ledger ---------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["take", "skip", "gap"]), max_size=40), st.randoms(use_true_random=False))
def test_nothing_is_committed_past_a_record_in_flight_and_the_books_are_of_what_is_below(
    steps: list[str], chance: random.Random
) -> None:
    """Whatever order records are settled in, at any moment the books tell of exactly the offsets below the commit."""
    lane, at, fates, open_ones = Lane(100), 100, {}, []
    for step in steps:
        if step == "gap":
            at += 2
            assert lane.gap(at, at) == 2
            fates[at - 2] = fates[at - 1] = "lost"
        elif step == "skip":
            lane.skip(at, "filtered:read")
            fates[at] = "filtered:read"
            at += 1
        else:
            lane.take(at)
            open_ones.append(at)
            fates[at] = "matched"
            at += 1
    chance.shuffle(open_ones)
    while True:
        assert lane.settled == min(open_ones, default=at)
        assert lane.counts == Counter(word for offset, word in fates.items() if offset < lane.settled)
        if not open_ones:
            break
        lane.settle(open_ones.pop(), {"matched": 1})


def test_the_books_go_on_where_another_consumer_left_them() -> None:
    first = Lane(10)
    first.skip(10, "filtered:read")
    first.take(11)
    first.settle(11, {"matched": 1, "items:fan-out": 2, "items:submitted": 1, "items:parked": 1})
    second = Lane(first.settled, first.metadata())
    second.skip(12, "duplicate")
    returning = Lane(0)
    returning.take(0)
    returning.settle(0, {"matched": 1, "items:unparked": 1, "items:dead-lettered": 1})

    found = books(
        {("t", 0): (second.settled, second.metadata()), ("parked", 0): (returning.settled, returning.metadata())},
        "parked",
    )

    assert (found.received, found.records) == (3, {"filtered:read": 1, "matched": 1, "duplicate": 1})
    assert (found.parked, found.imbalance()) == (0, (0, 0))


def test_a_commit_of_another_feed_counts_for_nothing_and_is_gone_on_from() -> None:
    assert books({("t", 0): (55, "")}, "parked").received == 0
    assert Lane(55, "not ours").since == 55


def test_offsets_that_were_never_records_are_not_lost() -> None:
    lane = Lane(0)
    assert lane.gap(10, 4) == 4
    assert lane.counts == {"lost": 4, "absent": 6}


# -- the judgement ------------------------------------------------------------------------------------------------


def test_each_leg_is_final_again_parked_or_dead() -> None:
    report = Report(
        received=7,
        filtered={"no_match": 1},
        matched=6,
        items=7,
        done=(done(5),),
        failed=(
            failed(1, "code_changed", retryable=True),
            failed(2, "policy", retryable=False),
            failed(3, "unavailable", retryable=True, at="storage:main"),
            failed(4, "policy", retryable=False),
            failed(4, "unavailable", retryable=True, function="n.g", at="storage:main"),
            failed(6, "paused", retryable=True),
        ),
    )
    filtered, again, dead, outage, both, fine, paused = settlement.judge(
        [leg(i) for i in range(7)], report, LIMITS, NOW
    )
    assert (filtered.again, filtered.dead, filtered.counts) == (None, (), {"filtered:no_match": 1})
    assert again.again is not None
    assert (again.again.message.attempt, again.again.message.only) == (2, ("n.f",))
    assert dead.again is None
    assert [one.code for one in dead.dead] == ["policy"]
    assert outage.again is not None
    assert outage.again.message.attempt == 1  # an outage is nobody's fault
    assert both.again is not None
    assert (both.again.message.only, [one.function for one in both.dead]) == (("n.g",), ["n.f"])
    assert (fine.again, fine.counts) == (None, {"items:submitted": 1, "items:fan-out": 1, "matched": 1})
    assert (paused.again, [one.code for one in paused.parked]) == (None, ["paused"])


def test_attempts_end_and_so_does_age() -> None:
    report = Report(received=1, matched=1, items=1, failed=(failed(0, "code_changed", retryable=True),))
    (verdict,) = settlement.judge([leg(attempt=3)], report, LIMITS, NOW)
    assert (verdict.again, [one.code for one in verdict.dead]) == (None, ["code_changed"])
    away = Report(received=1, matched=1, items=1, failed=(failed(0, "unavailable", retryable=True),))
    (verdict,) = settlement.judge([leg()], away, LIMITS, NOW + 3601)
    assert (verdict.again, [one.code for one in verdict.dead]) == (None, ["unavailable"])


def test_a_storage_that_stays_away_parks_and_a_registry_that_does_waits() -> None:
    """What waits for one storage must not hold back the offsets of everything else."""
    for tries in range(8):
        for at, code, parks in (
            ("storage:main", "unavailable", tries >= 3),
            ("storage:main", "credential_refused", tries >= 3),
            ("registry", "unavailable", False),
        ):
            report = Report(received=1, matched=1, items=1, failed=(failed(0, code, retryable=True, at=at),))
            (verdict,) = settlement.judge([leg(tries=tries)], report, LIMITS, NOW)
            assert bool(verdict.parked) == parks
            assert (verdict.again is None) == parks


def test_the_fan_out_is_counted_once_however_often_an_event_is_delivered() -> None:
    unavailable = Report(received=1, matched=1, items=1, failed=(failed(0, "unavailable", retryable=True),))
    fine = Report(received=1, matched=1, items=1, done=(done(0),))
    (first,) = settlement.judge([leg()], unavailable, LIMITS, NOW)
    assert first.again is not None
    (second,) = settlement.judge([first.again], fine, LIMITS, NOW)
    (late,) = settlement.judge([leg(tries=2)], fine, LIMITS, NOW)  # its first two deliveries vanished
    counts = Counter(first.counts) + Counter(second.counts)
    assert (counts["items:fan-out"], counts["items:submitted"], late.counts["items:fan-out"]) == (1, 1, 1)


def test_a_clock_that_is_ahead_and_a_time_that_is_too_short_are_said_and_do_not_spin() -> None:
    """Given reports of batches that nobody was at fault for and that came to nothing, then the reason is said, the
    batch waits longer each time, and no attempt is counted; what is only surplus goes on at once."""
    late = Report(received=1, matched=1, items=1, failed=(failed(0, "deadline", retryable=True),))
    assert "ahead" in settlement.standstill(late, NOW + 100, NOW)
    assert settlement.standstill(late, NOW - 1, NOW) == ""  # it was slow
    short = Report(received=1, matched=1, items=1, failed=(failed(0, "deferred", retryable=True),))
    assert "deadline_s" in settlement.standstill(short, NOW + 100, NOW)
    for report in (late, short):
        waits, one = [], leg()
        for _ in range(9):
            (verdict,) = settlement.judge([one], report, LIMITS, NOW)
            assert verdict.again is not None
            one = verdict.again
            waits.append(verdict.delay)
        assert (one.message.attempt, waits[0], waits[-1]) == (1, 0.5, settlement.LONGEST_DELAY_S)

    surplus = Report(received=2, matched=2, items=2, done=(done(0),), failed=(failed(1, "deferred", retryable=True),))
    assert settlement.standstill(surplus, NOW + 100, NOW) == ""
    assert settlement.judge([leg(0), leg(1)], surplus, LIMITS, NOW)[1].delay == 0.0


@pytest.mark.parametrize(
    "report",
    [
        Report(received=1, matched=0),
        Report(received=2, matched=2, items=2, done=(done(0), done(1))),
        Report(received=1, matched=1, items=1, done=(done(7),)),
    ],
)
def test_a_report_that_does_not_tell_of_everything_is_none(report: Report) -> None:
    with pytest.raises(UnfitReport):
        settlement.judge([leg()], report, LIMITS, NOW)


def test_a_function_that_a_report_leaves_out_is_noticed() -> None:
    one = msgspec.structs.replace(leg(), message=message(0, only=("n.f", "n.g")))
    with pytest.raises(UnfitReport, match=r"n\.g"):
        settlement.judge([one], Report(received=1, matched=1, items=1, done=(done(0),)), LIMITS, NOW)


# -- batches ------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 200), max_size=50), st.integers(1, 10), st.integers(300, 900))
def test_batches_keep_every_message_in_order_and_their_limits(sizes: list[int], records: int, size: int) -> None:
    line, legs = Line(), [leg(i, value="x" * length) for i, length in enumerate(sizes)]
    for one in legs:
        line.add(one, 0.0)
    cut = []
    while batch := line.next(1.0, records=records, size=size, linger=0.0):
        cut.append(batch)
    assert [one for part in cut for one in part] == legs
    for part in cut:
        assert len(part) <= records
        assert len(part) == 1 or sum(one.entry.size for one in part) <= size


def test_a_batch_is_for_one_rule_and_waits_to_fill() -> None:
    line = Line()
    line.add(leg(0), 0.0)
    line.add(msgspec.structs.replace(leg(1), rule=RULE), 0.0)
    assert line.next(0.5, records=10, size=10**6, linger=1.0) == ()
    assert [one.rule for one in line.next(1.0, records=10, size=10**6, linger=1.0)] == [None]
    assert [one.rule for one in line.next(1.0, records=10, size=10**6, linger=1.0)] == [RULE]


def test_batches_grow_under_throttling_and_shrink_and_become_fewer_under_failure() -> None:
    pace = Pace(1000)
    for _ in range(5):
        pace.throttled()
    assert (pace.records, pace.flights) == (1000, 1)
    pace.fired(100.0)
    assert not pace.may_fire(100.2)
    for second in (100.0, 100.5, 103.0, 106.0):
        pace.failed(second)
    assert pace.records == 125  # the second was of the first's moment
    for _ in range(60):
        pace.passed()
    pace.failed(110.0)
    assert (pace.records, pace.flights) == (FIRST_RECORDS // 2, MOST_FLIGHTS // 2)
    for _ in range(20):
        pace.passed()
    pace.fired(200.0)
    assert pace.may_fire(200.0)
    assert (pace.records, pace.flights) == (FIRST_RECORDS, MOST_FLIGHTS)


def test_an_outage_found_by_several_batches_at_once_counts_once() -> None:
    pace = Pace(10)
    assert [pace.away(5.0) for _ in range(6)] == [0.25] * 6
    assert pace.away(6.0) == 0.5


# -- what is final ------------------------------------------------------------------------------------------------


def test_final_keys_are_known_for_their_days_and_in_bounded_memory() -> None:
    finals = Finals(window_days=3, most=5000)
    for day in range(5):
        for n in range(400):
            finals.add(f"{day}/{n}", "job", day * DAY_MS)
    assert [finals.has(f"{day}/7") for day in range(5)] == [False, False, True, True, True]
    assert not finals.has("4/7", ("dead",))
    for n in range(20_000):
        finals.add(f"more/{n}", "dead", 4 * DAY_MS)
    assert len(finals) <= 5000
    assert finals.has("more/19999")


# -- records of the feed's own topics -----------------------------------------------------------------------------


def as_record(value: bytes | None, headers: letters.Headers = []) -> Any:  # noqa: B006  read only
    return SimpleNamespace(value=value, headers=headers, topic="faas.parked", partition=0, offset=3)


@pytest.mark.parametrize("value", [b"text \xc3\xbc", b"\xff\xfe", b"", None])
def test_a_letter_is_read_as_it_was_written(value: bytes | None) -> None:
    text, encoded = letters.texts(value)
    original = Message(
        topic="t/x",
        partition=2,
        offset=9,
        timestamp=5,
        key="k",
        value=text,
        value_b64=encoded,
        headers=[("h", "1")],
        attempt=4,
        only=("n.f",),
    )
    written = letters.letter(
        original, failed(9, "policy", retryable=False), trigger="/ns/t", rule=RULE, functions=("n.f",), times=2
    )
    assert letters.decode(as_record(*letters.encode(written))) == written


def test_a_letter_that_is_too_large_keeps_its_place_its_hash_and_its_beginning() -> None:
    big = message(0, value="x" * 1_000_000)
    cut = letters.shortened(letters.letter(big, failed(0, "too_large", retryable=False), trigger="/n/t", rule=None))
    value, _ = letters.encode(cut)
    assert value == b"x" * 65_536
    assert cut.cut.startswith("sha256:")


def test_what_is_no_letter_is_said_to_be_none() -> None:
    with pytest.raises(letters.BadLetter, match=r"faas\.parked/0/3"):
        letters.decode(as_record(b"x", [("faasorigin", b"t/0/1")]))


def test_an_outcome_is_read_as_it_was_written() -> None:
    one = outcomes.of_done(done(3), message(3), trigger="/ns/t", rule="ns/r", activation="a" * 32, now=NOW)
    assert outcomes.decode(as_record(msgspec.json.encode(one))) == one
    assert (one.id, one.time, one.time_ms) == ("e3", "1970-01-01T00:16:40.000Z", 1_000_000)
    timeless = msgspec.json.encode(msgspec.structs.replace(one, time="soon"))
    for value in (None, b"{}", b"\xff", b'{"key": "\xff"}', timeless, b'{"x": ' + b"[" * 100_000):
        with pytest.raises(outcomes.BadOutcome):
            outcomes.decode(as_record(value))


# -- what comes back ----------------------------------------------------------------------------------------------


def test_a_parked_letter_that_was_written_twice_comes_back_once() -> None:
    """Given a feed that died between a letter and its commit, and one that wrote the letter again, then the second is
    passed over, so that the books do not count it; but not one that is read again after a rebalance, nor one of an item
    that was parked, died, was sent again by a person, and is parked once more."""
    went: list[Leg] = []
    memory = Memory(Cluster(bootstrap_servers=()), "outcomes")
    sieve = Sieve({}, Registry(None, lambda: 0), frozenset())  # type: ignore[arg-type]  # it is never asked
    entrance = Entrance("/n/t", sieve, memory, park_s=0.1, line_up=went.append, bury=lambda *_: None)
    failure = failed(7, "unavailable", retryable=True, at="local")

    def parked(offset: int, times: int, *, redriven: bool = False) -> Any:
        one = letters.letter(message(7), failure, trigger="/n/t", rule=None, functions=("n.f",), times=times)
        value, headers = letters.encode(msgspec.structs.replace(one, redriven=redriven))
        return SimpleNamespace(
            value=value, headers=headers, topic="parked", partition=0, offset=offset, timestamp=int(NOW * 1000)
        )

    lane = Lane(0)
    assert all(entrance.readmit(lane, parked(offset, 1)) for offset in (0, 1))
    entrance.ended(went[0].entry)
    assert entrance.readmit(lane, parked(2, 2))
    assert [one.entry.place.offset for one in went] == [0, 2]
    assert (lane.counts["other"], lane.counts["items:unparked"]) == (1, 1)
    for leg in went[1:]:
        entrance.forget(leg.entry)
    again = ((Lane(0), parked(0, 1)), (lane, parked(3, 1)), (lane, parked(4, 0, redriven=True)), (lane, parked(5, 1)))
    for lane_again, letter in again:
        assert entrance.readmit(lane_again, letter)
        entrance.forget(went[-1].entry)
    assert [one.entry.place.offset for one in went] == [0, 2, 0, 3, 4, 5]
    assert lane.counts["other"] == 1
