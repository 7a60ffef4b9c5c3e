"""Floor 3: the doctor. What is wrong with a cluster before a run finds out: a line for each finding, and its remedy.

python -m prng_mpi.doctor --hostfile hostfile
mpirun -hostfile hostfile -np 26 python -m prng_mpi.doctor --hostfile hostfile"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from prng_mpi import checks, config, devices, facts, hostfile, spawn, step
from prng_mpi import comm as comms
from prng_mpi.checks import OK, STOP, WARN, Facts, Finding
from prng_mpi.comm import Comm, Tag
from prng_mpi.config import option, parse_size
from prng_mpi.errors import DeviceError, ExitCode
from prng_mpi.profiles import profile
from prng_mpi.startup import in_turn

NAP = 0.001
# Round trips that the clock of a rank is asked in, and seconds that it has to answer one.
TRIPS, TRIP_SECONDS = 5, 5.0


@dataclass(frozen=True)
class DoctorOptions:
    """Look for what would stop or spoil a run: one line for each finding, with its remedy. Exit code 0: all well, 6: warnings,
    2: a run would stop."""

    STEP: ClassVar[str] = "doctor"

    hostfile: Path | None = option(
        None, "the hostfile that mpirun gets: is each host where it should be; alone, can each be reached", metavar="FILE",
        section="Cluster",
    )  # fmt: skip
    environments: Path | None = option(
        None, "a Python for each kind of host, as ENVIRONMENTS of launch/env.sh: lines of PATTERN INTERPRETER", metavar="FILE",
        section="Cluster",
    )  # fmt: skip
    device: str = option("auto", "what computes", choices=devices.KINDS, section="Devices")
    require_gpu: bool = option(False, "a rank that would compute on a CPU is a finding", section="Devices")
    memory_reserve: float = option(
        1.5e9, "memory of each host to leave alone", parse=parse_size, metavar="SIZE", section="Devices"
    )
    startup_timeout: float = option(120.0, "seconds for one device to start", minimum=1, section="Devices")
    rocm_smi: bool = option(
        False, "ask rocm-smi too, once on each host; never while a run computes there", section="Devices"
    )
    output_dir: Path = option(Path("results"), "folder of the runs to come", metavar="DIR", section="Run")
    show_config: bool = option(False, "print every value and where it comes from, and exit", section="Run")
    json: bool = option(False, "print findings and facts as JSON", section="Run")


def prepare(loaded: config.Loaded[DoctorOptions]) -> Facts:
    """What root alone can see, before MPI. Raises UsageError for a hostfile that is none."""
    o = loaded.value
    alone = comms.launched() is None
    slots: dict[str, int] = {}
    for line in hostfile.read(o.hostfile) if o.hostfile else ():
        slots[line.host] = slots.get(line.host, 0) + line.slots
    environments = facts.read_environments(o.environments) if o.environments else []
    if not alone:
        # MPI that finds no way to other hosts hangs, without a chance to speak up then.
        where = ", ".join(f"{name} {address}" for name, address in facts.interfaces())
        print(f"starting MPI ({where}); if nothing follows, the ranks don't reach each other: run the doctor without mpirun, "
              "or give mpirun the options that it names", file=sys.stderr, flush=True)  # fmt: skip
    return {
        "alone": alone,
        "hostfile": [[host, number] for host, number in slots.items()] or None,
        "reach": facts.reach(slots, os.environ, environments=environments) if slots and alone else None,
        "folder": facts.of_folder(o.output_dir),
        "runs": facts.runs(o.output_dir),
        "reserve": o.memory_reserve,
    }


def run(comm: Comm, o: DoctorOptions, seen: Facts) -> ExitCode:
    """Every rank looks at itself, one of each host at the host; root's exit code."""
    # A rank that is alone forks nothing before; nothing has started a thread or a runtime yet.
    spawn.start_helper()
    kind, why = devices.choose(o.device)
    rank = facts.of_rank(comm, kind, why)
    host = facts.of_host(o.rocm_smi) if comm.local_rank == 0 else None
    if comm.rank:
        comm.send(0, Tag.RESULT, (rank, host))
    rank = in_turn(comm, lambda: _device(rank, comm, o, kind), profile(kind).delay, o.startup_timeout)[0]
    if comm.rank:
        comm.send(0, Tag.RESULT, (rank, None))
        _tell_the_time(comm)
        return ExitCode.FOUND
    found = _gather(comm, rank, host, o.startup_timeout * len(comm.local_ranks) + 10)
    answered = all(_ask_the_time(comm, r) for r in found["ranks"] if r["rank"] and r["device"] + r["trouble"])
    for number in range(1, comm.size):
        comm.send(number, Tag.STOP)
    findings = checks.examine(seen | found | {"size": comm.size})
    worst = {finding.level for finding in findings}
    code = ExitCode.USAGE if STOP in worst else ExitCode.GAPS if WARN in worst else ExitCode.FOUND
    _say(findings, code, o, seen | found)
    if (
        not answered
        or any(not (r["device"] or r["trouble"]) for r in found["ranks"])
        or len(found["ranks"]) < comm.size
    ):
        comm.abort(code)
    return code


