"""Devices that compute wrongly are caught, what they did is done again, and none that is right is accused.

The faults are those of corrupt.py: they begin after some chunks, so a device has passed its start and some checks before."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corrupt import BLOCK, DEAD, FAULTS, LANES, PATCH, THREADS, corrupt
from prng_mpi import audits, farm, recipes, runs, statistics
from prng_mpi.audits import Answer, Auditor, Planter
from prng_mpi.comm import Message, Tag
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.farm import Card, End, Farm, Finished, Worker
from prng_mpi.ledger import Audited, Ledger
from prng_mpi.records import HIT
from prng_mpi.scheduler import Lease, Policy, Scheduler
from prng_mpi.search import Search, side
from prng_mpi.spaces import Space
from support import SEEDS, Ended, assert_same, run_sieve, small, survivors, uniform

# Chunks that a device does after its fault begins until it is caught, where each is audited: its audit goes with the chunk, and
# the second opinion with the next one of another rank.
CAUGHT_WITHIN = 3
HEALTHY = 3


# -- probes -----------------------------------------------------------------------------------------------------------


def search_of(name: str = "java.nextInt", modulus: int = 200, k: int = 8, need: int = 2, **more: Any) -> Search:
    more = {"skips": (0, 8), **more}
    return Search(recipes.recipe(name), modulus, np.array(uniform(5, k, modulus), np.uint32), 0, need, **more)


def sided(ahead: int, behind: int = 0, misses: int | None = None) -> Search:
    more: dict[str, Any] = {"ahead": side(uniform(5, ahead, 1000), ahead - 1), "offsets": (20, 40)}
    if behind:
        more["behind"] = side(uniform(6, behind, 1000), behind - 2, behind=True)
    return search_of(modulus=1000, k=0, need=0, misses=misses, **more)


SEARCHES: dict[str, Callable[[], Search]] = {
    "loose": search_of,
    "strict": lambda: search_of(modulus=1000, k=30, need=30),
    "a word each": lambda: search_of(modulus=2**31 - 1, k=5, need=5),
    "no jumps": lambda: search_of("mt19937.mod", 1000, 30, 21, offsets=(2, 5)),
    "rejections": lambda: search_of("python.randrange", 1000, 30, 25),
    "far": lambda: search_of(k=8, skips=(1000, 1016), offsets=(0, 100)),
    "ahead": lambda: sided(12),
    "both sides": lambda: sided(12, 8),
    "hybrid": lambda: sided(12, 8, misses=3),
    "two values": lambda: search_of(modulus=2, k=30, need=28),
    "times and ids": lambda: search_of("mt19937.mod", 1000, 20, 10, space=Space("", 10**9, 2**24, (300, 1000))),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_devices_find_what_is_planted_and_answer_alike(name: str) -> None:
    search = SEARCHES[name]()
    plain = CpuDevice(search.recipe, "reference", search.form)
    device = CpuDevice(search.recipe, "cpu", search.form)
    planter = Planter(search, plain, np.random.default_rng(3))
    for start, seeds in ((0, 1), (10_000_000, 1), (2**32 - 300, 700), (10_000_000, 3_000_000)):
        if search.space is not None and start + seeds > search.space.size:
            continue
        lease = Lease(0, start, start + seeds, 0, 1, 0.0, 0.0, None)
        for kind in ("canary", "audit"):
            made = getattr(planter, kind)(7, lease)
            if made is None:
                # The one seed of this chunk is none of the space.
                assert search.space is not None and not search.space.real(np.array([lease.start], np.uint64))[0]
                continue
            probe, planted = made
            assert probe.start < probe.stop <= lease.stop
            assert lease.start <= probe.start or kind == "audit"
            first, second = (audits.examine(d, search, probe) for d in (device, plain))
            assert first is not None and second is not None and (first.number, first.checksum) == (7, second.checksum)
            found = first.hits["seed"]
            assert len(planted) and np.isin(planted, found).all()
            if kind == "canary":
                assert np.isin(planted, found[first.hits["matches"] == search.k]).all()
            elif search.space is None:
                assert lease.stop - 1 in planted and len(probe.seeds) and probe.count


def test_a_probe_leaves_what_a_device_has_prepared_and_learned() -> None:
    search = search_of()
    device = CpuDevice(search.recipe, "emulated")
    device.sieve(search, 0, 5000)
    before = (device._rate, device._last, device.tuner and device.tuner.shape)
    made = Planter(search, device, np.random.default_rng(3)).audit(0, Lease(0, 0, 10**6, 0, 1, 0.0, 0.0, None))
    assert made is not None and audits.examine(device, search, made[0]) is not None
    assert (device._rate, device._last, device.tuner and device.tuner.shape) == before


def test_canaries_are_everywhere_in_a_chunk_and_often_at_its_end() -> None:
    search = search_of()
    planter = Planter(search, CpuDevice(search.recipe, "reference"), np.random.default_rng(3))
    lease = Lease(0, 0, 10_000_000, 0, 1, 0.0, 0.0, None)
    made = [planter.canary(0, lease) for _ in range(200)]
    at = np.array([int(one[1][0]) for one in made if one is not None])
    assert 60 < (at >= lease.stop - audits.LAST_SEEDS).sum() < 140
    assert np.histogram(at, 4, (0, lease.stop))[0].min() > 10


# -- a job in one process -----------------------------------------------------------------------------------------------


class Ranks:
    """Root's end of a job whose ranks are devices in this process; each computes when root asks for messages."""

    rank = 0

    def __init__(self, search: Search, devices: list[CpuDevice]) -> None:
        self.search, self.devices, self.size = search, devices, len(devices) + 1
        self.mail = deque(Message(n, Tag.READY, card(n)) for n in range(1, self.size))
        self.work: deque[tuple[int, Any]] = deque()

    def name(self, rank: int) -> str:
        return f"rank {rank}"

    def send(self, dest: int, tag: Tag, content: Any = None) -> None:
        if tag is Tag.CHUNK:
            self.work.append((dest, content))

    def poll(self, source: int | None = None, tag: Tag | None = None) -> Message | None:
        if not self.mail and self.work:
            rank, (number, start, stop, *probes) = self.work.popleft()
            device, began = self.devices[rank - 1], time.perf_counter()
            hits = device.sieve(self.search, start, stop)
            # A tick of the clock, that all devices are as fast and the chunks stay small.
            done = Finished(number, hits, 2e-6 * (stop - start) + 1e-3, None, True,
                            tuple(audits.examine(device, self.search, p) for p in (probes[0] if probes else ())))  # fmt: skip
            assert began
            self.mail.append(Message(rank, Tag.RESULT, done))
        return self.mail.popleft() if self.mail else None


