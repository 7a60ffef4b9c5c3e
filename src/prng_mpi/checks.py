"""Floor 0: what can be wrong with a cluster, one small function each: from facts to findings, without any look at a host.

Facts are plain dicts, as `facts` gathers them:

- ranks: of each rank that reported: rank, host, versions {what: text}, python (its path), cupy (its name and version, empty
  for none), started_with and environment (variables of GPU
  runtimes, at its start and as its GPU library sees them), libraries (of those runtimes, loaded before that), kind, why,
  device, gpu (the one it is shown, empty for a CPU), trouble (why its device did not start), need (bytes that it took),
  files (how many it may open), skew (seconds its clock is ahead of root's, None if unknown); size: how many there should be; alone: whether no launcher started them
- hosts: of each host: interfaces [[name, address/bits]], available, swap, swap_free, shm (bytes), gpus [{kind, name, gfx}],
  denied (device files closed to this user), features (amdgpu's mask or None), kernel_log, daemons [[pid, name, seconds]],
  segments [number, bytes] in shared memory, cache {folder, debris, trouble}, smi {answer, gpus {name: {what: text}}} or None
- hostfile: [[host, slots]] or None; reach: {host: {status, said, version, skew}} or None where nobody was asked
- folder: {path, free, fsync (seconds), trouble}; runs: [{folder, pid, finished}]; reserve: bytes of memory to leave alone"""

from __future__ import annotations

import ipaddress
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from prng_mpi.admission import room_for
from prng_mpi.config import format_size
from prng_mpi.profiles import PROFILES

Facts = dict[str, Any]

# How bad a finding is: nothing; worth knowing; a run would stop or go wrong.
OK, WARN, STOP = "ok", "warn", "STOP"
OVERRIDE = "HSA_OVERRIDE_GFX_VERSION"
VISIBLE = {"cuda": "CUDA_VISIBLE_DEVICES", "rocm": "ROCR_VISIBLE_DEVICES"}
# Interfaces that lead to containers and virtual machines of one host and have the same addresses on each.
VIRTUAL = ("docker", "virbr", "br-", "veth", "lxc", "lxd", "cni", "flannel", "cali", "podman", "tun", "tap", "vmnet")
GFXOFF = 0x8000
# Least: seconds of clocks apart, seconds of an fsync, bytes of disk, of shared memory a rank, open files and those a rank.
SKEW, FSYNC, DISK, SHM, FILES, FILES_A_RANK = 1.0, 0.1, 1e9, 32e6, 256, 8
# Differences that end a run; the others are the user's to judge.
VITAL = ("prng_mpi", "MPI", "kernels")
# Degrees Celsius.
HOT = 90.0
# Processes that a line names, those that have run longest.
SHOWN = 3
SAME = "install the same release there, at the same path (launch/setup.sh)"


@dataclass(frozen=True)
class Finding:
    """One line: how bad, what, what to do about it, on which hosts, and the name of the check."""

    level: str
    text: str
    remedy: str = ""
    where: str = ""
    check: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{self.level:<5} {self.check:<10} {place}{self.text}{f'; {self.remedy}' if self.remedy else ''}"


Findings = Iterator[Finding]


def ok(text: str) -> Finding:
    return Finding(OK, text)


def warn(text: str, remedy: str, where: str = "") -> Finding:
    return Finding(WARN, text, remedy, where)


def stop(text: str, remedy: str, where: str = "") -> Finding:
    return Finding(STOP, text, remedy, where)


def ranks(f: Facts) -> Findings:
    """Whether all ranks reported, and how far each came."""
    if missing := sorted(set(range(f["size"])) - {r["rank"] for r in f["ranks"]}):
        yield stop(f"{_numbered(missing)} never reported", "see network and devices, then the hosts' own logs")
    for r in f["ranks"]:
        if not r["device"] and not r["trouble"]:
            text = f"rank {r['rank']}: its {r['kind']} device did not start in time"
            yield stop(text, "reboot the host if its GPU hangs (dmesg), or raise --startup-timeout", r["host"])
    count = Counter(r["host"] for r in f["ranks"])
    yield ok(", ".join(f"{number} on {host}" for host, number in count.items()))