def _device(rank: dict[str, Any], comm: Comm, o: DoctorOptions, kind: str) -> dict[str, Any]:
    if o.require_gpu and kind in ("cpu", "emulated"):
        return rank | {"trouble": str(DeviceError(f"--require-gpu, but it would compute on {kind} ({rank['why']})"))}
    return facts.open_device(rank, kind, comm.local_rank)


def _gather(comm: Comm, rank: dict[str, Any], host: dict[str, Any] | None, patience: float) -> Facts:
    """What ranks say of themselves and their hosts; of one that is late, what it said before its device."""
    ranks, hosts, deadline = {0: rank}, {comm.host: host}, time.monotonic() + patience
    while time.monotonic() < deadline:
        message = comm.poll()
        if message is None:
            through = {number for number, r in ranks.items() if r["device"] or r["trouble"]}
            if len(through | comm.lost.keys()) == comm.size:
                break
            time.sleep(NAP)
        elif message.tag is Tag.RESULT:
            said, there = message.content
            ranks[message.source] = said
            if there is not None:
                hosts[said["host"]] = there
        elif message.tag is Tag.LOST and message.source in ranks:
            ranks[message.source] |= {"device": "", "trouble": f"it is gone, {message.content}"}
    known = [ranks[number] for number in sorted(ranks) if hosts.get(ranks[number]["host"])]
    return {"ranks": known, "hosts": {r["host"]: hosts[r["host"]] for r in known}}


def _tell_the_time(comm: Comm) -> None:
    """Answer root until it says stop."""
    while (message := comm.poll(0)) is None or message.tag not in (Tag.STOP, Tag.LOST):
        if message is None:
            time.sleep(NAP)
        elif message.tag is Tag.CHUNK:
            comm.send(0, Tag.RESULT, time.time())


def _ask_the_time(comm: Comm, rank: dict[str, Any]) -> bool:
    """Find how far a rank's clock is ahead of root's: half a round trip after root asked; the median of the fastest trips."""
    trips = []
    for _ in range(TRIPS):
        began, deadline = time.time(), time.monotonic() + TRIP_SECONDS
        comm.send(rank["rank"], Tag.CHUNK)
        while (message := comm.poll(rank["rank"])) is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(NAP)
        ended = time.time()
        if message.tag is Tag.RESULT:
            trips.append((ended - began, message.content - (began + ended) / 2))
    if trips:
        rank["skew"] = statistics.median(skew for _, skew in sorted(trips)[: TRIPS // 2 + 1])
    return True


def _say(findings: list[Finding], code: ExitCode, o: DoctorOptions, seen: Facts) -> None:
    if o.json:
        print(
            json.dumps({"exit_code": int(code), "findings": [asdict(f) for f in findings], "facts": seen}, default=str)
        )
        return
    order = [OK, WARN, STOP]
    for finding in sorted(findings, key=lambda f: order.index(f.level)):
        print(finding, flush=True)
    count = {level: sum(f.level == level for f in findings) for level in order}
    end = {
        ExitCode.FOUND: "all is well",
        ExitCode.GAPS: "a run would start",
        ExitCode.USAGE: "a run would stop or go wrong",
    }
    print(f"{count[STOP]} to mend, {count[WARN]} to know: {end[code]}", flush=True)


if __name__ == "__main__":
    step.main(DoctorOptions, prepare, run)