def card(rank: int) -> Card:
    return Card(rank, "host", "cpu", f"device {rank}", "asked", 1.0)


class Quiet:
    """The log of a farm that goes to the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.events = ledger, list[dict[str, Any]]()

    def issued(self, lease: Lease, card: Card) -> None:
        self.ledger.issue(lease.id, lease.start, lease.stop, lease.rank, host=card.host, device=card.device)

    def commit(self, lease: Lease, card: Card, done: Finished) -> None:
        self.ledger.commit(
            lease.start, lease.stop, lease.rank, done.hits, lease=lease.id, host=card.host, device=card.device
        )

    def ended(self, lease: Lease, outcome: str, finished: Finished | None, reason: str) -> None:
        self.ledger.outcome(lease.id, outcome, reason=reason)

    def event(self, kind: str, **fields: Any) -> None:
        self.events.append({"kind": kind, **fields})


@dataclass
class Played:
    """How a job in this process ended."""

    end: End
    log: Quiet
    ledger: Ledger
    farm: Farm

    @property
    def caught(self) -> list[Audited]:
        return [a for a in self.ledger.audits() if a.outcome == "caught"]

    def since_fault(self, rank: int) -> int:
        """Chunks that a device was given after its fault began, all in all."""
        return sum(a.rank == rank for a in self.ledger.attempts()) - HEALTHY


@contextmanager
def played(
    folder: Path,
    ranks: int,
    spoil: Callable[[int, CpuDevice], None] = lambda rank, device: None,
    share: float = 1e9,
    search: Search | None = None,
    chance: float | None = None,
) -> Iterator[Played]:
    """Search SEEDS seeds on so many devices, spoiled as wanted. The ledger is open inside the block."""
    search = search or search_of()
    devices = [CpuDevice(search.recipe) for _ in range(ranks)]
    for number, device in enumerate(devices, 1):
        spoil(number, device)
    with Ledger.open(folder / "ledger.sqlite", {"search": 1}) as ledger:
        # No power is cut in this test, so nobody waits for the disk.
        log = Quiet(ledger)
        auditor = Auditor(search, share, ledger, chance, log.event, np.random.default_rng(4)) if share else None
        scheduler = Scheduler([(0, SEEDS)], Policy(chunk_seconds=0.02, tail_seconds=0.01, backoff=0.0))
        one = Farm(Ranks(search, devices), scheduler, log, lambda state: None, lambda: 0, auditor=auditor)  # type: ignore[arg-type]
        yield Played(one.lead(None, "root looks on", None, 5), log, ledger, one)


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The hits of the search on one right device that nobody checks."""
    with played(tmp_path_factory.mktemp("truth"), 1, share=0) as job:
        assert job.end is End.COMPLETE and not job.ledger.audits()
        return job.ledger.hits().tobytes()