def versions(f: Facts) -> Findings:
    """Whether all ranks run the same program; the odd ones are those that differ from most."""
    names = dict.fromkeys(name for r in f["ranks"] for name in r["versions"])
    all_of = {name: [r["versions"].get(name, "missing") for r in f["ranks"]] for name in names}
    for name, values in all_of.items():
        usual = Counter(values).most_common(1)[0][0]
        for r, own in zip(f["ranks"], values, strict=True):
            if own != usual:
                level = STOP if name in VITAL else WARN
                yield Finding(level, f"{name} is {own}, elsewhere {usual}", SAME, r["host"])
    said = ", ".join(f"{name} {values[0]}" for name, values in all_of.items())
    yield ok(f"{_many(len(f['ranks']), 'rank')} alike: {said}")


def pythons(f: Facts) -> Findings:
    """Which Python, with which CuPy, runs where: hosts of another kind may have another, one host should not."""
    places: dict[tuple[str, str], dict[str, None]] = {}
    for r in f["ranks"]:
        places.setdefault((r["python"], r["cupy"]), {})[r["host"]] = None
    for host in f["hosts"]:
        if len(own := [python for (python, _), hosts in places.items() if host in hosts]) > 1:
            yield warn(f"its ranks run {' and '.join(own)}", "name one for it in ENVIRONMENTS (launch/env.sh)", host)
    said = [
        f"{python}{f' with {cupy}' if cupy else ''} on {', '.join(hosts)}" for (python, cupy), hosts in places.items()
    ]
    yield ok("; ".join(said))


def hostfile(f: Facts) -> Findings:
    """Whether the ranks are where the hostfile has slots for them."""
    if not f["hostfile"] or f["alone"]:
        return
    slots = {_short(host): number for host, number in f["hostfile"]}
    count = Counter(_short(r["host"]) for r in f["ranks"])
    for host, number in count.items():
        if host not in slots:
            yield stop(
                f"{_many(number, 'rank')} on a host that is not in it",
                f"name it there as `hostname` does: {host}",
                host,
            )
        elif number > slots[host]:
            yield stop(
                f"{number} ranks, but slots={slots[host]}", "lower -np, and map by slot (launch/env.sh does)", host
            )
    for host, number in slots.items():
        # A host without ranks is likely one of those with another name.
        if count[host] < number and (count[host] or set(count) <= set(slots)):
            yield warn(f"{_many(count[host], 'rank')}, but slots={number}", "raise -np to use it whole", host)
    yield ok(", ".join(f"{host} {count[host]} of {number}" for host, number in slots.items()) + " slots used")


def network(f: Facts) -> Findings:
    """Which network the hosts share, and the options that make MPI use that and no other."""
    networks = {
        host: {
            ipaddress.ip_interface(a).network for name, a in h["interfaces"] if not name.startswith((*VIRTUAL, "lo"))
        }
        for host, h in f["hosts"].items()
    }
    common = set.intersection(*networks.values())
    chosen = max(common, key=lambda n: (n.prefixlen < 32, n.num_addresses, str(n)), default=None)
    options = f"mpirun --mca btl_tcp_if_include {chosen} --prtemca prte_if_include {chosen}"
    for host, h in f["hosts"].items():
        if virtual := sorted({name for name, _ in h["interfaces"] if name.startswith(VIRTUAL)}):
            text = f"{', '.join(virtual)}: MPI may try it to reach other hosts, and hang"
            yield warn(text, options if chosen else "name the hosts' network to mpirun (btl_tcp_if_include)", host)
    if chosen:
        yield ok(f"{chosen} on {_hosts(networks)}: {options}")
    elif len(networks) > 1:
        each = "; ".join(f"{host} {', '.join(map(str, n)) or 'none'}" for host, n in networks.items())
        yield stop(f"the hosts share no subnet ({each})", "give them addresses in one")
    else:
        yield ok("this host alone, without a network")


