"""Limits, batches and cool-downs, asserted on the scheduler with a fake clock."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from prng_mpi.admission import Admission, Limits, limits_of, step_named
from prng_mpi.scheduler import Lease, Policy, Scheduler

SIX, TWO, INSIDE = limits_of(2), limits_of(3), None
POLICY = Policy(lease_margin=60.0, backoff=5.0, park_devices=3)
RESERVE = 1.5e9


def test_limits_by_step_read_as_they_are_logged() -> None:
    assert str(limits_of(3)) == "max_per_host=2 cooldown=10.0 s (step 3)"
    assert str(limits_of(2)) == "max_per_host=6 cooldown=5.0 s (step 2)"
    assert str(limits_of(None)) == "max_per_host=6 cooldown=5.0 s (other jobs)"
    assert {limits_of(step).max_in_all for step in (None, 1, 2, 3, 4, 5, 6)} == {20}


def test_steps_by_name() -> None:
    names = {"full_scoring_worker.py": 3, "scorer_trial_worker.py": 2, "scorer_meta": 2, "anti_overfit_trial_worker.py": 5,
             "adaptive_meta_optimizer.py": 4, "standard_analysis": None, "jobs.json": None}  # fmt: skip
    assert {name: step_named(name) for name in names} == names


@dataclass
class Sim:
    """A cluster with a clock of its own: `hosts` ranks on each host; a job takes its seconds; what ran when is kept."""

    limits: Sequence[Limits | None]
    hosts: dict[str, int]
    seconds: Callable[[int], float] = lambda job: 7.0
    memory: Callable[[str, float], float] = lambda host, now: 1e9
    delay: float = 0.0
    now: float = 0.0
    ran: list[tuple[int, str, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        count = len(self.limits)
        names = [f"job_{i}" for i in range(count)]
        self.admission = Admission(names, self.limits, [1000.0] * count, RESERVE)
        self.scheduler = Scheduler([(0, count)], POLICY, self.admission)
        self.host: dict[int, str] = {}
        for name, ranks in self.hosts.items():
            for rank in range(len(self.host), len(self.host) + ranks):
                self.host[rank] = name
                self.admission.join(rank, name, self.delay)
                self.scheduler.join(rank, 1.0, 0.0)

    def run(self) -> float:
        """Run all jobs; the time it took. Fails if nothing moves though jobs remain."""
        due: list[tuple[float, int, Lease]] = []
        idle = set(self.host)
        while not self.scheduler.finished:
            for rank in sorted(idle):
                if lease := self.scheduler.next(rank, self.now):
                    assert lease.seeds == 1
                    idle.discard(rank)
                    heapq.heappush(due, (self.now + self.seconds(lease.start), rank, lease))
            wake = self.scheduler.wake(self.now)
            assert due or wake is not None, "stuck"
            if wake is not None and (not due or wake < due[0][0]):
                self.now = max(wake, self.now)
                continue
            self.now, rank, lease = heapq.heappop(due)
            self.admission.measured(rank, self.memory(self.host[rank], self.now))
            assert self.scheduler.done(rank, lease.id, self.now - lease.issued, self.now) == (True, [])
            self.ran.append((lease.start, self.host[rank], lease.issued, self.now))
            idle.add(rank)
        return self.now

    def most(self, chosen: Callable[[int], bool] = lambda job: True) -> tuple[int, Counter[str]]:
        """The most such jobs that ran at once: in all, and by host."""
        edges = sorted(
            edge
            for job, host, began, ended in self.ran
            if chosen(job)
            for edge in ((ended, -1, host), (began, 1, host))
        )
        running, most, top = Counter[str](), Counter[str](), 0
        for _, change, host in edges:
            running[host] += change
            most[host] = max(most[host], running[host])
            top = max(top, running.total())
        return top, most

    def starts(self) -> dict[str, list[float]]:
        """When jobs began, by host."""
        found: dict[str, list[float]] = defaultdict(list)
        for _, host, began, _ in sorted(self.ran, key=lambda run: run[2]):
            found[host].append(began)
        return found


REFERENCE = {"zeus": 2, "rig-6600": 8, "rig-6600b": 8, "rig-6600c": 8}


def test_hosts_of_different_sizes_keep_their_caps() -> None:
    sim = Sim([SIX] * 120, REFERENCE)
    sim.run()
    assert sim.most() == (20, {"zeus": 2, "rig-6600": 6, "rig-6600b": 6, "rig-6600c": 6})
    assert sorted(job for job, *_ in sim.ran) == list(range(120))


def test_twenty_in_all_hold_where_hosts_have_room_for_more() -> None:
    sim = Sim([SIX] * 100, {f"host{i}": 8 for i in range(5)})
    sim.run()
    assert sim.most()[0] == 20


def test_step_3_runs_two_on_a_host_and_rests_ten_seconds() -> None:
    sim = Sim([TWO] * 7, {"rig": 8})
    assert sim.run() == pytest.approx(4 * 7 + 3 * 10)
    assert sim.most() == (2, {"rig": 2})
    assert sim.starts()["rig"] == [0, 0, 17, 17, 34, 34, 51]


def test_a_batch_is_six_and_the_rest_begins_when_its_last_job_ends() -> None:
    # Job 0 takes 30 s: jobs 6 and later wait for it and five seconds more, though five ranks are idle.
    sim = Sim([SIX] * 12, {"rig": 8}, seconds=lambda job: 30.0 if job == 0 else 7.0)
    sim.run()
    assert sim.starts()["rig"] == [0.0] * 6 + [35.0] * 6


def test_a_batch_on_a_small_host_is_as_many_jobs_one_after_another() -> None:
    sim = Sim([SIX] * 7, {"zeus": 2})
    sim.run()
    assert sim.starts()["zeus"] == [0, 0, 7, 7, 14, 14, 21 + 5]


def test_no_rest_while_memory_is_above_the_reserve() -> None:
    sim = Sim([TWO] * 6, {"rig": 8}, memory=lambda host, now: 5e9)
    assert sim.run() == pytest.approx(3 * 7)
    assert sim.most() == (2, {"rig": 2})


def test_memory_counts_by_host_and_as_it_was_last_measured() -> None:
    sim = Sim([TWO] * 12, {"small": 8, "big": 8}, memory=lambda host, now: 5e9 if host == "big" else RESERVE)
    sim.run()
    assert sim.starts()["small"] == [0, 0, 17, 17] and sim.starts()["big"] == [0, 0, 7, 7, 14, 14, 21, 21]
    sim = Sim([TWO] * 6, {"rig": 8}, memory=lambda host, now: 5e9 if now < 10 else 1e9)
    sim.run()
    assert sim.starts()["rig"] == [0, 0, 7, 7, 24, 24]


def test_jobs_of_other_steps_go_by_where_one_step_has_to_rest() -> None:
    """Two of step 3 with jobs of step 2 between them: the strictest of what runs on a host counts."""
    sim = Sim([TWO, TWO, TWO, TWO, INSIDE, INSIDE, INSIDE], {"rig": 4})
    sim.run()
    began = {job: at for job, _, at, _ in sim.ran}
    # Jobs inside their rank take the idle ranks at once, in the file's order.
    assert began == {0: 0, 1: 0, 4: 0, 5: 0, 6: 7, 2: 17, 3: 17}
    mixed = Sim([TWO, SIX, SIX, SIX], {"rig": 4})
    mixed.run()
    assert mixed.most()[1]["rig"] == 2
    assert mixed.most(lambda job: job > 0)[1]["rig"] == 2


def test_without_limits_every_rank_works() -> None:
    sim = Sim([INSIDE] * 60, REFERENCE)
    assert sim.run() == pytest.approx(3 * 7)
    assert sim.most()[0] == 26


def test_runtimes_start_one_after_another_on_a_host() -> None:
    sim = Sim([SIX] * 4 + [INSIDE] * 8, {"zeus": 2, "rig": 2}, delay=3.0, memory=lambda host, now: 9e9)
    sim.run()
    for job, host, began, _ in sim.ran:
        others = [at for other, where, at, _ in sim.ran if where == host and other != job and other < 4 and job < 4]
        assert all(abs(at - began) >= 3.0 for at in others)
    # A rank that has opened its device starts no runtime again.
    inside = sorted(at for job, host, at, _ in sim.ran if job >= 4 and host == "rig")
    assert inside[1] - inside[0] >= 3.0 and inside[-1] - inside[-2] < 7.0 + 3.0


def joined(limits: Sequence[Limits | None], ranks: int) -> tuple[Scheduler, Admission]:
    admission = Admission([f"job_{i}" for i in range(len(limits))], limits, [100.0] * len(limits), RESERVE)
    scheduler = Scheduler([(0, len(limits))], POLICY, admission)
    for rank in range(ranks):
        admission.join(rank, "rig", 0.0)
        scheduler.join(rank, 1.0, 0.0)
    return scheduler, admission


def take(scheduler: Scheduler, rank: int, now: float) -> Lease:
    lease = scheduler.next(rank, now)
    assert lease is not None
    return lease


def test_a_job_has_its_own_time_and_its_slot_until_its_rank_is_heard() -> None:
    scheduler, _ = joined([TWO] * 4, 4)
    lease, other = take(scheduler, 0, 0.0), take(scheduler, 1, 0.0)
    assert lease.deadline == 100.0 + 60.0
    assert scheduler.next(2, 1.0) is None and scheduler.available
    scheduler.done(1, other.id, 5.0, 5.0)
    assert [event.kind for event in scheduler.expire(160.0)] == ["expired", "retry"]
    # Its process may go on: one slot is taken, and the batch of two has not ended.
    assert scheduler.next(2, 161.0) is None
    scheduler.failed(0, lease.id, "TIMEOUT", 200.0, blame=False)
    assert scheduler.next(2, 209.9) is None and take(scheduler, 2, 210.0).attempt == 2


def test_a_failed_job_is_retried_within_the_limits_and_named() -> None:
    scheduler, _ = joined([TWO] * 3, 3)
    lease, other = take(scheduler, 0, 0.0), take(scheduler, 1, 0.0)
    events = scheduler.failed(0, lease.id, "INVALID_JSON", 1.0, blame=False)
    assert events[0].detail == "rank 0, job job_0, attempt 1: INVALID_JSON"
    scheduler.done(1, other.id, 1.0, 1.0)
    # Due after five seconds of back-off, admitted after the ten of the cool-down.
    assert scheduler.next(1, 10.9) is None
    again = take(scheduler, 1, 11.0)
    assert (again.start, again.attempt) == (0, 2)


def test_failing_jobs_cost_no_rank() -> None:
    scheduler, _ = joined([INSIDE] * 5, 1)
    now = 0.0
    while not scheduler.finished:
        if lease := scheduler.next(0, now):
            scheduler.failed(0, lease.id, "EXECUTION_ERROR", now, blame=False)
        else:
            wake = scheduler.wake(now)
            assert wake is not None
            now = wake
    assert scheduler.live == (0,) and [start for start, _, _ in scheduler.parked] == [0, 1, 2, 3, 4]
    assert all(len(reasons) == POLICY.attempts for _, _, reasons in scheduler.parked)


def test_a_lost_rank_frees_its_slot() -> None:
    scheduler, admission = joined([TWO] * 3, 3)
    take(scheduler, 0, 0.0)
    scheduler.done(1, take(scheduler, 1, 0.0).id, 1.0, 1.0)
    scheduler.lost(0, "host gone", 2.0)
    assert admission.resting(3.0) == {"rig": 9.0} and scheduler.wake(3.0) == 12.0
    assert take(scheduler, 2, 12.0).start == 0


def test_a_host_whose_memory_has_proved_too_small_runs_fewer_from_then_on() -> None:
    admission = Admission([str(n) for n in range(9)], [limits_of(2)] * 9, [1.0] * 9, RESERVE)
    for rank in range(8):
        admission.join(rank, "rig1" if rank < 6 else "rig2", 0.0)
    for rank in range(4):
        admission.started(rank, rank, float(rank))
    admission.ended(3, 5.0)
    admission.limit(3, 3)
    assert not admission.admits(4, 4, 6.0) and admission.admits(6, 4, 6.0)
    admission.ended(0, 7.0)
    assert admission.admits(4, 4, 7.0)
    # It never becomes more again.
    admission.limit(0, 5)
    admission.started(4, 4, 7.0)
    assert not admission.admits(5, 5, 8.0)
