"""Floor 0: what can be wrong with a cluster, one small function each: from facts to findings, without any look at a host.

Facts are plain dicts, as `facts` gathers them:

- ranks: of each rank that reported: rank, host, versions {what: text}, started_with and environment (variables of GPU
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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

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
HOT = 90.0
SAME = "install the same release there, at the same path (launch/setup.sh)"


@dataclass(frozen=True)
class Finding:
    """One line: how bad, which check, where, what, and what to do about it."""

    level: str
    check: str
    text: str
    remedy: str = ""
    where: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{self.level:<5} {self.check:<10} {place}{self.text}{f'; {self.remedy}' if self.remedy else ''}"


def ranks(facts: Facts) -> list[Finding]:
    """Whether all ranks reported, and how far each came."""
    missing = sorted(set(range(facts["size"])) - {r["rank"] for r in facts["ranks"]})
    found = (
        [
            Finding(
                STOP,
                "ranks",
                f"{_list('rank', missing)} never reported",
                "see network and devices; then the hosts' own logs",
            )
        ]
        if missing
        else []
    )
    hung = [r for r in facts["ranks"] if r.get("kind") and not r.get("device") and not r.get("trouble")]
    for r in hung:
        found.append(Finding(STOP, "ranks", f"rank {r['rank']}: its {r['kind']} device did not start in time",
                             "reboot the host if its GPU hangs (dmesg), or raise --startup-timeout", r["host"]))  # fmt: skip
    count = Counter(r["host"] for r in facts["ranks"])
    where = ", ".join(f"{number} on {host}" for host, number in count.items())
    return found or [Finding(OK, "ranks", where)]


def versions(facts: Facts) -> list[Finding]:
    """Whether all ranks run the same program; the odd ones are those that differ from most."""
    found, names = [], {name: None for r in facts["ranks"] for name in r["versions"]}
    usual = {
        name: Counter(r["versions"].get(name, "missing") for r in facts["ranks"]).most_common(1)[0][0] for name in names
    }
    for r in facts["ranks"]:
        for name, value in usual.items():
            own = r["versions"].get(name, "missing")
            if own != value:
                found.append(Finding(STOP if name in VITAL else WARN, "versions", f"{name} is {own}, elsewhere {value}",
                                     SAME, r["host"]))  # fmt: skip
    said = ", ".join(f"{name} {value}" for name, value in usual.items())
    return found or [Finding(OK, "versions", f"{_list('rank', number=len(facts['ranks']))} alike: {said}")]


def hostfile(facts: Facts) -> list[Finding]:
    """Whether the ranks are where the hostfile has slots for them."""
    if not facts["hostfile"] or facts["reach"] is not None:
        return []
    slots, found = {_short(host): number for host, number in facts["hostfile"]}, []
    count = Counter(_short(r["host"]) for r in facts["ranks"])
    for host, number in count.items():
        if host not in slots:
            found.append(Finding(STOP, "hostfile", f"{_list('rank', number=number)} on a host that is not in it",
                                 f"name it there as its `hostname` does: {host}", host))  # fmt: skip
        elif number > slots[host]:
            found.append(Finding(STOP, "hostfile", f"{number} ranks, but slots={slots[host]}",
                                 "lower -np, or launch without --oversubscribe (launch/env.sh maps by slot)", host))  # fmt: skip
    for host, number in slots.items():
        # A host without ranks is likely one of those with another name.
        if count[host] < number and (count[host] or set(count) <= set(slots)):
            found.append(
                Finding(WARN, "hostfile", f"{count[host]} ranks, but slots={number}", "raise -np to use it whole", host)
            )
    said = ", ".join(f"{host} {count[host]} of {number}" for host, number in slots.items())
    return found or [Finding(OK, "hostfile", f"{said} slots used")]


def network(facts: Facts) -> list[Finding]:
    """Which network the hosts share, and the options that make MPI use that and no other."""
    found, networks = [], {}
    for host, h in facts["hosts"].items():
        real = [(name, address) for name, address in h["interfaces"] if not name.startswith((*VIRTUAL, "lo"))]
        networks[host] = {ipaddress.ip_interface(address).network: name for name, address in real}
    common = set.intersection(*(set(n) for n in networks.values())) if networks else set()
    chosen = max(common, key=lambda n: (n.prefixlen < 32, n.num_addresses, str(n)), default=None)
    options = f"--mca btl_tcp_if_include {chosen} --prtemca prte_if_include {chosen}" if chosen else ""
    for host, h in facts["hosts"].items():
        virtual = sorted({name for name, _ in h["interfaces"] if name.startswith(VIRTUAL)})
        if virtual:
            found.append(Finding(WARN, "network", f"{', '.join(virtual)}: MPI may try it to reach other hosts, and hang",
                                 f"mpirun {options}" if options else "name the network of the hosts to mpirun", host))  # fmt: skip
    if len(networks) > 1 and chosen is None:
        each = "; ".join(f"{host} {', '.join(map(str, n)) or 'none'}" for host, n in networks.items())
        found.append(Finding(STOP, "network", f"the hosts share no subnet ({each})", "give them addresses in one"))
    if found:
        return found
    if chosen is None:
        return [Finding(OK, "network", "this host alone, without a network")]
    return [Finding(OK, "network", f"{chosen} on {_hosts(list(networks))}: mpirun {options}")]


def reach(facts: Facts) -> list[Finding]:
    """Whether mpirun could start something on each host of the hostfile."""
    if facts["reach"] is None:
        return []
    found, own = [], facts["ranks"][0]["versions"]["prng_mpi"]
    for host, r in facts["reach"].items():
        if r["status"] == 0 and r["version"]:
            if r["version"] != own:
                found.append(Finding(STOP, "versions", f"prng_mpi is {r['version']}, here {own}", SAME, host))
            if abs(r["skew"]) > SKEW:
                found.append(_skewed(host, r["skew"]))
            continue
        last = (r["said"].strip().splitlines() or ["no answer in time"])[-1][:120]
        text, remedy = (
            f"no non-interactive login ({last})",
            f"make `ssh {host} true` work without a question: ssh-copy-id {host}",
        )
        if r["status"] == 127 and "no program" in r["said"]:
            text, remedy = r["said"].strip(), "install it, or set PRTE_MCA_plm_ssh_agent to another launcher"
        elif r["status"] in (126, 127):
            text, remedy = (
                f"reached, but this Python is not at its path there ({last})",
                "make the environment at the same path (launch/setup.sh)",
            )
        elif 0 <= r["status"] < 255:
            text, remedy = (
                f"reached, but prng_mpi can't be imported there ({last})",
                "install it into that environment (launch/setup.sh)",
            )
        found.append(Finding(STOP, "reach", text, remedy, host))
    good = [host for host, r in facts["reach"].items() if r["status"] == 0 and r["version"]]
    return found + ([Finding(OK, "reach", f"{_hosts(good)} by non-interactive login")] if good else [])


def devices(facts: Facts) -> list[Finding]:
    """Whether each rank has a device of its own that computes rightly."""
    found, shown = [], Counter((r["host"], r["gpu"]) for r in facts["ranks"] if r["gpu"])
    for (host, gpu), number in shown.items():
        if number > 1:
            found.append(Finding(STOP, "devices", f"{number} ranks share GPU {gpu}",
                                 f"name each once in {' or '.join(VISIBLE.values())}, or leave them unset", host))  # fmt: skip
    for r in facts["ranks"]:
        if r["trouble"]:
            found.append(Finding(STOP, "devices", f"rank {r['rank']} has none: {r['trouble']}", where=r["host"]))
    kinds = Counter(f"{r['device']} ({r['why']})" for r in facts["ranks"] if r["device"])
    said = ", ".join(f"{number} x {name}" for name, number in kinds.items())
    return found or [Finding(OK, "devices", f"{said}: known answers reproduced")]


def gpus(facts: Facts) -> list[Finding]:
    """Whether the GPUs of each host are those its ranks use and the profiles know."""
    found, said = [], Counter[str]()
    for host, h in facts["hosts"].items():
        mine = [r for r in facts["ranks"] if r["host"] == host]
        # Alone, one rank says little of those to come.
        using = _count(facts, host) if any(r["kind"] in VISIBLE for r in mine) else 0
        said.update(gpu["name"] for gpu in h["gpus"])
        if h["gpus"] and not using:
            why = next((r["why"] for r in mine), "")
            found.append(Finding(WARN, "gpus", f"{len(h['gpus'])} x {h['gpus'][0]['name']}, but its ranks compute on the CPU ({why})",
                                 "see why, and add --require-gpu to a run that means them", host))  # fmt: skip
        elif using and h["gpus"] and using > len(h["gpus"]):
            found.append(
                Finding(
                    STOP,
                    "gpus",
                    f"{using} ranks for {len(h['gpus'])} GPUs",
                    f"slots={len(h['gpus'])} in the hostfile",
                    host,
                )
            )
        elif using < len(h["gpus"]) and (using > 1 or not facts["alone"]):
            found.append(Finding(WARN, "gpus", f"{using} ranks for {len(h['gpus'])} GPUs: some idle, or one was lost",
                                 f"slots={len(h['gpus'])} in the hostfile uses all", host))  # fmt: skip
        for gpu in h["gpus"]:
            if not any(p.kind == gpu["kind"] and p.match and p.match in gpu["name"] for p in PROFILES):
                found.append(Finding(WARN, "gpus", f"no profile for {gpu['name']}, so its first chunks are of a guessed size",
                                     "python -m prng_mpi.bench measures it; give its bench.json as --profile", host))  # fmt: skip
    if not found and not said:
        return []
    return found or [Finding(OK, "gpus", ", ".join(f"{number} x {name}" for name, number in said.items()))]


def gfx(facts: Facts) -> list[Finding]:
    """Whether ROCm runs each card as an architecture that it has code for."""
    found, good = [], 0
    for r in facts["ranks"]:
        if r["kind"] != "rocm":
            continue
        own, value = _gfx(facts, r), r["environment"].get(OVERRIDE, "")
        wanted = _override(own)
        if wanted and not value:
            found.append(Finding(STOP, "gfx", f"{own} needs {OVERRIDE}, which its process does not see",
                                 f"export {OVERRIDE}={wanted} on that host before Python starts", r["host"]))  # fmt: skip
        elif value and own and value.split(".")[:2] != _target(own).split(".")[:2]:
            found.append(
                Finding(
                    STOP,
                    "gfx",
                    f"{OVERRIDE}={value} runs {own} as another generation",
                    f"set it to {wanted or _target(own)}, or unset it",
                    r["host"],
                )
            )
        elif wanted and OVERRIDE not in r["started_with"] and r["libraries"]:
            found.append(Finding(STOP, "gfx", f"{', '.join(r['libraries'])} was loaded before {OVERRIDE} was set",
                                 "export it before Python starts, or import nothing of ROCm before prng_mpi", r["host"]))  # fmt: skip
        else:
            good += 1
    return found or ([Finding(OK, "gfx", f"{good} ranks run a supported architecture")] if good else [])


def libraries(facts: Facts) -> list[Finding]:
    """Whether a GPU runtime was loaded before the rank could be shown one GPU only."""
    return [
        Finding(STOP, "libraries", f"{', '.join(r['libraries'])} was loaded before {VISIBLE[r['kind']]} was set",
                "import no GPU library before prng_mpi (look at LD_PRELOAD, sitecustomize and .pth files)", r["host"])
        for r in facts["ranks"]
        if r["libraries"] and r["kind"] in VISIBLE and VISIBLE[r["kind"]] not in r["started_with"]
    ]  # fmt: skip


def power(facts: Facts) -> list[Finding]:
    """Whether AMD cards may switch themselves off between launches."""
    found, off = [], 0
    for host, h in facts["hosts"].items():
        if h["features"] is None or not any(gpu["kind"] == "rocm" for gpu in h["gpus"]):
            continue
        off += 1
        if h["features"] & GFXOFF:
            mask = h["features"] & ~GFXOFF
            found.append(Finding(WARN, "gfxoff", "GFXOFF is on, which has hung cards between launches",
                                 f"boot with amdgpu.ppfeaturemask={mask:#010x}", host))  # fmt: skip
    return found or ([Finding(OK, "gfxoff", f"off on {off} hosts")] if off else [])


def access(facts: Facts) -> list[Finding]:
    """Whether this user may open the device files of the GPUs."""
    return [
        Finding(STOP, "access", f"this user may not open {', '.join(h['denied'])}",
                "usermod -aG render,video USER, and log in again", host)
        for host, h in facts["hosts"].items() if h["denied"]
    ]  # fmt: skip


def memory(facts: Facts) -> list[Finding]:
    """Whether the memory of each host is enough for its ranks, above what is kept."""
    found, kept, least = [], facts["reserve"], []
    for host, h in facts["hosts"].items():
        mine = [r for r in facts["ranks"] if r["host"] == host]
        need, free = max((r["need"] for r in mine), default=0.0), h["available"]
        if not free:
            continue
        count = _count(facts, host)
        fits = count if need <= 0 else max(1, min(count, int((free - kept) // need)))
        if fits < count:
            found.append(Finding(WARN, "memory", f"{_gb(free)} available, {_gb(kept)} is kept, a rank takes {_gb(need)}: {fits} of {count} ranks would compute",
                                 f"slots={fits} in the hostfile, more memory, or a lower --memory-reserve", host))  # fmt: skip
        elif h["swap"] and h["swap_free"] < 0.5 * h["swap"]:
            found.append(
                Finding(
                    WARN,
                    "memory",
                    f"{_gb(h['swap'] - h['swap_free'])} of {_gb(h['swap'])} swap in use",
                    "end what fills its memory",
                    host,
                )
            )
        least.append((free, host))
    if found or not least:
        return found
    free, host = min(least)
    need = max((r["need"] for r in facts["ranks"]), default=0.0)
    return [
        Finding(OK, "memory", f"at least {_gb(free)} available ({host}), {_gb(kept)} is kept, a rank takes {_gb(need)}")
    ]


def shm(facts: Facts) -> list[Finding]:
    """Whether ranks of a host can exchange messages through its shared memory."""
    found = []
    for host, h in facts["hosts"].items():
        count = _count(facts, host)
        if h["shm"] < SHM * count:
            found.append(Finding(STOP if h["shm"] < SHM else WARN, "shm", f"/dev/shm has {_gb(h['shm'])} free for {count} ranks",
                                 "mount it larger (containers: --shm-size=1g), or set OMPI_MCA_btl_sm_backing_directory=/tmp", host))  # fmt: skip
        number, size = h["segments"]
        if number:
            found.append(
                Finding(
                    WARN,
                    "shm",
                    f"{number} segments of ended runs in /dev/shm, {_gb(size)}",
                    "rm /dev/shm/sm_segment.*",
                    host,
                )
            )
    return found or [Finding(OK, "shm", f"at least {_gb(min(h['shm'] for h in facts['hosts'].values()))} free")]


def kernel_log(facts: Facts) -> list[Finding]:
    """Whether a killed process can be explained."""
    return _everywhere(
        facts, "kernel-log", lambda h: "" if h["kernel_log"] else "not readable, so the OOM killer would go unnamed",
        WARN, "usermod -aG systemd-journal USER, or sysctl kernel.dmesg_restrict=0", "readable",
    )  # fmt: skip


def folder(facts: Facts) -> list[Finding]:
    """Whether root's disk takes results, and how fast."""
    f = facts["folder"]
    if f["trouble"]:
        return [Finding(STOP, "disk", f"{f['path']}: {f['trouble']}", "choose another --output-dir")]
    found = []
    if f["free"] < DISK:
        found.append(
            Finding(WARN, "disk", f"{f['path']} has {_gb(f['free'])} free", "free some, or choose another --output-dir")
        )
    if f["fsync"] > FSYNC:
        found.append(Finding(WARN, "disk", f"{f['path']}: an fsync takes {1000 * f['fsync']:.0f} ms, and every chunk waits for one",
                             "choose an --output-dir on a local disk, or raise --chunk-seconds"))  # fmt: skip
    return found or [
        Finding(OK, "disk", f"{f['path']}: {_gb(f['free'])} free, an fsync takes {1000 * f['fsync']:.1f} ms")
    ]