def reach(f: Facts) -> Findings:
    """Whether mpirun could start something on each host of the hostfile."""
    if f["reach"] is None:
        return
    own = f["ranks"][0]["versions"]["prng_mpi"]
    for host, r in f["reach"].items():
        status, last = r["status"], (r["said"].strip().splitlines() or ["no answer in time"])[-1][:120]
        if r["version"]:
            if r["version"] != own:
                yield stop(f"prng_mpi is {r['version']}, here {own}", SAME, host)
            if abs(r["skew"]) > SKEW:
                yield _skewed(host, r["skew"])
        elif status == 127 and last.startswith("there is no program"):
            yield stop(last, "install it, or set PRTE_MCA_plm_ssh_agent to another launcher", host)
        elif status in (126, 127):
            remedy = "make the environment at the same path (launch/setup.sh), or say where it is (--environments)"
            yield stop(f"reached, but this Python is not at its path there ({last})", remedy, host)
        elif 0 <= status < 255:
            remedy = "install it into that environment (launch/setup.sh)"
            yield stop(f"reached, but prng_mpi can't be imported there ({last})", remedy, host)
        else:
            remedy = f"make `ssh {host} true` work without a question: ssh-copy-id {host}"
            yield stop(f"no non-interactive login ({last})", remedy, host)
    yield ok(f"{_hosts(f['reach'])} by non-interactive login" if f["reach"] else "no other host is in the hostfile")


def devices(f: Facts) -> Findings:
    """Whether each rank has a device of its own that computes rightly."""
    shown = Counter((r["host"], r["gpu"]) for r in f["ranks"] if r["gpu"])
    for (host, gpu), number in shown.items():
        if number > 1:
            remedy = f"name each once in {' or '.join(VISIBLE.values())}, or leave them unset"
            yield stop(f"{number} ranks share GPU {gpu}", remedy, host)
    for r in f["ranks"]:
        if r["trouble"]:
            # Errors of devices say themselves what to do.
            yield stop(f"rank {r['rank']} has none: {r['trouble']}", "", r["host"])
    kinds = Counter(f"{r['device']} ({r['why']})" for r in f["ranks"] if r["device"])
    yield ok(", ".join(f"{number} x {name}" for name, number in kinds.items()) + ": known answers reproduced")


def gpus(f: Facts) -> Findings:
    """Whether the GPUs of each host are those its ranks use and the profiles know."""
    said = Counter(gpu["name"] for h in f["hosts"].values() for gpu in h["gpus"])
    for host, h in f["hosts"].items():
        mine, there = [r for r in f["ranks"] if r["host"] == host], len(h["gpus"])
        using = _count(f, host) if any(r["kind"] in VISIBLE for r in mine) else 0
        if there and not using:
            text = f"{there} x {h['gpus'][0]['name']}, but its ranks compute on the CPU ({mine[0]['why']})"
            yield warn(text, "see why, and add --require-gpu to a run that means them", host)
        elif using > there > 0:
            yield stop(f"{using} ranks for {there} GPUs", f"slots={there} in the hostfile", host)
        # Alone, one rank says little of those to come.
        elif using < there and (using > 1 or not f["alone"]):
            yield warn(
                f"{using} ranks for {there} GPUs: some are idle", f"slots={there} in the hostfile uses all", host
            )
        for gpu in h["gpus"]:
            if not any(p.kind == gpu["kind"] and p.match and p.match in gpu["name"] for p in PROFILES):
                text = f"no profile for {gpu['name']}, so its first chunks are of a guessed size"
                yield warn(text, "python -m prng_mpi.bench measures it; give its bench.json as --profile", host)
    if said:
        yield ok(", ".join(f"{number} x {name}" for name, number in said.items()))


