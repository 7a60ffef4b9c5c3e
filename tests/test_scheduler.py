"""The scheduler alone: sizes, leases, retries, parking, quarantine, and a simulated cluster of up to 10,000 ranks."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prng_mpi.errors import UsageError
from prng_mpi.scheduler import Event, Lease, Policy, Scheduler

SMALL = Policy(min_chunk=100)


def kinds(events: list[Event]) -> list[str]:
    return [e.kind for e in events]


def take(s: Scheduler, rank: int, now: float) -> Lease:
    lease = s.next(rank, now)
    assert lease is not None
    return lease


def started(todo: list[tuple[int, int]], ranks: int, policy: Policy = SMALL) -> Scheduler:
    s = Scheduler(todo, policy)
    for rank in range(ranks):
        s.join(rank, 1, 0.0)
    return s


# -- sizes -----------------------------------------------------------------------------------------------------------


def test_first_chunk_by_weight_then_growth_then_measured_speed() -> None:
    s = Scheduler([(0, 10**9)], SMALL)
    s.join(0, 6, 0.0)
    lease = take(s, 0, 0.0)
    assert (lease.start, lease.stop, lease.expected_seconds, lease.deadline) == (0, 600, None, 60.0)
    sizes = []
    for _ in range(5):
        s.done(0, lease.id, lease.seeds / 50_000, 1.0)
        lease = take(s, 0, 1.0)
        sizes.append(lease.seeds)
    assert sizes == [4800, 38400, 50_000, 50_000, 50_000]
    assert lease.expected_seconds == pytest.approx(1.0)
    assert lease.deadline == pytest.approx(1.0 + 3.0 * 1.0 + 30.0)


def test_a_short_piece_does_not_set_growth_back() -> None:
    s = started([(0, 100), (200, 1000), (2000, 2010), (3000, 10**6)], 1)
    sizes = []
    for _ in range(4):
        lease = take(s, 0, 0.0)
        sizes.append(lease.seeds)
        s.done(0, lease.id, lease.seeds / 1e9, 0.0)
    assert sizes == [100, 800, 10, 6400]


def test_speed_is_a_moving_average_that_sets_the_next_size() -> None:
    s = started([(0, 10**9)], 1, Policy(min_chunk=100, growth=1000))
    assert s.speed(0) is None and s.total_speed == 0.0
    s.done(0, take(s, 0, 0.0).id, 0.01, 0.0)
    assert s.speed(0) == pytest.approx(10_000)
    # Starting weighs on a small chunk, so one of twice the size of any before counts alone.
    s.done(0, take(s, 0, 0.0).id, 0.5, 0.5)
    assert s.speed(0) == pytest.approx(20_000)
    s.done(0, take(s, 0, 0.5).id, 2.0, 2.5)
    assert s.speed(0) == pytest.approx(10_000)
    s.done(0, take(s, 0, 2.5).id, 0.5, 3.0)
    assert s.speed(0) == pytest.approx(0.7 * 10_000 + 0.3 * 20_000)
    assert take(s, 0, 3.0).seeds == 13_000


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_impossible_device_time_is_no_measurement(seconds: float) -> None:
    s = started([(0, 10**6)], 1)
    assert s.done(0, take(s, 0, 0.0).id, seconds, 0.0) == (True, [])
    assert s.speed(0) is None


def test_zero_device_time_is_measured_as_very_fast() -> None:
    s = started([(0, 10**6)], 1)
    s.done(0, take(s, 0, 0.0).id, 0.0, 0.0)
    assert take(s, 0, 0.0).seeds == 800


def test_an_unmeasured_rank_is_judged_by_the_measured_ones() -> None:
    s = Scheduler([(0, 10**9)], SMALL)
    s.join(0, 2, 0.0)
    s.done(0, take(s, 0, 0.0).id, 100.0, 0.0)
    s.join(1, 50, 0.0)
    assert s.total_speed == pytest.approx(2 + 50)
    lease = take(s, 1, 0.0)
    s.join(1, 20, 0.0)
    assert s.total_speed == pytest.approx(2 + 20)
    s.join(1, 50, 0.0)
    # 100 * 50 by weight would take 100 s; the ceiling is 10 s.
    assert lease.seeds == 500 and lease.expected_seconds == pytest.approx(10.0)
    assert lease.deadline == pytest.approx(3 * 10.0 + 2 * 30.0)


def test_chunks_shrink_towards_the_end_by_share() -> None:
    s = Scheduler([(0, 101_000)], Policy(min_chunk=100, growth=10**6, tail_seconds=0.0))
    s.join(0, 1, 0.0)
    s.join(1, 1, 0.0)
    first, second = take(s, 0, 0.0), take(s, 1, 0.0)
    s.done(0, first.id, first.seeds / 30_000_000, 0.0)
    s.done(1, second.id, second.seeds / 10_000_000, 0.0)
    left = 101_000 - 200
    assert take(s, 0, 0.0).seeds == int(left * 0.75 / 2)
    left -= int(left * 0.75 / 2)
    assert take(s, 1, 0.0).seeds == int(left * 0.25 / 2)


def test_the_tail_is_not_cut_finer_than_its_time() -> None:
    s = started([(0, 100_000)], 1, Policy(min_chunk=100, growth=10**6, tail_seconds=0.02))
    s.done(0, take(s, 0, 0.0).id, 100 / 1_000_000, 0.0)
    sizes = []
    while lease := s.next(0, 0.0):
        sizes.append(lease.seeds)
        s.done(0, lease.id, lease.seeds / 1_000_000, 0.0)
    assert sizes == pytest.approx([49_950, 24_975, 20_000, 4975], abs=1)


def test_only_the_last_piece_of_an_interval_is_below_the_minimum() -> None:
    s = started([(10, 260), (300, 420), (2**64 - 30, 2**64)], 1)
    pieces = []
    while lease := s.next(0, 0.0):
        pieces.append((lease.start, lease.stop))
        assert s.done(0, lease.id, 1.0, 0.0) == (True, [])
    assert pieces == [(10, 110), (110, 210), (210, 260), (300, 400), (400, 420), (2**64 - 30, 2**64)]
    assert s.finished and s.remaining == 0 and s.seeds_done == s.total == 400


def test_numpy_bounds_become_exact_integers() -> None:
    s = started([(np.uint64(2**63), np.uint64(2**64 - 1))], 1)  # type: ignore[list-item]
    lease = take(s, 0, 0.0)
    assert (lease.start, lease.stop) == (2**63, 2**63 + 100) and type(lease.start) is int


# -- leases and retries -----------------------------------------------------------------------------------------------


def test_a_failed_chunk_waits_and_goes_elsewhere_unchanged() -> None:
    s = started([(0, 1000)], 2)
    lease = take(s, 0, 0.0)
    assert kinds(s.failed(0, lease.id, "boom", 1.0)) == ["failed", "retry"]
    assert s.wake(1.0) == 6.0 and s.queued == [(0, 100), (100, 1000)]
    other = take(s, 1, 5.9)
    assert other.start == 100
    s.done(1, other.id, 1.0, 6.0)
    assert take(s, 0, 6.0).start == 200
    again = take(s, 1, 6.0)
    assert (again.start, again.stop, again.attempt) == (0, 100, 2)


def test_backoff_doubles_up_to_its_ceiling_and_attempts_end_on_a_lone_rank() -> None:
    s = started([(0, 100)], 1, Policy(min_chunk=100, attempts=5, backoff=5.0, backoff_max=12.0))
    now, waits = 0.0, []
    for _ in range(4):
        assert kinds(s.failed(0, take(s, 0, now).id, "boom", now)) == ["failed", "retry"]
        due = s.wake(now)
        assert due is not None and s.next(0, due - 0.01) is None and not s.finished
        waits.append(due - now)
        now = due
    assert waits == [5.0, 10.0, 12.0, 12.0]
    assert kinds(s.failed(0, take(s, 0, now).id, "last", now)) == ["failed", "parked"]
    assert s.parked == [(0, 100, ("rank 0: boom",) * 4 + ("rank 0: last",))]
    # One bad chunk is one failed chunk: the lone rank is not set aside for it.
    assert s.finished and not s.stuck and s.set_aside == {} and s.gaps() == [(0, 100)]


def test_a_chunk_that_failed_on_two_ranks_is_parked() -> None:
    s = started([(0, 300)], 3)
    s.failed(0, take(s, 0, 0.0).id, "a", 0.0)
    lease = take(s, 1, 5.0)
    assert (lease.start, lease.stop) == (0, 100)
    assert kinds(s.failed(1, lease.id, "b", 5.0)) == ["failed", "parked"]
    assert s.parked == [(0, 100, ("rank 0: a", "rank 1: b"))]
    assert s.remaining == 300 and s.gaps() == [(0, 300)] and not s.finished


def test_the_failing_rank_gets_it_again_when_nobody_else_is_live() -> None:
    s = started([(0, 100)], 2)
    s.failed(0, take(s, 0, 0.0).id, "a", 0.0)
    assert s.next(0, 5.0) is None and s.available
    s.lost(1, "gone", 5.0)
    assert take(s, 0, 5.0).attempt == 2


def test_a_rank_that_was_only_silent_goes_before_one_that_failed() -> None:
    s = started([(0, 100)], 2)
    s.failed(0, take(s, 0, 0.0).id, "a", 0.0)
    take(s, 1, 5.0)
    s.expire(99.0)
    s.join(1, 1, 99.0)
    assert s.live == (0, 1) and s.next(0, 99.0) is None
    assert take(s, 1, 99.0).attempt == 3


def test_a_rank_that_failed_three_chunks_is_set_aside() -> None:
    s = started([(0, 10_000)], 2)
    for n in range(3):
        events = s.failed(0, take(s, 0, 0.0).id, f"e{n}", 0.0)
    assert kinds(events) == ["failed", "retry", "set_aside"]
    assert s.set_aside == {0: ("[0, 100): e0", "[100, 200): e1", "[200, 300): e2")}
    assert s.next(0, 99.0) is None and s.live == (1,)
    assert kinds(s.join(0, 1, 99.0)) == ["ignored"] and s.live == (1,)
    assert [take(s, 1, 99.0).start, s.finished, s.stuck] == [0, False, False]


def test_expired_lease_goes_elsewhere_at_once_and_its_rank_waits_to_be_heard() -> None:
    s = started([(0, 1000)], 2)
    lease = take(s, 0, 0.0)
    assert s.expire(59.9) == [] and s.in_flight == (lease,) and s.wake(0.0) == 60.0
    assert kinds(s.expire(60.0)) == ["expired", "retry"]
    assert s.in_flight == () and s.silent == (0,) and s.live == (1,) and s.wake(60.0) is None
    assert s.next(0, 61.0) is None
    again = take(s, 1, 61.0)
    assert (again.start, again.stop, again.attempt) == (0, 100, 2)
    assert kinds(s.join(0, 1, 62.0)) == ["back"] and take(s, 0, 62.0).start == 100


def test_a_late_result_is_taken_once_and_the_copy_dropped() -> None:
    s = started([(0, 1000)], 2)
    old = take(s, 0, 0.0)
    s.expire(60.0)
    new = take(s, 1, 60.0)
    ok, events = s.done(0, old.id, 61.0, 61.0)
    assert ok and kinds(events) == ["late_accepted"] and s.live == (0, 1) and s.seeds_done == 100
    assert s.in_flight == () and s.gaps() == [(100, 1000)]
    ok, events = s.done(1, new.id, 1.0, 62.0)
    assert not ok and kinds(events) == ["late_discarded"] and s.seeds_done == 100
    assert take(s, 1, 62.0).start == 100


def test_a_late_result_after_the_copy_is_dropped() -> None:
    s = started([(0, 100)], 2)
    old = take(s, 0, 0.0)
    s.expire(60.0)
    assert s.done(1, take(s, 1, 60.0).id, 1.0, 61.0) == (True, [])
    assert s.finished
    ok, events = s.done(0, old.id, 61.0, 61.0)
    assert not ok and kinds(events) == ["late_discarded"] and s.seeds_done == 100


def test_a_late_result_takes_a_waiting_or_parked_chunk_out() -> None:
    s = started([(0, 100)], 1, Policy(min_chunk=100, attempts=1))
    old = take(s, 0, 0.0)
    assert kinds(s.expire(60.0)) == ["expired", "parked"]
    assert s.done(0, old.id, 61.0, 61.0)[0]
    assert s.parked == [] and s.finished and s.gaps() == []

    s = started([(0, 100)], 1)
    old = take(s, 0, 0.0)
    s.expire(60.0)
    assert s.stuck and not s.finished and s.queued == [(0, 100)]
    assert s.done(0, old.id, 61.0, 61.0)[0]
    assert s.next(0, 61.0) is None and not s.available and s.finished


def test_an_overtaken_lease_that_goes_silent_is_not_queued_again() -> None:
    s = started([(0, 100)], 2)
    old = take(s, 0, 0.0)
    s.expire(60.0)
    new = take(s, 1, 60.0)
    s.done(0, old.id, 61.0, 61.0)
    assert kinds(s.expire(new.deadline)) == ["expired", "done_elsewhere"]
    assert s.queued == [] and s.silent == (1,)


def test_a_late_failure_counts_but_leaves_the_chunk_with_its_holder() -> None:
    s = started([(0, 100)], 3)
    old = take(s, 0, 0.0)
    s.expire(60.0)
    new = take(s, 1, 60.0)
    assert kinds(s.failed(0, old.id, "late", 61.0)) == ["failed"]
    assert s.in_flight == (new,) and 0 in s.live
    assert kinds(s.failed(1, new.id, "too", 62.0)) == ["failed", "parked"]


def test_a_late_failure_parks_a_waiting_chunk() -> None:
    s = started([(0, 100)], 3)
    old = take(s, 0, 0.0)
    s.expire(60.0)
    s.failed(1, take(s, 1, 60.0).id, "first", 60.0)
    assert kinds(s.failed(0, old.id, "second", 61.0)) == ["failed", "parked"]
    assert s.queued == [] and s.next(2, 99.0) is None and s.finished


def test_a_rank_set_aside_while_it_holds_a_lease_stays_aside() -> None:
    s = started([(0, 1000)], 2, Policy(min_chunk=100, quarantine=1))
    old = take(s, 0, 0.0)
    s.expire(60.0)
    s.join(0, 1, 61.0)
    new = take(s, 0, 61.0)
    assert "set_aside" in kinds(s.failed(0, old.id, "late", 62.0))
    assert kinds(s.expire(999.0)) == ["expired", "retry"]
    assert s.done(0, new.id, 1.0, 1000.0)[0] and s.next(0, 1000.0) is None and s.live == (1,)


def test_a_lost_rank_gives_its_lease_back_and_gets_nothing_more() -> None:
    s = started([(0, 1000)], 2)
    lease = take(s, 0, 0.0)
    assert kinds(s.lost(0, "host down", 1.0)) == ["lost", "retry"]
    assert s.lost(0, "again", 1.0) == [] and s.next(0, 1.0) is None
    assert kinds(s.join(0, 1, 1.0)) == ["ignored"] and s.next(0, 1.0) is None
    again = take(s, 1, 1.0)
    assert (again.start, again.attempt) == (0, 2)
    # Its result was already under way: as good as any, but the rank stays lost.
    assert s.done(0, lease.id, 1.0, 2.0)[0] and s.live == (1,)


def test_losses_use_up_attempts_so_that_a_killer_chunk_ends() -> None:
    s = started([(0, 500)], 4)
    ends = []
    for rank in range(3):
        assert take(s, rank, 0.0).start == 0
        ends.append(kinds(s.lost(rank, "killed", 0.0))[-1])
    assert ends == ["retry", "retry", "parked"] and take(s, 3, 0.0).start == 100


def test_a_rank_lost_before_it_joined() -> None:
    s = Scheduler([(0, 10)])
    assert kinds(s.lost(5, "never started", 0.0)) == ["lost"] and kinds(s.join(5, 1, 1.0)) == ["ignored"]
    assert s.stuck and not s.finished and s.total_speed == 0.0


def test_drain_hands_out_nothing_more_and_ends_with_the_last_lease() -> None:
    s = started([(0, 1000)], 2)
    lease = take(s, 0, 0.0)
    s.drain()
    assert s.next(1, 0.0) is None and not s.finished and not s.available
    assert s.done(0, lease.id, 1.0, 1.0)[0]
    assert s.finished and not s.stuck and s.next(0, 1.0) is None
    assert s.gaps() == [(100, 1000)] and s.remaining == 900


def test_unknown_reports_change_nothing() -> None:
    s = started([(0, 1000)], 2)
    lease = take(s, 0, 0.0)
    ok, events = s.done(1, lease.id, 1.0, 0.0)
    assert not ok and kinds(events) == ["unknown"] and s.in_flight == (lease,)
    assert s.done(0, lease.id, 1.0, 0.0)[0]
    assert not s.done(0, lease.id, 1.0, 0.0)[0] and s.seeds_done == 100
    assert kinds(s.failed(0, lease.id, "twice", 0.0)) == ["unknown"] and s.gaps() == [(100, 1000)]


def test_sums_of_speeds_follow_who_is_live() -> None:
    s = Scheduler([(0, 10**9)], SMALL)
    for rank, speed in enumerate((1e12, 3.0, 5.0)):
        s.join(rank, 1, 0.0)
        s.done(rank, take(s, rank, 0.0).id, 100 / speed, 0.0)
    s.lost(0, "gone", 0.0)
    # No trace of the huge one, which floating sums would leave.
    assert s.total_speed == pytest.approx(8.0, rel=1e-6)
    lease = take(s, 2, 0.0)
    s.expire(lease.deadline)
    assert s.total_speed == pytest.approx(3.0, rel=1e-6)
    s.join(2, 1, 99.0)
    s.join(2, 1, 99.0)
    assert s.total_speed == pytest.approx(8.0, rel=1e-6)


def test_nothing_to_do_is_finished() -> None:
    s = Scheduler([])
    s.join(0, 1, 0.0)
    assert s.finished and not s.stuck and s.next(0, 0.0) is None and s.gaps() == [] and s.wake(0.0) is None


def test_broken_protocol_and_bad_input_are_said() -> None:
    s = started([(0, 1000)], 1)
    take(s, 0, 0.0)
    with pytest.raises(ValueError, match="holds lease 0"):
        s.next(0, 0.0)
    with pytest.raises(ValueError, match="never joined"):
        s.next(7, 0.0)
    for todo in ([(5, 5)], [(-1, 3)], [(0, 2**64 + 1)], [(0, 5), (4, 9)], [(6, 9), (0, 5)]):
        with pytest.raises(UsageError, match="disjoint ascending"):
            Scheduler(todo)
    for weight in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="profile weight"):
            s.join(1, weight, 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chunk_seconds", 0.0),
        ("chunk_seconds", 10.5),
        ("max_chunk_seconds", math.inf),
        ("min_chunk", 0),
        ("tail_seconds", -0.1),
        ("tail_seconds", 1.1),
        ("alpha", 0.0),
        ("alpha", 1.1),
        ("growth", 1),
        ("lease_factor", math.nan),
        ("lease_margin", -1.0),
        ("attempts", 0),
        ("backoff", -1.0),
        ("backoff", 301.0),
        ("park_devices", 0),
        ("quarantine", 0),
    ],
)
def test_impossible_policy_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        Policy(**{name: value})


# -- a simulated cluster ----------------------------------------------------------------------------------------------

LATENCY = 1e-3


@dataclass
class Cluster:
    """A deterministic event queue around a scheduler: true speeds in seeds/s, one message each way takes LATENCY.

    `fate(rank, lease)` says what becomes of a lease: 'ok', 'fail', 'hang' (never heard of again) or 'late' (the
    device takes its time and 100 s more).
    """

    scheduler: Scheduler
    speeds: list[float]
    fate: Callable[[int, Lease], str] = lambda rank, lease: "ok"
    busy: list[float] = field(default_factory=list)
    accepted: list[tuple[int, int]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    end: float = 0.0
    idle: dict[int, None] = field(default_factory=dict)
    queue: list[tuple[float, int, str, int, Lease | None]] = field(default_factory=list)
    order: itertools.count[int] = field(default_factory=itertools.count)

    def run(self, weights: list[float]) -> None:
        s = self.scheduler
        self.busy = [0.0] * len(self.speeds)
        for rank, weight in enumerate(weights):
            s.join(rank, weight, 0.0)
            self.idle[rank] = None
        now = 0.0
        self.offer(now)
        while not s.finished and not (s.stuck and not self.queue):
            wake = s.wake(now)
            if self.queue and (wake is None or self.queue[0][0] <= wake):
                now, _, what, rank, lease = heapq.heappop(self.queue)
                assert lease is not None
                self.report(what, rank, lease, now)
            else:
                assert wake is not None and wake >= now
                now = wake
            self.events += s.expire(now)
            self.offer(now)
        # Late ones may still come after the end; none of them may count twice.
        for when, _, what, rank, lease in sorted(self.queue):
            assert lease is not None
            self.report(what, rank, lease, when)

    def offer(self, now: float) -> None:
        for rank in list(self.idle) if self.scheduler.available else []:
            lease = self.scheduler.next(rank, now)
            if lease is None:
                continue
            del self.idle[rank]
            fate = self.fate(rank, lease)
            seconds = lease.seeds / self.speeds[rank]
            self.busy[rank] += seconds
            if fate != "hang":
                when = now + 2 * LATENCY + seconds + (100.0 if fate == "late" else 0.0)
                heapq.heappush(self.queue, (when, next(self.order), fate, rank, lease))

    def report(self, what: str, rank: int, lease: Lease, now: float) -> None:
        self.idle[rank] = None
        if what == "fail":
            self.events += self.scheduler.failed(rank, lease.id, "launch failed", now)
            return
        ok, events = self.scheduler.done(rank, lease.id, lease.seeds / self.speeds[rank], now)
        self.events += events
        if ok:
            self.end = now
            self.accepted.append((lease.start, lease.stop))

    @property
    def idle_share(self) -> float:
        return 1 - sum(self.busy) / (len(self.speeds) * self.end)


def union(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges joined where they touch; fails if two overlap."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        assert not joined or start >= joined[-1][1], "two ranges overlap"
        if joined and start == joined[-1][1]:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


@pytest.mark.parametrize("wrong", [(6.0, 1.0), (1.0, 6.0), (1.0, 1.0)])
def test_idle_share_stays_low_with_weights_wrong_by_six(wrong: tuple[float, float]) -> None:
    # 2 fast and 24 slow ranks; the weights say 6:1 of a truth that is 1:6, 6:6 or 6:1 in turn.
    speeds = [6e5 if rank < 2 else 1e5 * (1 + rank % 3 / 10) for rank in range(26)]
    weights = [wrong[0] if rank < 2 else wrong[1] for rank in range(26)]
    total = int(60 * sum(speeds))
    start = 2**63 - 5
    cluster = Cluster(Scheduler([(start, start + total)], Policy()), speeds)
    cluster.run(weights)
    assert union(cluster.accepted) == [(start, start + total)]
    assert 60 <= cluster.end < 62
    # 3 % is what is asked for; a tail of whole chunks would already cost 0.8 %.
    assert cluster.idle_share <= 0.005
    assert cluster.events == []


def test_ten_thousand_ranks() -> None:
    ranks = 10_000
    speeds = [5e5 * (1 + rank % 7) for rank in range(ranks)]
    weights = [6.0 if rank % 2 else 1.0 for rank in range(ranks)]
    total = int(1.5 * sum(speeds))
    cluster = Cluster(Scheduler([(0, total // 2), (total, total + total // 2)], Policy()), speeds)
    cluster.run(weights)
    assert union(cluster.accepted) == [(0, total // 2), (total, total + total // 2)]
    assert cluster.scheduler.finished and cluster.idle_share < 0.05


def test_failures_hangs_and_late_returns_lose_and_double_nothing() -> None:
    ranks = 40
    speeds = [1e4 * (1 + rank % 5) for rank in range(ranks)]
    total = int(30 * sum(speeds))

    def fate(rank: int, lease: Lease) -> str:
        if rank == 0:
            return "fail"
        if rank in (1, 2) and lease.start > total // 10:
            return "hang"
        if lease.attempt == 1 and lease.id % 97 == 0:
            return "late"
        # Bad seeds: every device fails on the chunk that holds this one.
        return "fail" if lease.start <= total // 2 < lease.stop else "ok"

    cluster = Cluster(Scheduler([(0, total)], Policy()), speeds, fate)
    cluster.run([1.0] * ranks)
    s = cluster.scheduler
    seen = set(kinds(cluster.events))
    assert {"failed", "retry", "expired", "parked", "set_aside", "late_discarded"} <= seen
    assert list(s.set_aside) == [0] and len(s.parked) == 1
    start, stop, reasons = s.parked[0]
    assert start <= total // 2 < stop and len(reasons) == 2
    assert s.gaps() == [(start, stop)] and s.finished
    assert union([*cluster.accepted, (start, stop)]) == [(0, total)]
    assert s.seeds_done == total - (stop - start) == sum(b - a for a, b in cluster.accepted)


# -- any interleaving ------------------------------------------------------------------------------------------------

TODO = [(0, 700), (700, 1500), (2**64 - 400, 2**64)]
RANKS = st.integers(0, 3)


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: done, in flight, queued and parked ranges are disjoint and make up TODO."""

    def __init__(self) -> None:
        super().__init__()
        self.s = Scheduler(TODO, Policy(min_chunk=60, attempts=4, quarantine=4))
        self.now = 0.0
        self.accepted: list[tuple[int, int]] = []
        # Every lease that was issued and not reported, expired and lost ones too.
        self.open: list[Lease] = []
        self.busy: dict[int, Lease] = {}
        self.joined: set[int] = set()
        self.gone: set[int] = set()
        self.blamed: list[Lease] = []

    @rule(rank=RANKS, weight=st.sampled_from([0.5, 1.0, 6.0]))
    def join(self, rank: int, weight: float) -> None:
        self.s.join(rank, weight, self.now)
        self.joined.add(rank)

    @rule(rank=RANKS)
    def next(self, rank: int) -> None:
        if rank not in self.joined | self.gone or rank in self.busy:
            return
        failed_here = {(e.start, e.stop) for e in self.blamed if e.rank == rank}
        others = set(self.s.live) - {rank}
        lease = self.s.next(rank, self.now)
        if lease is None:
            return
        assert rank not in self.gone and lease.rank == rank and lease.deadline > self.now
        blamed = {e.rank for e in self.blamed if (e.start, e.stop) == (lease.start, lease.stop)}
        assert (lease.start, lease.stop) not in failed_here or others <= blamed
        self.open.append(lease)
        self.busy[rank] = lease

    def _close(self, lease: Lease) -> None:
        self.open.remove(lease)
        if self.busy.get(lease.rank) is lease:
            del self.busy[lease.rank]

    @precondition(lambda self: self.open)
    @rule(data=st.data(), seconds=st.sampled_from([0.0, 0.001, 1.0, 50.0, math.nan]))
    def done(self, data: st.DataObject, seconds: float) -> None:
        lease = data.draw(st.sampled_from(self.open))
        before = self.s.seeds_done
        ok, events = self.s.done(lease.rank, lease.id, seconds, self.now)
        fresh = all(lease.stop <= a or b <= lease.start for a, b in self.accepted)
        assert ok == fresh
        assert ok or kinds(events) == ["late_discarded"]
        assert self.s.seeds_done == before + (lease.seeds if ok else 0)
        if ok:
            self.accepted.append((lease.start, lease.stop))
        self._close(lease)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def failed(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.open))
        assert kinds(self.s.failed(lease.rank, lease.id, "boom", self.now))[0] == "failed"
        self.blamed.append(lease)
        self._close(lease)

    @rule(rank=RANKS)
    def lost(self, rank: int) -> None:
        self.s.lost(rank, "gone", self.now)
        self.gone.add(rank)
        self.busy.pop(rank, None)
        assert rank not in self.s.live

    @rule(step=st.sampled_from([0.1, 5.0, 40.0, 500.0]))
    def pass_time(self, step: float) -> None:
        self.now += step
        for event in self.s.expire(self.now):
            if event.kind == "expired":
                assert self.busy.pop(event.rank) is event.lease
        wake = self.s.wake(self.now)
        assert wake is None or wake > self.now

    @invariant()
    def everything_is_somewhere_once(self) -> None:
        s = self.s
        flying = [(lease.start, lease.stop) for lease in s.in_flight]
        parked = [(start, stop) for start, stop, _ in s.parked]
        assert union([*self.accepted, *flying, *s.queued, *parked]) == union(TODO)
        assert union([*flying, *s.queued, *parked]) == s.gaps()
        assert s.seeds_done + s.remaining == s.total == 1900
        assert s.seeds_done == sum(stop - start for start, stop in self.accepted)
        assert s.finished == (not flying and not s.queued)
        assert s.stuck == (not flying and bool(s.queued) and not s.live)
        assert set(flying) <= {(lease.start, lease.stop) for lease in self.busy.values()}


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=100, stateful_step_count=80, deadline=None)