def only(bad: int, fault: str) -> Callable[[int, CpuDevice], None]:
    return lambda rank, device: corrupt(device, fault, HEALTHY) if rank == bad else None


@pytest.mark.parametrize("fault", FAULTS)
def test_of_four_devices_the_wrong_one_is_caught(fault: str, truth: bytes, tmp_path: Path) -> None:
    with played(tmp_path, 4, only(3, fault)) as job:
        assert job.end is End.COMPLETE
        assert [a.rank for a in job.caught] == [3]
        assert job.since_fault(3) <= CAUGHT_WITHIN
        # What it did wrongly was withdrawn, what it did before stands.
        outcomes = Counter(a.outcome for a in job.ledger.attempts() if a.rank == 3)
        assert outcomes["withdrawn"] >= 1 and 1 <= outcomes["done"] <= HEALTHY
        assert job.ledger.seeds_done() == SEEDS
        assert job.ledger.hits().tobytes() == truth
        assert job.farm.state.hits == len(job.ledger.hits())


@pytest.mark.parametrize("fault", FAULTS)
def test_of_two_devices_that_are_wrong_alike_both_are_caught(fault: str, truth: bytes, tmp_path: Path) -> None:
    with played(tmp_path, 3, lambda rank, device: corrupt(device, fault, HEALTHY) if rank < 3 else None) as job:
        assert job.end is End.COMPLETE
        assert sorted(a.rank for a in job.caught) == [1, 2]
        assert job.ledger.hits().tobytes() == truth


def test_without_a_right_device_the_job_ends_and_believes_nothing(tmp_path: Path) -> None:
    with played(tmp_path, 2, lambda rank, device: corrupt(device, BLOCK, 0)) as job:
        assert job.end is End.NO_DEVICE
        assert sorted(a.rank for a in job.caught) == [1, 2]
        assert job.ledger.seeds_done() == 0 and farm.UNFINISHED[job.end] == 7


