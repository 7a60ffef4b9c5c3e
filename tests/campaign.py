"""Kill a running sieve at random instants, start it again, over and over; nothing but the chunks in flight may be lost.

python tests/campaign.py --kills 20 --seed 1
python tests/campaign.py --faults 200 --seed 1

Each kill is SIGKILL to the whole process group of `mpirun`. After it: no rank lives on, the ledger passes its own
examination, and no seed that was done is undone. A run that comes to its end must have the payload of an undisturbed
one; then a new folder is begun, until there were enough kills.

With --faults each run meets one fault at a named point (tests/faults.py): a kill, a stop, an exception or a full disk on a
rank that passes it for the Nth time, all decided by the seed. The fault must have happened; the run, started once more where
the fault ended it, must have the payload of an undisturbed one, with each seed done once."""

from __future__ import annotations

import argparse
import itertools
import json
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults import HOOK, OTHERS, ROOT
from prng_mpi.ledger import Ledger
from prng_mpi.store import read_results
from support import SEEDS, Run, done_chunks, events, run_sieve, small, survivors, uniform, until, write_draws


@dataclass
class Outcome:
    """What a campaign came to: kills by what the run was doing, and how many folders were searched to their end."""

    killed: Counter[str] = field(default_factory=Counter)
    rounds: int = 0


def arguments(draws: Path, folder: Path, seeds: int) -> list[object]:
    """A search with thousands of survivors by chance, in many small chunks."""
    filters = ("--window", 8, "--threshold", 0.25, "--skip-max", 16)
    run = ("--seed-end", seeds, "--chunk-seconds", 0.1, "--output-dir", folder)
    return ["--draws", draws, "--recipe", "mt19937.mod", "--device", "cpu", "--method", "lanes", *filters, *run]


def examine(folder: Path, before: int, scratch: Path) -> int:
    """Seeds done in a folder whose run was killed; fails if the ledger is damaged or has less than `before`."""
    ledger = folder / "ledger.sqlite"
    if not ledger.exists():
        assert before == 0, f"{ledger} is gone"
        return 0
    # A copy, so that the next run finds exactly what the kill left.
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(folder, scratch, ignore=shutil.ignore_patterns("*-shm", "*.lock", "tmp*", ".*"))
    with Ledger.peek(scratch / "ledger.sqlite") as view:
        identity = view.identity
    with Ledger.open(scratch / "ledger.sqlite", identity, resume=True) as copy:
        done = copy.seeds_done()
        hits = copy.hits()
    assert done >= before, f"{before} seeds were done, now {done}"
    assert len(set(hits["seed"].tolist())) == len(hits)
    if (folder / "results.h5").exists():
        read_results(folder / "results.h5")
    return done


def starts(folder: Path) -> int:
    """How many runs in a folder came as far as to open its log."""
    return sum(event["kind"] == "start" for event in events(folder))


def phase(folder: Path, finished: int, done: int, seeds: int) -> str:
    """What a run was doing when it was killed; `finished`: runs in this folder before it; `done`: of `seeds` seeds."""
    if starts(folder) <= finished:
        return "starting"
    if events(folder)[-1]["kind"] == "final":
        return "leaving"
    return "concluding" if done == seeds else "searching"


def campaign(
    folder: Path, kills: int, seed: int, np: int = 2, seeds: int = 2**25, say: Callable[[str], Any] = lambda line: None
) -> Outcome:
    """Kill a search over `seeds` seeds `kills` times. `seed` decides the draws and the instants."""
    dice, outcome = random.Random(seed), Outcome()
    draws = write_draws(folder, uniform(seed, 40, 1000))
    calm = run_sieve(arguments(draws, folder / "calm", seeds), np, timeout=300)
    assert calm.code == 1, calm.stderr
    expected = survivors(folder / "calm")
    assert len(expected) > 100
    say(f"undisturbed: {calm.seconds:.1f} s, {len(expected)} survivors, payload {calm.summary['payload_hash'][:12]}")

    while True:
        place = folder / f"round{outcome.rounds}"
        done, runs = 0, 0
        while True:
            run = Run(arguments(draws, place, seeds), np)
            number = sum(outcome.killed.values())
            last = number >= kills
            # Every other kill is for a run that has begun to search; the rest hit whatever they hit.
            after = runs + 1 if number % 2 == 0 else 0
            most = calm.summary["device_seconds"] / np / 2 if after else calm.seconds
            if last or not dies(run, place, after, dice.uniform(0, most)):
                break
            before, done = done, examine(place, done, folder / "copy")
            doing = phase(place, runs, done, seeds)
            runs = starts(place)
            outcome.killed[doing] += 1
            say(f"kill {sum(outcome.killed.values())}: {doing}, {before} -> {done} of {seeds} seeds done")
        ended = run.wait(300)
        assert ended.code == 1, ended.stderr
        assert (ended.summary["seeds_done"], ended.summary["gaps"]) == (seeds, [])
        assert ended.summary["payload_hash"] == calm.summary["payload_hash"]
        assert (survivors(place) == expected).all()
        log = [event["kind"] for event in events(place)]
        # Every run that began its log has ended it, if only by the next one's hand.
        assert log.count("start") == log.count("final") and log[-1] == "final"
        outcome.rounds += 1
        say(f"round {outcome.rounds}: finished, same payload")
        if last:
            return outcome