def clock(facts: Facts) -> list[Finding]:
    """Whether the hosts agree what time it is."""
    skews = {
        host: [r["skew"] for r in facts["ranks"] if r["host"] == host and r["skew"] is not None]
        for host in facts["hosts"]
    }
    known = {host: statistics.median(values) for host, values in skews.items() if values}
    found = [_skewed(host, skew) for host, skew in known.items() if abs(skew) > SKEW]
    most = max((abs(skew) for skew in known.values()), default=0.0)
    return found or ([Finding(OK, "clock", f"at most {1000 * most:.2g} ms apart")] if facts["size"] > 1 else [])


def files(facts: Facts) -> list[Finding]:
    """Whether a rank may open as many files as it may have connections."""
    need = FILES + FILES_A_RANK * facts["size"]
    return [
        Finding(WARN, "files", f"rank {r['rank']} may open {r['files']} files, connections included, and may want {need}",
                f"ulimit -n {need} in the shell profile that non-interactive logins read", r["host"])
        for r in facts["ranks"] if r["files"] < need
    ]  # fmt: skip


def runs(facts: Facts) -> list[Finding]:
    """Runs that still hold their folders, or ended without a summary."""
    found = []
    for run in facts["runs"]:
        if run["pid"] is not None:
            found.append(Finding(WARN, "runs", f"{run['folder']} is in use by process {run['pid']}",
                                 "wait until it ends, or end it with kill -USR1, before another run shares its GPUs"))  # fmt: skip
        elif not run["finished"]:
            found.append(
                Finding(
                    WARN,
                    "runs",
                    f"{run['folder']} has no summary: its run was cut off",
                    "the same command resumes it; or remove the folder",
                )
            )
    return found


