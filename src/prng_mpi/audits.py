"""Floor 2: does a device still compute what it should? Its word is held against seeds that root has planted and against
another device, and one that is caught is set aside with all that it did since it was last seen to be right.

With a chunk may go two probes of it. They are searches like the chunk's own, over a small part of it, for draws that root has made
from seeds it picked there at random (after the ringers of P. Golle, I. Mironov, CT-RSA 2001), so that a device can't tell them apart:

- *canary*: the whole search, with its need, for the window of one seed, which has to be found;
- *audit*: one skip and offset, need 1, for draws of as many seeds as there are draws; those and all that chance adds have to be
  found, and the outputs of some of the seeds go into a checksum. Another device does the same audit and must answer bit for bit the
  same; where they differ the plain build on root decides.

Now and then a whole chunk is done again on another device (*re-run*)."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from prng_mpi.devices.base import Device
from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.devices.lift import LANE_LOOKS, lane_seconds
from prng_mpi.farm import Card, Conviction, Finished
from prng_mpi.ledger import Audited, Ledger
from prng_mpi.scheduler import Lease
from prng_mpi.search import Search, Side
from prng_mpi.statistics import poisson_interval

Hits = npt.NDArray[np.void]
Seeds = npt.NDArray[np.uint64]

# Roughly what one core takes for a probe, and seeds of one at most and at least. An audit has to reach all lanes of a device.
PROBE_SECONDS = 1e-3
MOST_SEEDS, LEAST_SEEDS = 2**15, 64
# Survivors of an audit, roughly: its answer is a message.
MOST_SURVIVORS = 4096
# Planted near a chunk's end, where the last block of a launch is.
LAST_SEEDS = 64
# Seeds whose outputs are in the checksum, and outputs of each at most; outputs that root makes to plant seeds.
SUMMED_SEEDS, SUMMED_OUTPUTS = 256, 64
PLANTED_OUTPUTS = 200_000
# Survivors of an audited chunk that the plain build looks at: the best one and some others.
PROVEN = 4
# Survivors of a device are counted each time that twice as many are expected; how many sigmas are odd. At that, a healthy device is
# called odd once in 2e9 counts.
ODD_LEAST, ODD_SIGMAS = 10.0, 6.0
# Survivors in dispute that are looked at by the plain build.
DISPUTED = 100
# A second device may be so much slower than the first: a re-run must not outlive its lease.
SLOWER = 3.0

CANARY, AUDIT, RERUN, SURVIVORS = "canary", "audit", "re-run", "survivors"
# Who a device's answer is held against, but for other devices.
PLANTED, PLAIN = "planted seeds", "the plain build on root"
# Stands for a lease of a rank that did not finish one.
_NO_LEASE = Lease(-1, 0, 0, 0, 1, 0.0, 0.0, None)


@dataclass(frozen=True, eq=False)
class Probe:
    """A search over [start, stop): the run's own with some `changes`; and which outputs to sum up, `first` to `first` + `count`
    - 1 of each of `seeds` '<u8' (n,)."""

    number: int
    start: int
    stop: int
    changes: dict[str, Any] = field(default_factory=dict)
    seeds: Seeds = field(default_factory=lambda: np.zeros(0, np.uint64))
    first: int = 0
    count: int = 0


@dataclass(frozen=True, eq=False)
class Answer:
    """What a device makes of a probe: its survivors, HIT (n,); a checksum over them and over the outputs asked for."""

    number: int
    hits: Hits
    checksum: str
    seconds: float


def examine(device: Device, search: Search, probe: Probe, stopped: Callable[[], bool] = lambda: False) -> Answer | None:
    """Do a probe; None if `stopped()` said so before the end. Raises DeviceError."""
    began = time.perf_counter()
    asked = replace(search, **probe.changes)
    # A probe without changes is a whole chunk.
    short = bool(probe.changes)
    hits = (
        device.once(asked, probe.start, probe.stop) if short else device.sieve(asked, probe.start, probe.stop, stopped)
    )
    if hits is None:
        return None
    total = hashlib.sha256(np.ascontiguousarray(hits).tobytes())
    if len(probe.seeds):
        total.update(device.outputs(asked, probe.seeds, probe.first, probe.count).tobytes())
    return Answer(probe.number, hits, total.hexdigest(), time.perf_counter() - began)


# -- seeds that are planted -------------------------------------------------------------------------------------------


def outputs_of(side: Side, skip: int, offset: int) -> npt.NDArray[np.int64]:
    """Which output each draw of a side is, '<i8' (k,)."""
    calls = side.calls[:, 0] * (-1 if side.behind else 1)
    return np.asarray(offset - 1 + calls * (skip + 1))


def _known(side: Side, draws: npt.NDArray[np.uint32], need: int) -> Side:
    """The side with other draws, each of known value."""
    return replace(side, draws=draws, need=need, low=draws, high=draws, first=np.arange(len(draws) + 1))


def _changes(search: Search, sides: Sequence[Side]) -> dict[str, Any]:
    """What makes these the sides of a search of the same form."""
    if search.plain:
        return {"draws": sides[0].draws, "need": sides[0].need}
    return {
        name: next((s for s in sides if s.behind == behind), None)
        for name, behind in (("ahead", False), ("behind", True))
    }


class Planter:
    """Makes probes of chunks of a search; the generator that picks seeds is root's secret."""

    def __init__(self, search: Search, plain: Device, dice: np.random.Generator) -> None:
        self.search, self.plain, self._dice = search, plain, dice

    def canary(self, number: int, lease: Lease) -> tuple[Probe, Seeds] | None:
        """(probe, the seed that is to be found with every draw); every other one is at the chunk's end. None where no seed of a
        space of process ids is there."""
        s = self.search
        size = _size(s, lease.seeds)
        at_end = self._dice.random() < 0.5
        low = lease.stop - size if at_end else lease.start + self._below(lease.seeds - size + 1)
        seed = self._some(max(low, lease.stop - LAST_SEEDS) if at_end else low, low + size, 1)
        if not len(seed):
            return None
        skip, offset = self._hypothesis()
        sides = [_known(one, self._outputs(seed, outputs_of(one, skip, offset))[0], one.need) for one in s.sides]
        return Probe(number, low, low + size, _changes(s, sides)), seed

    def audit(self, number: int, lease: Lease) -> tuple[Probe, Seeds] | None:
        """(probe of the chunk's end, and of what lies before it where the chunk is short; seeds that are to be found, the
        chunk's last one among them). None as above."""
        s = self.search
        skip, offset = self._hypothesis()
        side = s.sides[self._below(len(s.sides))]
        at = outputs_of(side, skip, offset)
        k, span = len(at), int(at.max()) + 1 - min(int(at.min()), 0)
        changes: dict[str, Any] = {"skips": (skip, skip), "offsets": (offset, offset)}
        if s.misses is not None:
            changes["misses"] = k
        some = _known(side, np.zeros(k, np.uint32), 1)
        most = int(MOST_SURVIVORS / min(1.0, k / s.modulus))
        size = min(_size(replace(s, **(changes | _changes(s, [some]))), lease.stop), most)
        low, last = lease.stop - size, lease.stop - min(size, LAST_SEEDS)
        planted = min(k, max(1, PLANTED_OUTPUTS // span))
        ends = self._some(last, lease.stop, planted // 4), self._some(low, lease.stop, planted)
        seeds = np.concatenate([self._real(lease.stop - 1, lease.stop), *ends])[:planted]
        if not len(seeds):
            return None
        # Draw i is one of seed i modulo the number of seeds.
        draws = self._outputs(seeds, at)[np.arange(k) % len(seeds), np.arange(k)]
        changes |= _changes(s, [_known(side, draws, 1)])
        summed = np.concatenate([self._real(last, lease.stop), seeds, self._some(low, lease.stop, SUMMED_SEEDS)])
        first = int(at.min())
        count = min(int(at.max()) - first + 1, SUMMED_OUTPUTS)
        return Probe(
            number, low, lease.stop, changes, self._named(np.unique(summed[:SUMMED_SEEDS])), first, count
        ), seeds

    def _below(self, n: int) -> int:
        return int(self._dice.integers(n))

    def _hypothesis(self) -> tuple[int, int]:
        """A skip and an offset of the search."""
        low, high = self.search.skips, self.search.offsets
        return low[0] + self._below(low[1] - low[0] + 1), high[0] + self._below(high[1] - high[0] + 1)

    def _real(self, low: int, stop: int) -> Seeds:
        """What of [low, stop) stands for a seed, which in a space of times and process ids not all does."""
        seeds = np.uint64(low) + np.arange(stop - low, dtype=np.uint64)
        return seeds if self.search.space is None else seeds[self.search.space.real(seeds)]

    def _some(self, low: int, stop: int, count: int) -> Seeds:
        """So many of these at random; none where there is none."""
        seeds = self._real(low, stop)
        return seeds[self._dice.integers(0, len(seeds), count)] if len(seeds) else seeds

    def _named(self, indices: Seeds) -> Seeds:
        return indices if self.search.space is None else self.search.space.seed(indices)

    def _outputs(self, seeds: Seeds, at: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
        """Outputs `at` of each seed, '<u4' (n, k)."""
        first = int(at.min())
        made = self.plain.outputs(self.search, self._named(seeds), first, int(at.max()) - first + 1)
        return np.asarray(made[:, at - first])


def _size(search: Search, most: int) -> int:
    """Seeds of a probe."""
    made = 0 if search.stride else search.positions + search.positions_behind
    each = lane_seconds(search, 1, squares=True) + made / LANE_LOOKS
    return min(max(min(int(PROBE_SECONDS / each), MOST_SEEDS), LEAST_SEEDS), most)


# -- root's side ------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Case:
    """A probe of a rank's chunk, and what became of it. planted: seeds to be found; carrier: lease that a second device does it
    with."""

    kind: str
    lease: Lease
    card: Card
    probe: Probe
    planted: Seeds
    answer: Answer | None = None
    carrier: int | None = None


class Auditor:
    """Sends probes along with chunks, judges the answers, withdraws from the ledger what a device did that is caught."""

    def __init__(
        self,
        search: Search,
        share: float,
        ledger: Ledger,
        chance: float | None,
        event: Callable[..., None],
        dice: np.random.Generator | None = None,
    ) -> None:
        """share: of the devices' time that all this may take, at most, but for the first chunk of each; chance: that a seed
        survives by chance, None if that is not known well enough to count by."""
        self.search, self.share, self._ledger, self._chance, self._event = search, share, ledger, chance, event
        self._plain = CpuDevice(search.recipe, "reference", search.form)
        self._dice = dice or np.random.default_rng()
        self._planter = Planter(search, self._plain, self._dice)
        self._number = 0
        self._cases: dict[int, _Case] = {}
        self._caught: set[int] = set()
        # Of each rank: seconds on chunks and on what checks it, seeds/s, (seeds, survivors, expected when last counted).
        self._worked: dict[int, float] = defaultdict(float)
        self._spent: dict[tuple[int, str], float] = defaultdict(float)
        self._speed: dict[int, float] = {}
        self._counts: dict[int, tuple[int, int, float]] = defaultdict(lambda: (0, 0, ODD_LEAST / 2))
        self._odd: set[int] = set()
        # The last chunk of each rank, where it was not probed with it.
        self._unseen: dict[int, Lease] = {}
        self._asked = False

    def attach(self, lease: Lease, card: Card) -> tuple[Probe, ...]:
        """The probes that go with a lease: its own, where one is due, then one of another rank's that is to be done again."""
        due = [kind for kind in (CANARY, AUDIT) if self._affords(card.rank, kind)]
        return (*self._own(lease, card, due), *self._second(lease, card))

    def closing(self, number: int, card: Card) -> tuple[Lease | None, tuple[Probe, ...]]:
        """The last probes of a rank, as of its last chunk where nothing came after it that it was probed by."""
        last = self._unseen.pop(card.rank, None)
        lease = replace(last or _NO_LEASE, id=number, rank=card.rank)
        probes = (*self._own(lease, card, (CANARY, AUDIT) if last else ()), *self._second(lease, card))
        return (lease if probes else None), probes

    def _affords(self, rank: int, kind: str, more: float = 0.0) -> bool:
        """Whether a rank has time for a check: canaries, which are cheap, have half of the share, so that most chunks have one;
        audits and re-runs have the other half. Its first chunk has both."""
        return self._spent[rank, kind] + more <= self.share / 2 * self._worked[rank]

    def _own(self, lease: Lease, card: Card, kinds: Iterable[str]) -> list[Probe]:
        probes = []
        for kind in kinds:
            began = time.perf_counter()
            self._number += 1
            if made := (self._planter.canary if kind == CANARY else self._planter.audit)(self._number, lease):
                self._cases[self._number] = _Case(kind, lease, card, *made)
                probes.append(made[0])
            self._spent[card.rank, kind] += time.perf_counter() - began
        return probes

    def _second(self, lease: Lease, card: Card) -> tuple[Probe, ...]:
        for case in self._cases.values():
            if case.answer is not None and case.carrier is None and self._fits(case, card.rank, lease):
                case.carrier = lease.id
                return (case.probe,)
        return ()

    def _fits(self, case: _Case, rank: int, lease: Lease) -> bool:
        """Whether a rank may do a probe of another one again along with a lease."""
        if rank == case.card.rank:
            return False
        # A whole chunk is no work for the end of a run, where leases are short.
        quick = (
            case.probe.stop - case.probe.start <= 2 * lease.seeds
            and self._speed.get(rank, 0.0) * SLOWER >= self._speed[case.card.rank]
        )
        return case.kind == AUDIT or quick

    def dropped(self, lease: Lease) -> None:
        """A lease ended without a result: its probes are gone, those of others go with another lease."""
        for number, case in list(self._cases.items()):
            if case.carrier == lease.id:
                case.carrier = None
            elif case.answer is None and case.lease.id == lease.id:
                del self._cases[number]

    def heard(self, lease: Lease, card: Card, done: Finished, alone: bool) -> list[Conviction]:
        """Judge what came with a result, before it is taken. alone: whether no other device can do anything again."""
        began, caught, audited = time.perf_counter(), list[Conviction](), False
        for answer in done.answers:
            case = self._cases.get(answer.number)
            if case is None:
                continue
            self._spent[case.card.rank, CANARY if case.kind == CANARY else AUDIT] += answer.seconds
            if case.lease.id == lease.id:
                audited |= case.kind == AUDIT
                caught += self._planted(case, answer)
            elif card.rank in self._caught:
                case.carrier = None
            else:
                caught += self._compare(case, answer, card)
        if lease.id >= 0 and card.rank not in self._caught:
            caught += self._chunk(lease, card, done, audited, alone)
        self._spent[card.rank, AUDIT] += time.perf_counter() - began
        return caught + (self.settle() if alone else [])

    def _chunk(self, lease: Lease, card: Card, done: Finished, audited: bool, alone: bool) -> list[Conviction]:
        """Judge the result itself; audited: whether its device was probed after it."""
        if why := self._false(done.hits):
            return self._convict(card, SURVIVORS, lease, PLAIN, why)
        self._worked[card.rank] += done.seconds
        self._speed[card.rank] = lease.seeds / max(done.seconds, 1e-9)
        self._unseen.pop(card.rank, None)
        if not audited:
            self._unseen[card.rank] = lease
        self._count(lease, card, done)
        self._again(lease, card, done, alone)
        return []

    def doubted(self) -> list[tuple[int, int]]:
        """Ranges that an earlier run, which was cut off, did not come to check: to be done again; each is told once."""
        if self._asked:
            return []
        self._asked = True
        return self._ledger.doubt()

    def settle(self) -> list[Conviction]:
        """Judge what waits for a second device and will not get one: the plain build on root is it."""
        caught: list[Conviction] = []
        for number, case in list(self._cases.items()):
            if self._cases.pop(number, None) is None or case.answer is None or case.kind == RERUN:
                continue
            began = time.perf_counter()
            if why := _unlike(case.answer, self._truth(case.probe)):
                caught += self._convict(case.card, case.kind, case.lease, PLAIN, why)
            else:
                self._passed(case, PLAIN, case.answer)
            self._spent[case.card.rank, AUDIT] += time.perf_counter() - began
        return caught

    # -- judging --------------------------------------------------------------------------------------------------------

    def _planted(self, case: _Case, answer: Answer) -> list[Conviction]:
        """Whether a device found what was planted. Its audit then waits for a second device."""
        found = answer.hits["seed"]
        if case.kind == CANARY:
            found = found[answer.hits["matches"] == self.search.k]
        missing = np.setdiff1d(case.planted, found)
        if len(missing) or case.kind == CANARY:
            self._cases.pop(case.probe.number, None)
        if len(missing):
            if case.card.rank in self._caught:
                return []
            why = f"of {len(np.unique(case.planted))} planted seeds it misses {len(missing)}, the first is {missing[0]}"
            return self._convict(case.card, case.kind, case.lease, PLANTED, why)
        if case.kind == CANARY:
            self._passed(case, PLANTED, answer)
        else:
            case.answer = answer
        return []

    def _false(self, hits: Hits) -> str:
        """Which of some survivors the plain build does not find just so; empty if it finds them."""
        if not len(hits):
            return ""
        some = np.append(self._dice.integers(0, len(hits), PROVEN - 1), hits["matches"].argmax())
        for i in np.unique(some):
            seed = int(hits["seed"][i])
            if not np.array_equal(self._plain.once(self.search, seed, seed + 1), hits[i : i + 1]):
                return f"the plain build does not find seed {seed} as it reports it"
        return ""

    def _compare(self, case: _Case, second: Answer, card: Card) -> list[Conviction]:
        """Hold two devices' answers against each other."""
        first, caught = case.answer, list[Conviction]()
        del self._cases[case.probe.number]
        assert first is not None
        if first.checksum == second.checksum:
            self._passed(case, _name(card), first)
            return caught
        for one, own, other in ((case.card, first, card), (card, second, case.card)):
            why = (
                self._wrong(own, second if own is first else first)
                if case.kind == RERUN
                else _unlike(own, self._truth(case.probe))
            )
            if why:
                caught += self._convict(one, case.kind, case.lease, _name(other), why)
        if case.card.rank not in self._caught:
            self._passed(case, PLAIN, first)
        return caught

    def _truth(self, probe: Probe) -> Answer:
        answer = examine(self._plain, self.search, probe)
        assert answer is not None
        return answer

    def _wrong(self, own: Answer, other: Answer) -> str:
        """What of an answer to a whole chunk the plain build does not find where it differs from another; empty if nothing."""
        differ = np.setxor1d(own.hits, other.hits)["seed"]
        for seed in np.unique(differ)[:DISPUTED]:
            truth = self._plain.once(self.search, int(seed), int(seed) + 1)
            if not np.array_equal(truth, own.hits[own.hits["seed"] == seed]):
                return f"of {len(own.hits)} survivors {len(differ)} are in dispute, and of seed {seed} the plain build says otherwise"
        return ""

    def _count(self, lease: Lease, card: Card, done: Finished) -> None:
        """Hold a device's survivors against what chance gives; where they are odd its next chunk is done again."""
        seeds, hits, last = self._counts[card.rank]
        seeds, hits = seeds + lease.seeds, hits + len(done.hits)
        expected = seeds * (self._chance or 0.0)
        if expected >= 2 * last:
            least, most = poisson_interval(expected, ODD_SIGMAS)
            last = expected
            if not least <= hits <= most:
                self._odd.add(card.rank)
                self._event("odd_count", rank=card.rank, survivors=hits, expected=expected, least=least, most=most)
        self._counts[card.rank] = (seeds, hits, last)

    def _again(self, lease: Lease, card: Card, done: Finished, alone: bool) -> None:
        """Have a whole chunk done again, where it is odd or time allows."""
        affordable = self._affords(card.rank, AUDIT, done.seconds)
        waiting = any(case.kind == RERUN and case.card.rank == card.rank for case in self._cases.values())
        if alone or waiting or not (affordable or card.rank in self._odd):
            return
        self._odd.discard(card.rank)
        self._number += 1
        probe = Probe(self._number, lease.start, lease.stop)
        checksum = hashlib.sha256(np.ascontiguousarray(done.hits).tobytes()).hexdigest()
        answer = Answer(self._number, done.hits, checksum, 0.0)
        self._cases[self._number] = _Case(RERUN, lease, card, probe, np.zeros(0, np.uint64), answer)

    def _passed(self, case: _Case, other: str, answer: Answer) -> None:
        """Note what a device has shown: survivors found, values of which none had a wrong bit, the chunk's last seed."""
        if case.kind == CANARY:
            seen, values = 1, self.search.k if self.search.least == self.search.k else 0
        else:
            seen, values = (
                len(answer.hits),
                len(case.probe.seeds) * case.probe.count + int(answer.hits["matches"].sum()),
            )
        end = case.lease.stop - 1 in case.planted
        self._ledger.audited(_audited(case.card, case.kind, case.lease, other, seen, values, end, "passed", ""))

    def _convict(self, card: Card, kind: str, lease: Lease, other: str, reason: str) -> list[Conviction]:
        """A device is caught: what it did since it was last seen to be right is withdrawn."""
        self._caught.add(card.rank)
        for number, case in list(self._cases.items()):
            if case.card.rank == card.rank:
                del self._cases[number]
        withdrawn = self._ledger.withdraw(_audited(card, kind, lease, other, 0, 0, False, "caught", reason))
        ranges = tuple((chunk.start, chunk.stop) for chunk in withdrawn)
        return [
            Conviction(
                card.rank,
                f"{kind} of seeds {lease.start} to {lease.stop - 1}: {reason}",
                ranges,
                sum(chunk.hits for chunk in withdrawn),
            )
        ]


def _audited(
    card: Card, kind: str, lease: Lease, other: str, seen: int, values: int, end: bool, outcome: str, reason: str
) -> Audited:
    return Audited(
        0, kind, lease.start, lease.stop, card.rank, card.host, card.device, other, seen, values, end, outcome, reason
    )


def _name(card: Card) -> str:
    return f"rank {card.rank} on {card.host} ({card.device})"


def _unlike(answer: Answer, truth: Answer) -> str:
    """How an answer is wrong; empty if it is right."""
    if answer.checksum == truth.checksum:
        return ""
    missed = len(np.setdiff1d(truth.hits, answer.hits))
    if missed or len(answer.hits) != len(truth.hits):
        false = len(np.setdiff1d(answer.hits, truth.hits))
        return f"of {len(truth.hits)} survivors it misses {missed}, and it has {false} that are none"
    return f"its outputs of {len(truth.hits)} survivors and their neighbours have another checksum"