@pytest.mark.parametrize("fault", FAULTS)
def test_a_device_that_is_hardly_ever_checked_is_caught_at_the_end(fault: str, truth: bytes, tmp_path: Path) -> None:
    with played(tmp_path, 2, only(2, fault), share=1e-6) as job:
        assert job.end is End.COMPLETE
        assert [a.rank for a in job.caught] == [2]
        assert sum(a.outcome == "withdrawn" for a in job.ledger.attempts()) > 3
        assert job.ledger.hits().tobytes() == truth
        # Two devices, each checked with its first chunk, and the right one also with its last, at the end, twice.
        assert len([a for a in job.ledger.audits() if a.outcome == "passed"]) <= 10
        assert not job.ledger.unchecked()


def test_right_devices_are_never_accused(truth: bytes, tmp_path: Path) -> None:
    search = search_of()
    chance = search.plan(0.25, SEEDS).chance.p
    with played(tmp_path, 4, chance=chance) as job:
        assert (job.end, job.caught, job.farm.scheduler.set_aside) == (End.COMPLETE, [], {})
        assert job.ledger.hits().tobytes() == truth
        passed = Counter(a.kind for a in job.ledger.audits())
        assert passed["canary"] > 30 and passed["audit"] > 30 and passed["re-run"] > 3
        assert "odd_count" not in {event["kind"] for event in job.log.events}
        assert not job.ledger.unchecked()
        assert all(state.audits > 10 for rank, state in job.farm.state.ranks.items() if rank)


# -- faults that probes do not see --------------------------------------------------------------------------------------


def forgetful(device: CpuDevice, share: int) -> None:
    """Lose every so-many-th survivor in chunks only, as a launch that is cut off does."""
    honest = device.sieve

    def sieve(search: Any, start: int, stop: int, *more: Any) -> Any:
        hits = honest(search, start, stop, *more)
        return hits[np.arange(len(hits)) % share > 0] if hits is not None and stop - start > 100 else hits

    device.sieve = sieve  # type: ignore[method-assign]


def test_a_chunk_done_again_shows_what_probes_do_not_see(truth: bytes, tmp_path: Path) -> None:
    with played(tmp_path, 3, lambda rank, device: forgetful(device, 10) if rank == 2 else None) as job:
        assert job.end is End.COMPLETE
        assert [(a.rank, a.kind) for a in job.caught] == [(2, "re-run")]
        assert "in dispute" in job.caught[0].reason
        # No re-run had passed before, but audits had.
        assert job.ledger.hits().tobytes() != b""
        assert set(job.ledger.hits()["seed"]) <= set(np.frombuffer(truth, HIT)["seed"])


def test_a_canary_shows_what_audits_do_not_see(tmp_path: Path) -> None:
    """A device that fails at many skips only: an audit has one."""

    def blind(rank: int, device: CpuDevice) -> None:
        honest = device._sieve

        def sieve(search: Search, *more: Any) -> Any:
            found, hits = honest(search, *more)
            return (found, hits) if search.n_skips == 1 or rank != 2 else (0, hits[:0])

        device._sieve = sieve  # type: ignore[method-assign]

    strict = search_of(modulus=1000, k=20, need=20)
    with played(tmp_path, 3, blind, search=strict) as job:
        assert job.end is End.COMPLETE and not len(job.ledger.hits())
        assert [(a.rank, a.kind, a.other) for a in job.caught] == [(2, "canary", "planted seeds")]
        assert all(chunk.rank != 2 for chunk in job.ledger.chunks())


def test_an_odd_count_has_a_chunk_done_again(tmp_path: Path) -> None:
    chance = search_of().plan(0.25, SEEDS).chance.p
    with played(
        tmp_path, 3, lambda rank, device: forgetful(device, 2) if rank == 2 else None, 1e-6, chance=chance
    ) as job:
        odd = [event for event in job.log.events if event["kind"] == "odd_count"]
        assert {event["rank"] for event in odd} == {2} and odd[0]["survivors"] < odd[0]["least"]
        assert [(a.rank, a.kind) for a in job.caught] == [(2, "re-run")]


# -- the ledger -----------------------------------------------------------------------------------------------------------


def passed(start: int, rank: int = 1, kind: str = "audit") -> Audited:
    return Audited(0, kind, start, start + 10, rank, "host", "gpu", "planted seeds", 64, 5000, True, "passed", "")