def daemons(facts: Facts) -> list[Finding]:
    """Launchers of other runs, or left over from them, which may hold GPUs."""
    found = []
    for host, h in facts["hosts"].items():
        for pid, name, seconds in h["daemons"]:
            found.append(Finding(WARN, "stale", f"{name} {pid} of this user runs since {_time(seconds)}: another run, or left over",
                                 f"if nobody needs it: kill {pid}", host))  # fmt: skip
    return found


def cache(facts: Facts) -> list[Finding]:
    """Whether compiled kernels can be kept, and what killed compilations left."""
    found = []
    for host, h in facts["hosts"].items():
        c = h["cache"]
        if c["trouble"]:
            found.append(Finding(STOP, "cache", c["trouble"], where=host))
        elif c["debris"]:
            found.append(
                Finding(
                    WARN,
                    "cache",
                    f"{c['debris']} unfinished compilations in {c['folder']}",
                    f"rm -r {c['folder']}: it is made anew",
                    host,
                )
            )
    return found


def smi(facts: Facts) -> list[Finding]:
    """What rocm-smi said where it was asked: once, before a run."""
    found, good = [], 0
    for host, h in facts["hosts"].items():
        if h["smi"] is None:
            continue
        if h["smi"]["trouble"]:
            found.append(
                Finding(
                    WARN,
                    "rocm-smi",
                    h["smi"]["trouble"],
                    "its controller may hang: reboot the host before a run, and don't poll it",
                    host,
                )
            )
        for gpu, values in h["smi"]["gpus"].items():
            unknown = sorted(what for what, text in values.items() if _number(text) is None)
            hot = {
                what: n
                for what, text in values.items()
                if "emperature" in what and (n := _number(text)) is not None and n > HOT
            }
            good += not (unknown or hot)
            if unknown:
                found.append(
                    Finding(
                        WARN,
                        "rocm-smi",
                        f"{gpu} does not know its {', '.join(unknown)}",
                        "look for amdgpu in dmesg; a card in state unknown needs a reboot",
                        host,
                    )
                )
            for what, number in hot.items():
                found.append(Finding(WARN, "rocm-smi", f"{gpu}: {what} {number:g}", "see to its fan", host))
    return found or ([Finding(OK, "rocm-smi", f"{good} GPUs answer")] if good else [])