def gfx(f: Facts) -> Findings:
    """Whether ROCm runs each card as an architecture that it has code for."""
    mine = [r for r in f["ranks"] if r["kind"] == "rocm"]
    for r in mine:
        # Rigs have one kind of card.
        own = next((gpu["gfx"] for gpu in f["hosts"][r["host"]]["gpus"] if gpu["kind"] == "rocm"), "")
        value, target, wanted = r["environment"].get(OVERRIDE, ""), _target(own), _override(own)
        if wanted and not value:
            remedy = f"export {OVERRIDE}={wanted} on that host before Python starts"
            yield stop(f"{own} needs {OVERRIDE}, which its process does not see", remedy, r["host"])
        elif value and own and value.split(".")[:2] != target.split(".")[:2]:
            text = f"{OVERRIDE}={value} runs {own} as another generation"
            yield stop(text, f"set it to {wanted or target}, or unset it", r["host"])
        elif wanted and OVERRIDE not in r["started_with"] and r["libraries"]:
            text = f"{', '.join(r['libraries'])} was loaded before {OVERRIDE} was set"
            yield stop(text, "export it before Python starts, or import nothing of ROCm before prng_mpi", r["host"])
    if mine:
        yield ok(f"{_many(len(mine), 'rank')} on an architecture that ROCm has code for")


def libraries(f: Facts) -> Findings:
    """Whether a GPU runtime was loaded before the rank could be shown one GPU only."""
    for r in f["ranks"]:
        if r["libraries"] and r["kind"] in VISIBLE and VISIBLE[r["kind"]] not in r["started_with"]:
            text = f"{', '.join(r['libraries'])} was loaded before {VISIBLE[r['kind']]} was set"
            remedy = "import no GPU library before prng_mpi (look at LD_PRELOAD, sitecustomize and .pth files)"
            yield stop(text, remedy, r["host"])


def gfxoff(f: Facts) -> Findings:
    """Whether AMD cards may switch themselves off between launches."""
    rigs = {host: h["features"] for host, h in f["hosts"].items() if h["features"] is not None and h["gpus"]}
    for host, mask in rigs.items():
        if mask & GFXOFF:
            remedy = f"boot with amdgpu.ppfeaturemask={mask & ~GFXOFF:#010x}"
            yield warn("GFXOFF is on, which has hung cards between launches", remedy, host)
    if rigs:
        yield ok(f"off on {_hosts(rigs)}")


def access(f: Facts) -> Findings:
    """Whether this user may open the device files of the GPUs."""
    for host, h in f["hosts"].items():
        if h["denied"]:
            text = f"this user may not open {', '.join(h['denied'])}"
            yield stop(text, "usermod -aG render,video USER, and log in again", host)


def memory(f: Facts) -> Findings:
    """Whether the memory of each host is enough for its ranks, above what is kept."""
    kept, known = f["reserve"], {host: h for host, h in f["hosts"].items() if h["available"]}
    most = max((r["need"] for r in f["ranks"]), default=0.0)
    for host, h in known.items():
        need, count = max((r["need"] for r in f["ranks"] if r["host"] == host), default=0.0), _count(f, host)
        fits = max(1, room_for(h["available"], kept, need) or 0) if need else count
        if fits < count:
            text = f"{format_size(h['available'])} available, {format_size(kept)} is kept, a rank takes {format_size(need)}"
            remedy = f"slots={fits} in the hostfile, more memory, or a lower --memory-reserve"
            yield warn(f"{text}: {fits} of {count} ranks would compute", remedy, host)
        elif h["swap_free"] < 0.5 * h["swap"]:
            text = f"{format_size(h['swap'] - h['swap_free'])} of {format_size(h['swap'])} swap in use"
            yield warn(text, "end what fills its memory", host)
    if known:
        least, host = min((h["available"], host) for host, h in known.items())
        text = f"at least {format_size(least)} available ({host}), {format_size(kept)} is kept"
        yield ok(f"{text}, a rank takes {format_size(most)}")