def test_what_a_device_did_since_it_last_passed_is_withdrawn(tmp_path: Path) -> None:
    path, hits = tmp_path / "ledger.sqlite", np.zeros(1, HIT)
    with Ledger.open(path, {"a": 1}) as ledger:
        for number, (start, rank) in enumerate([(50, 1), (0, 1), (10, 2), (20, 1), (30, 1), (40, 2)]):
            hits["seed"] = start
            ledger.issue(number, start, start + 10, rank, host="host", device="gpu")
            ledger.commit(start, start + 10, rank, hits, lease=number, host="host", device="gpu")
        ledger.audited(passed(0))
        ledger.audited(passed(20, kind="canary"))
        ledger.audited(passed(20, rank=2))
        assert [c.start for c in ledger.unchecked()] == [10, 20, 30, 40]
    # In the run after a kill it is caught. What it passes there says nothing of what it did before.
    with Ledger.open(path, {"a": 1}) as ledger:
        ledger.commit(80, 90, 1, hits[:0], host="host", device="gpu")
        ledger.audited(passed(80))
        assert ledger.doubt() == [(20, 30), (30, 40)] and ledger.doubt() == [(20, 30), (30, 40)]
        caught = Audited(0, "audit", 60, 70, 1, "host", "gpu", "rank 2", 0, 0, False, "caught", "it is wrong")
        assert [c.start for c in ledger.withdraw(caught)] == [20, 30]
        assert ledger.done() == [(0, 20), (40, 60), (80, 90)]
        assert ledger.hits()["seed"].tolist() == [0, 10, 40, 50]
        assert [a.start for a in ledger.attempts() if a.outcome == "withdrawn"] == [20, 30]
        assert ledger.audits()[-1] == Audited(2, *list(vars(caught).values())[1:])
        assert ledger.withdraw(caught) == []
        ledger.commit(20, 30, 2, hits[:0], host="host", device="gpu")
    with Ledger.peek(path) as view:
        assert view.seeds_done() == 60


def test_what_was_cut_off_before_it_was_checked_is_replaced(tmp_path: Path) -> None:
    path, hits = tmp_path / "ledger.sqlite", np.zeros(1, HIT)
    with Ledger.open(path, {"a": 1}) as ledger:
        for start in (0, 10):
            hits["seed"] = start + 1
            ledger.issue(start, start, start + 10, 1, host="host", device="gpu")
            ledger.commit(start, start + 10, 1, hits, host="host", device="gpu")
        ledger.commit(20, 30, 2, hits[:0], host="host", device="never checked")
        ledger.audited(passed(0))
        # Of this run itself nothing is in doubt.
        assert ledger.doubt() == []
    with Ledger.open(path, {"a": 1}) as ledger:
        assert ledger.doubt() == [(10, 20)] and ledger.seeds_done() == 30
        hits["seed"] = 12
        ledger.issue(0, 10, 20, 2, host="host", device="other")
        assert ledger.commit(10, 20, 2, hits, lease=0, host="host", device="other")
        assert ledger.attempts()[-1].outcome == "done" and "not the 1" in ledger.attempts()[-1].reason
        assert ledger.hits()["seed"].tolist() == [1, 12] and ledger.seeds_done() == 30
        # Once is enough.
        assert not ledger.commit(10, 20, 1, hits, host="host", device="gpu")
    with Ledger.open(path, {"a": 1}, resume=True) as ledger:
        assert ledger.doubt() == []


# -- what is said of it -----------------------------------------------------------------------------------------------------