def dies(run: Run, folder: Path, after: int, seconds: float) -> bool:
    """Kill a run so many seconds after the log of its folder has `after` starts; False if it ended by itself before."""
    until(lambda: starts(folder) >= after or run.process.poll() is not None, 60, "the run does not begin")
    time.sleep(seconds)
    if run.process.poll() is not None:
        return False
    run.kill()
    run.process.communicate()
    # A run that ended between the look and the signal was not killed.
    return run.process.returncode == -signal.SIGKILL


def fault_arguments(folder: Path) -> list[object]:
    """The small search, for ranks that are not waited for long, with draws of its own: others run at the same time."""
    times = ("--chunk-seconds", 0.02, "--lease-margin", 1, "--startup-timeout", 1)
    return small(folder.parent, folder.name, *times)


def planned(passes: Counter[str], ranks: int, dice: random.Random) -> Iterator[str]:
    """Faults as POINT:N:KIND:RANK without end, each point and kind as often as any other; passes: of RANK:POINT."""
    root = [(point, kind, 0) for point, kinds in ROOT.items() for kind in kinds]
    others = [(point, kind, 1) for point, kinds in OTHERS.items() for kind in kinds]
    while True:
        for point, kind, lowest in dice.sample(root + others, len(root + others)):
            rank = dice.randrange(1, ranks) if lowest else 0
            # Who computes how much is different each time, so not too late.
            yield f"{point}:{dice.randint(1, max(1, passes[f'{rank}:{point}'] // 4))}:{kind}:{rank}"


def meet(fault: str, place: Path, np: int) -> bool:
    """Let a search meet a fault, and start it once more where that ended it; whether it did. Fails if it left no trace."""
    argv, log = fault_arguments(place), place.with_suffix(".log")
    with Run(argv, np, HOOK, ulfm=True, FAULT=fault, FAULT_LOG=str(log)) as run:
        ended = run.wait(60)
        until(lambda: not run.processes(), 10, f"{fault}: ranks live on")
    assert log.exists() and log.read_text() == f"{fault}\n", f"{fault} did not happen\n{ended.stderr}"
    # mpirun's own code says nothing where root was killed. Nothing but a fault on root ends a run.
    if again := ended.summary.get("exit_code") != 1:
        assert fault.endswith(":0") and ended.code not in (2, 9), f"{fault}: {ended.stderr}"
        ended = run_sieve(argv, np, ulfm=True)
    through = (ended.code, ended.summary.get("seeds_done"), ended.summary.get("gaps"))
    assert through == (1, SEEDS, []), f"{fault}, started again {again}: {ended.code}\n{ended.stderr}"
    assert sum(chunk.stop - chunk.start for chunk in done_chunks(place)) == SEEDS, fault
    return again


def faults(
    folder: Path, runs: int, seed: int, np: int = 3, at_once: int = 4, say: Callable[[str], Any] = lambda line: None
) -> Counter[str]:
    """Let `runs` searches meet a fault each, `at_once` of them at a time; how many met which kind. `seed` decides the faults."""
    calm_log = folder / "passes"
    calm = run_sieve(fault_arguments(folder / "calm" / "run"), np, patch=HOOK, ulfm=True, FAULT_LOG=str(calm_log))
    assert calm.code == 1, calm.stderr
    expected, met = survivors(folder / "calm" / "run"), Counter[str]()
    plan = planned(Counter(calm_log.read_text().splitlines()), np, random.Random(seed))
    chosen = list(itertools.islice(plan, runs))
    places = [folder / f"fault{number}" / "run" for number in range(runs)]
    with ThreadPoolExecutor(at_once) as pool:
        outcomes = pool.map(lambda fault, place: meet(fault, place, np), chosen, places)
        for number, (fault, place, again) in enumerate(zip(chosen, places, outcomes, strict=True), 1):
            summary = json.loads((place / "summary.json").read_text())
            assert summary["payload_hash"] == calm.summary["payload_hash"], fault
            assert survivors(place).tobytes() == expected.tobytes(), fault
            met[fault.split(":")[2]] += 1
            say(f"{number}: {fault}: {'started again, ' if again else ''}same payload")
            shutil.rmtree(place.parent)
    return met


def main() -> None:
    """The campaign by hand, as long as wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--faults", type=int, default=0, help="runs with a fault each, in place of kills")
    parser.add_argument("--seed", type=int, default=1, help="decides the draws and the instants")
    parser.add_argument("--np", type=int, default=2, help="ranks")
    parser.add_argument("--seeds", type=int, default=2**25, help="seeds of the search")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        say = lambda line: print(line, flush=True)  # noqa: E731
        if given.faults:
            met = faults(Path(folder), given.faults, given.seed, max(given.np, 3), say=say)
            print(f"{sum(met.values())} faults ({dict(met)}), each happened, same payload each time")
            return
        outcome = campaign(Path(folder), given.kills, given.seed, given.np, given.seeds, say)
    print(f"{sum(outcome.killed.values())} kills ({dict(outcome.killed)}), {outcome.rounds} rounds, nothing lost")


if __name__ == "__main__":
    main()