def shm(f: Facts) -> Findings:
    """Whether ranks of a host can exchange messages through its shared memory."""
    for host, h in f["hosts"].items():
        count, (number, size) = _count(f, host), h["segments"]
        if h["shm"] < SHM * count:
            text = f"/dev/shm has {format_size(h['shm'])} free for {_many(count, 'rank')}"
            remedy = "mount it larger (containers: --shm-size=1g), or set OMPI_MCA_btl_sm_backing_directory=/tmp"
            yield Finding(STOP if h["shm"] < SHM else WARN, text, remedy, host)
        if number:
            text = f"{_many(number, 'segment')} of ended runs in /dev/shm, {format_size(size)}"
            yield warn(text, "rm /dev/shm/sm_segment.* while nothing runs", host)
    yield ok(f"at least {format_size(min(h['shm'] for h in f['hosts'].values()))} free")


def kernel_log(f: Facts) -> Findings:
    """Whether a killed process can be explained."""
    for host, h in f["hosts"].items():
        if not h["kernel_log"]:
            remedy = "usermod -aG systemd-journal USER, or sysctl kernel.dmesg_restrict=0"
            yield warn("not readable, so the OOM killer would go unnamed", remedy, host)
    yield ok("readable")


def disk(f: Facts) -> Findings:
    """Whether root's disk takes results, and how fast."""
    d = f["folder"]
    if d["trouble"]:
        yield stop(f"{d['path']}: {d['trouble']}", "choose another --output-dir")
        return
    if d["free"] < DISK:
        yield warn(f"{d['path']} has {format_size(d['free'])} free", "free some, or choose another --output-dir")
    took = f"an fsync takes {1000 * d['fsync']:.3g} ms"
    if d["fsync"] > FSYNC:
        remedy = "choose an --output-dir on a local disk, or raise --chunk-seconds"
        yield warn(f"{d['path']}: {took}, and every chunk waits for one", remedy)
    yield ok(f"{d['path']}: {format_size(d['free'])} free, {took}")


def clock(f: Facts) -> Findings:
    """Whether the hosts agree what time it is."""
    skews = {
        host: [r["skew"] for r in f["ranks"] if r["host"] == host and r["skew"] is not None] for host in f["hosts"]
    }
    known = {host: statistics.median(values) for host, values in skews.items() if values}
    for host, skew in known.items():
        if abs(skew) > SKEW:
            yield _skewed(host, skew)
    if known:
        yield ok(f"at most {1000 * max(map(abs, known.values())):.3g} ms apart")


def files(f: Facts) -> Findings:
    """Whether a rank may open as many files as it may have connections."""
    need = FILES + FILES_A_RANK * f["size"]
    for r in f["ranks"]:
        if r["files"] < need:
            text = f"a rank may open {r['files']} files, connections included, and may want {need}"
            yield warn(text, f"ulimit -n {need} in the shell profile that non-interactive logins read", r["host"])


def runs(f: Facts) -> Findings:
    """Runs that still hold their folders, or ended without a summary."""
    for run in f["runs"]:
        if run["pid"] is not None:
            remedy = "wait until it ends, or end it with kill -USR1, before another run shares its devices"
            yield warn(f"{run['folder']} is in use by process {run['pid']}", remedy)
        elif not run["finished"]:
            yield warn(f"{run['folder']} has no summary: its run was cut off", "the same command resumes it")


def stale(f: Facts) -> Findings:
    """Launchers of other runs, or left over from them, which may hold GPUs; what killed compilations left."""
    for host, h in f["hosts"].items():
        if h["daemons"]:
            each = ", ".join(f"{name} {pid} since {_time(seconds)}" for pid, name, seconds in h["daemons"][:SHOWN])
            more = f" and {len(h['daemons']) - SHOWN} more" if len(h["daemons"]) > SHOWN else ""
            pids = " ".join(str(pid) for pid, _, _ in h["daemons"][:SHOWN])
            yield warn(
                f"{each}{more} of this user: other runs, or left over", f"if nobody needs them: kill {pids}", host
            )
        if h["cache"]["trouble"]:
            yield stop(h["cache"]["trouble"], "", host)
        elif h["cache"]["debris"]:
            text = f"{_many(h['cache']['debris'], 'unfinished compilation')} in {h['cache']['folder']}"
            yield warn(text, f"rm -r {h['cache']['folder']}: it is made anew", host)