def test_the_chance_of_an_unnoticed_fault_is_what_simulation_gives() -> None:
    rng = np.random.default_rng(5)
    told = statistics.unnoticed(40, 2000, True)
    lanes = (rng.random((20_000, 40)) >= 0.05).all(axis=1).mean()
    bits = (rng.random((2000, 2000)) >= 1e-3).all(axis=1).mean()
    assert told["lanes"] == pytest.approx(lanes, abs=0.01) and told["bits"] == pytest.approx(bits, abs=0.03)
    assert (told["block"], statistics.unnoticed(40, 2000, False)["block"]) == (0.0, 1.0)
    assert statistics.unnoticed(0, 0, False) == {"lanes": 1.0, "bits": 1.0, "block": 1.0}


def test_chances_told_are_those_with_which_devices_are_caught() -> None:
    """An audit's miss chance, as told, beside how often a device that drops lanes passes it."""
    search = search_of(modulus=2**20, k=12, need=12)
    plain, device = (CpuDevice(search.recipe, kind) for kind in ("reference", "cpu"))
    planter = Planter(search, plain, np.random.default_rng(6))
    missed, told = 0, 0.0
    for n in range(300):
        made = planter.audit(n, Lease(0, 977 * n, 977 * n + 5000, 0, 1, 0.0, 0.0, None))
        assert made is not None
        answer = audits.examine(device, search, made[0])
        assert answer is not None
        dropped = np.isin((answer.hits["seed"] - np.uint64(made[0].start)) % THREADS, DEAD).any()
        missed += not dropped
        told += statistics.unnoticed(len(answer.hits), 0, True)["lanes"]
    assert abs(missed - told) < 5 * 300**0.5 / 2