CHECKS: tuple[Callable[[Facts], list[Finding]], ...] = (
    ranks, versions, hostfile, network, reach, devices, gpus, gfx, libraries, power, access, memory, shm, kernel_log, folder,
    clock, files, runs, daemons, cache, smi,
)  # fmt: skip


def examine(facts: Facts) -> list[Finding]:
    """What all checks find; what several hosts have in common is one finding."""
    places: dict[Finding, list[str]] = {}
    for check in CHECKS:
        for f in check(facts):
            where = places.setdefault(Finding(f.level, f.check, f.text, f.remedy), [])
            if f.where and f.where not in where:
                where.append(f.where)
    return [Finding(f.level, f.check, f.text, f.remedy, ", ".join(where)) for f, where in places.items()]


def _count(facts: Facts, host: str) -> int:
    """Ranks of a host: those that are here, or, alone, those that the hostfile has slots for."""
    slots = {_short(name): number for name, number in facts["hostfile"] or []} if facts["alone"] else {}
    return int(slots.get(_short(host), sum(r["host"] == host for r in facts["ranks"])))


def _everywhere(
    facts: Facts, check: str, why: Callable[[Any], str], level: str, remedy: str, good: str
) -> list[Finding]:
    bad = [Finding(level, check, text, remedy, host) for host, h in facts["hosts"].items() if (text := why(h))]
    return bad or [Finding(OK, check, good)]


def _skewed(host: str, skew: float) -> Finding:
    text = f"its clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} root's"
    return Finding(WARN, "clock", text, "run a time service there (systemd-timesyncd, chrony)", host)


def _gfx(facts: Facts, rank: dict[str, Any]) -> str:
    """The architecture of a rank's card: that of its host's first one, as rigs have one kind."""
    return next((gpu["gfx"] for gpu in facts["hosts"][rank["host"]]["gpus"] if gpu["kind"] == "rocm"), "")


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


def _hosts(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"all {len(names)} hosts" if len(names) > 4 else ", ".join(names)


def _list(word: str, numbers: Iterable[int] = (), number: int | None = None) -> str:
    if number is not None:
        return f"{number} {word}{'s' if number > 1 else ''}"
    each = list(numbers)
    return f"{word}{'s' if len(each) > 1 else ''} {', '.join(map(str, each[:8]))}{', ...' if len(each) > 8 else ''}"


def _time(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} minutes"
        if seconds < 7200
        else f"{seconds / 3600:.0f} hours"
    )


def _gb(size: float) -> str:
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