def smi(f: Facts) -> Findings:
    """What rocm-smi said where it was asked: once, before a run."""
    asked = {host: h["smi"] for host, h in f["hosts"].items() if h["smi"] is not None}
    for host, said in asked.items():
        if said["trouble"]:
            yield warn(
                said["trouble"], "its controller may hang: reboot the host before a run, and don't poll it", host
            )
        for gpu, values in said["gpus"].items():
            numbers = {what: _number(text) for what, text in values.items()}
            if unknown := sorted(what for what, number in numbers.items() if number is None):
                text = f"{gpu} does not know its {', '.join(unknown)}"
                yield warn(text, "look for amdgpu in dmesg; a card in state unknown needs a reboot", host)
            for what, number in numbers.items():
                if "emperature" in what and number is not None and number > HOT:
                    yield warn(f"{gpu}: {what} {number:g}", "see to its fan", host)
    if asked:
        yield ok(f"{sum(len(said['gpus']) for said in asked.values())} GPUs answer")


CHECKS: dict[str, Callable[[Facts], Findings]] = {
    "ranks": ranks, "versions": versions, "pythons": pythons, "hostfile": hostfile, "network": network, "reach": reach, "devices": devices,
    "gpus": gpus, "gfx": gfx, "libraries": libraries, "gfxoff": gfxoff, "access": access, "memory": memory, "shm": shm,
    "kernel-log": kernel_log, "disk": disk, "clock": clock, "files": files, "runs": runs, "stale": stale, "rocm-smi": smi,
}  # fmt: skip


def examine(facts: Facts) -> list[Finding]:
    """What all checks find; what several hosts have in common is one finding. Where a check finds something, all else that
    it looked at is well, and is not said."""
    places: dict[Finding, dict[str, None]] = {}
    for name, check in CHECKS.items():
        findings = list(check(facts))
        bad = [f for f in findings if f.level != OK]
        for f in bad or findings:
            where = places.setdefault(replace(f, where="", check=name), {})
            where.update({f.where: None} if f.where else {})
    return [replace(f, where=", ".join(where)) for f, where in places.items()]


def _count(f: Facts, host: str) -> int:
    """Ranks of a host: those that are here, or, alone, those that the hostfile has slots for."""
    slots = {_short(name): number for name, number in f["hostfile"] or []} if f["alone"] else {}
    return int(slots.get(_short(host), sum(r["host"] == host for r in f["ranks"])))


def _skewed(host: str, skew: float) -> Finding:
    text = f"its clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} root's"
    return warn(text, "run a time service there (systemd-timesyncd, chrony)", host)


def _target(gfx_name: str) -> str:
    """gfx1032 as ROCm's variable writes it: 10.3.2."""
    digits = gfx_name.removeprefix("gfx")
    return f"{digits[:-2]}.{digits[-2]}.{int(digits[-1], 16)}" if len(digits) > 2 else ""


def _override(gfx_name: str) -> str:
    """What a consumer card of RDNA has to pass for, as ROCm has code for the first of its generation only; empty if it is
    that one."""
    target = _target(gfx_name)
    return (
        f"{target.rpartition('.')[0]}.0" if target.startswith(("10.3.", "11.0.")) and not target.endswith(".0") else ""
    )


def _number(text: str) -> float | None:
    try:
        return float(str(text).strip().rstrip("%cCW"))
    except ValueError:
        return None


def _short(host: str) -> str:
    return host.partition(".")[0] if not host.replace(".", "").isdigit() else host


def _hosts(names: Iterable[str]) -> str:
    each = list(names)
    return ", ".join(each) if len(each) <= 4 else f"all {len(each)} hosts"


def _many(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _numbered(numbers: list[int]) -> str:
    return (
        f"rank{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:8]))}{', ...' if len(numbers) > 8 else ''}"
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"