def test_strength_counts_only_what_stands_and_names_who_was_caught(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.sqlite", {"a": 1}) as ledger:
        assert runs.trust_lines(runs.trust(ledger.audits(), ledger.chunks(), ledger.unchecked())) == []
        for start, rank in ((0, 1), (10, 2), (20, 1)):
            ledger.commit(start, start + 10, rank, np.zeros(0, HIT), host="host", device="gpu")
        unchecked = runs.trust(ledger.audits(), ledger.chunks(), ledger.unchecked())
        assert unchecked["unnoticed"]["lanes"] == 1.0 and "no device was checked" in runs.trust_lines(unchecked)[0]
        for one in (passed(0), passed(0, kind="canary"), passed(10, rank=2), passed(40)):
            ledger.audited(one)
        told = runs.trust(ledger.audits(), ledger.chunks(), ledger.unchecked())
        assert told["checks"] == {"audit": 2, "canary": 1} and (told["devices"], told["seeds_unchecked"]) == (2, 10)
        assert told["unnoticed"] == {"lanes": 0.95**64, "bits": 0.999**5000, "block": 0.0} == told["unnoticed_at_last"]
        ledger.withdraw(Audited(0, "audit", 20, 30, 1, "host", "gpu", "rank 2", 0, 0, False, "caught", "it misses 3"))
        told = runs.trust(ledger.audits(), ledger.chunks(), ledger.unchecked())
        assert told["caught"] == ["rank 1 on host (gpu), audit of seeds 20 to 29 held against rank 2: it misses 3"]
        assert "1 canary, 2 audits" in runs.trust_lines(told)[0].replace("2 audits, 1 canary", "1 canary, 2 audits")


# -- whole runs -------------------------------------------------------------------------------------------------------------


def spoiled(tmp_path: Path, fault: str, np_: int | None, patch: str = "") -> Ended:
    """A run whose rank 0 goes bad: it is there first, so it has a part in any run, however busy the machine is."""
    return run_sieve(
        small(tmp_path, "run", "--audit-share", 1), np_, patch=PATCH + patch, CORRUPT=f"{fault};{HEALTHY};0"
    )


def ledger_of(folder: Path) -> tuple[list[Audited], Counter[str | None]]:
    with Ledger.peek(folder / "ledger.sqlite") as view:
        return view.audits(), Counter(a.outcome for a in view.attempts())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lone_wrong_device_ends_the_run_with_7_and_another_goes_on(
    fault: str, calm: tuple[Ended, Any], tmp_path: Path
) -> None:
    ended = spoiled(tmp_path, fault, None)
    assert ended.code == ended.summary["exit_code"] == 7, ended.stderr
    (caught,) = ended.summary["trust"]["caught"]
    assert caught.startswith("rank 0 on ") and "computes wrongly" in ended.complaints[0]
    told, outcomes = ledger_of(tmp_path / "run")
    # Chunks are of a hundredth of a second here, so one in a few is audited; none that it did wrongly is believed.
    assert outcomes["withdrawn"] >= 1 and ended.summary["seeds_done"] < SEEDS / 2
    assert [a.outcome for a in told].count("caught") == 1
    again = run_sieve(small(tmp_path, "run"))
    assert_same(again, tmp_path / "run", calm)
    assert again.summary["trust"]["seeds_unchecked"] == 0


@pytest.mark.parametrize("fault", FAULTS)
def test_of_two_ranks_the_wrong_one_is_caught(fault: str, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    ended = spoiled(tmp_path, fault, 2)
    assert_same(ended, tmp_path / "run", calm)
    told, outcomes = ledger_of(tmp_path / "run")
    assert {a.rank for a in told if a.outcome == "caught"} == {0} and outcomes["withdrawn"] >= 1
    assert "set_aside: rank 0 computes wrongly" in ended.stdout and "caught       rank 0 on " in ended.stdout
    trust = ended.summary["trust"]
    assert trust["seeds_unchecked"] == 0 == trust["unnoticed"]["block"] and trust["devices"] == 2
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["trust"] == trust


# When root is killed: with the chunks still in the ledger, and with them out of it but not yet queued again.
KILLED = {
    "before": "from prng_mpi.ledger import Ledger\nhonest_note = Ledger._note\ndef note(self, audited):\n"
    "    honest_note(self, audited)\n    audited.outcome == 'caught' and os.kill(os.getpid(), 9)\nLedger._note = note\n",
    "after": "from prng_mpi.scheduler import Scheduler\nScheduler.convict = lambda *a: os.kill(os.getpid(), 9)\n",
}


@pytest.mark.parametrize("when", KILLED)
def test_a_kill_while_chunks_are_withdrawn_loses_nothing(when: str, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    killed = spoiled(tmp_path, LANES, None, patch=KILLED[when])
    assert killed.code == -9 and not killed.summary
    told, outcomes = ledger_of(tmp_path / "run")
    assert [a.outcome for a in told].count("caught") == (when == "after")
    assert bool(outcomes["withdrawn"]) == (when == "after")
    # What it did before the kill is not believed for what the next one does.
    again = run_sieve(small(tmp_path, "run"))
    assert_same(again, tmp_path / "run", calm)
    assert ("cut off before it checked them" in again.stdout) == (when == "before")
    assert again.summary["trust"]["seeds_unchecked"] == 0


@pytest.mark.parametrize("share", [0, 1])
def test_the_payload_is_the_same_with_and_without_audits(share: int, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    ended = run_sieve(small(tmp_path, "run", "--audit-share", share), 2)
    assert_same(ended, tmp_path / "run", calm)
    assert bool(ended.summary["trust"]["checks"]) == bool(share)
    assert survivors(tmp_path / "run").tobytes() == calm[1].tobytes()


def test_a_stop_ends_a_worker_between_probes() -> None:
    worker = Worker(lambda start, stop, stopped: np.zeros(0, HIT), examine=lambda probe, stopped: None)
    worker.submit(1, 0, 10, (1, 2))
    while (done := worker.take()) is None:
        time.sleep(0.001)
    assert done.error == "stopped" and worker.stop()
    fine = Worker(
        lambda start, stop, stopped: np.zeros(0, HIT),
        examine=lambda probe, stopped: Answer(probe, np.zeros(0, HIT), "", 0.0),
    )
    fine.submit(1, 0, 10, (1, 2))
    while (done := fine.take()) is None:
        time.sleep(0.001)
    assert [answer.number for answer in done.answers] == [1, 2] and fine.stop()
