"""Floor 2: what a doctor looks at, gathered as plain dicts (see `checks`): of a rank, of its host, of root's disk.

Nothing here wakes a GPU runtime but `open_device`, which a rank calls in its turn."""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import importlib.metadata
import ipaddress
import json
import os
import platform
import re
import resource
import shutil
import socket
import statistics
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import prng_mpi
from prng_mpi import comm as comms
from prng_mpi import devices, hostfile, kernels, memory, spawn
from prng_mpi.checks import VISIBLE
from prng_mpi.devices.cpu import cache_folder
from prng_mpi.errors import DeviceError, PrngError, UsageError
from prng_mpi.ledger import running_pid
from prng_mpi.profiles import PROFILES
from prng_mpi.recipes import recipe

# With this the devices are tried: small, known to all builds, and its known answers come from the real runtime.
RECIPE = "java.nextInt"
# A login starts Python as well, on what may be a slow host.
LOGIN_SECONDS, SMI_SECONDS = 10.0, 5.0
DAEMONS = ("prterun", "prted", "orted", "orterun", "mpirun", "hydra_pmi_proxy")
_RUNTIMES = re.compile(r"/(lib(?:amdhip64|hsa-runtime64|hiprtc|cuda|cudart|nvrtc)\.so[\w.]*)")
_SIOCGIFADDR, _SIOCGIFNETMASK, _SIOCGIFFLAGS = 0x8915, 0x891B, 0x8913
_IFF_UP = 1


def of_rank(comm: comms.Comm, kind: str, why: str) -> dict[str, Any]:
    """A rank before its device starts."""
    vendor = {name for p in PROFILES for name in p.environment} | set(VISIBLE.values()) | {"HIP_VISIBLE_DEVICES"}
    return {
        "rank": comm.rank, "host": comm.host, "versions": versions(), "python": sys.executable, "cupy": cupy(),
        "started_with": {name: os.environ[name] for name in sorted(vendor) if name in os.environ},
        "environment": {}, "libraries": loaded(), "kind": kind, "why": why, "device": "", "gpu": "", "trouble": "",
        "need": 0.0, "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0] % (1 << 63), "skew": None,
    }  # fmt: skip


def versions() -> dict[str, str]:
    """What must be the same on all ranks; of MPI only where it has started."""
    said = {"prng_mpi": prng_mpi.__version__, "Python": platform.python_version()}
    for name in ("numpy", "mpi4py"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            said[name] = importlib.metadata.version(name)
    if comms.launched() is not None:
        said["MPI"] = comms.library()
    texts = sorted(path for path in kernels.folder().rglob("*.h"))
    said["kernels"] = kernels.digest("".join(path.read_text() for path in texts))
    return said


def cupy() -> str:
    """Which CuPy this environment has, name and version; empty for none."""
    found = [d for d in importlib.metadata.distributions() if d.name.startswith("cupy")]
    return ", ".join(f"{d.name} {d.version}" for d in found)


def loaded() -> list[str]:
    """GPU runtimes that are in this process already."""
    with contextlib.suppress(OSError):
        return sorted(set(_RUNTIMES.findall(Path("/proc/self/maps").read_text())))
    return []


def open_device(rank: dict[str, Any], kind: str, local_rank: int) -> dict[str, Any]:
    """The same rank after its device was opened and has proved itself."""
    seats, rank = memory.Seats(), dict(rank)
    try:
        if kind in VISIBLE:
            from prng_mpi.devices.gpu import binding

            rank["environment"] = binding(kind, local_rank, os.environ)
            rank["gpu"] = rank["environment"][VISIBLE[kind]]
        device = seats.start(lambda: devices.open_device(kind, recipe(RECIPE), local_rank))
        rank["device"] = device.name
        device.close()
    except PrngError as e:
        rank["trouble"] = str(e)
    # Ranks under mpirun are in the memory already when it is looked at, those that a rank alone speaks for are not.
    return rank | {"need": seats.need if comms.launched() else memory.resident()}


# -- hosts ------------------------------------------------------------------------------------------------------------


def of_host(ask_smi: bool) -> dict[str, Any]:
    """This host, as one of its ranks sees it."""
    info, shm = memory.meminfo(), os.statvfs("/dev/shm") if Path("/dev/shm").exists() else None
    return {
        "interfaces": interfaces(), "available": memory.available(), "swap": info.get("SwapTotal", 0.0),
        "swap_free": info.get("SwapFree", 0.0), "shm": float(shm.f_bavail * shm.f_frsize) if shm else 0.0,
        "gpus": gpus(Path("/")), "denied": denied(Path("/dev")), "features": features(Path("/sys/module/amdgpu/parameters")),
        "kernel_log": memory.kernel_log(), "daemons": daemons(Path("/proc")), "segments": segments(Path("/dev/shm")),
        "cache": cache(), "smi": smi() if ask_smi else None,
    }  # fmt: skip


def interfaces() -> list[list[str]]:
    """[name, IPv4 address/bits] of each interface that is up and has one."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:

        def ask(what: int, name: str) -> bytes:
            return fcntl.ioctl(handle, what, struct.pack("256s", name.encode()[:15]))

        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):
                (flags,) = struct.unpack_from("H", ask(_SIOCGIFFLAGS, name), 16)
                address, mask = (socket.inet_ntoa(ask(what, name)[20:24]) for what in (_SIOCGIFADDR, _SIOCGIFNETMASK))
                if flags & _IFF_UP:
                    found.append([name, ipaddress.ip_interface(f"{address}/{mask}").with_prefixlen])
    return found


def gpus(top: Path) -> list[dict[str, str]]:
    """GPUs as the kernel's drivers know them, without their runtimes: kind, name, gfx (AMD)."""
    found = []
    for path in sorted(top.glob("proc/driver/nvidia/gpus/*/information")):
        fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        found.append({"kind": "cuda", "name": fields.get("Model", "unknown").strip(), "gfx": ""})
    for path in sorted(top.glob("sys/class/kfd/kfd/topology/nodes/*/properties")):
        with contextlib.suppress(OSError, ValueError):
            fields = dict(line.split(maxsplit=1) for line in path.read_text().splitlines())
            version = int(fields["gfx_target_version"])
            # A processor is a node too, without an architecture.
            if version:
                card = _card_name(top, int(fields["drm_render_minor"]))
                gfx = f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"
                found.append({"kind": "rocm", "name": card or f"AMD {gfx}", "gfx": gfx})
    return found


def _card_name(top: Path, minor: int) -> str:
    with contextlib.suppress(OSError):
        return (top / f"sys/class/drm/renderD{minor}/device/product_name").read_text().strip()
    return ""


def denied(dev: Path) -> list[str]:
    """Device files of GPUs that are there and that this user may not open."""
    files = [*dev.glob("kfd"), *(dev / "dri").glob("renderD*"), *dev.glob("nvidia[0-9]*"), *dev.glob("nvidiactl")]
    amd = (dev / "kfd").exists()
    wanted = [f for f in files if amd or not f.name.startswith("renderD")]
    return sorted(str(f) for f in wanted if not os.access(f, os.R_OK | os.W_OK))


def features(parameters: Path) -> int | None:
    """amdgpu's mask of power features; None without that driver."""
    with contextlib.suppress(OSError, ValueError):
        return int((parameters / "ppfeaturemask").read_text().strip(), 0) & 0xFFFFFFFF
    return None


def daemons(proc: Path) -> list[list[Any]]:
    """[pid, name, seconds it has run] of launchers and daemons of this user that did not start this process."""
    ours, pid = set(), os.getpid()
    while pid > 1:
        ours.add(pid)
        pid = next((parent for _, parent, _ in _stat(proc / str(pid))), 0)
    found = []
    now = float((proc / "uptime").read_text().split()[0])
    for entry in proc.iterdir():
        if entry.name.isdigit() and int(entry.name) not in ours:
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == os.getuid():
                    found += [
                        [int(entry.name), name, now - began] for name, _, began in _stat(entry) if name in DAEMONS
                    ]
    return sorted(found, key=lambda each: -each[2])


def _stat(process: Path) -> Iterator[tuple[str, int, float]]:
    """(name, parent, seconds since boot at which it began) of a process; nothing where it is gone."""
    with contextlib.suppress(OSError, ValueError, LookupError):
        head, _, rest = (process / "stat").read_text().rpartition(")")
        words = rest.split()
        yield head.partition("(")[2], int(words[1]), int(words[19]) / os.sysconf("SC_CLK_TCK")


def segments(shm: Path) -> list[float]:
    """[number, bytes] of shared memory that ended runs of this user have left."""
    mine = []
    for path in shm.glob("sm_segment.*"):
        with contextlib.suppress(OSError):
            stat = path.stat()
            # A younger one may belong to a run that is about to map it.
            if stat.st_uid == os.getuid() and time.time() - stat.st_mtime > 60:
                mine.append((str(path), stat.st_blocks * 512.0))
    mapped = set()
    for maps in Path("/proc").glob("[0-9]*/maps") if mine else []:
        with contextlib.suppress(OSError):
            mapped.update(re.findall(r"\S+sm_segment\.\S+", maps.read_text()))
    left = [size for path, size in mine if path not in mapped]
    return [len(left), sum(left)]


def cache() -> dict[str, Any]:
    """Where compiled kernels are kept, and how many compilations there have no end for an hour."""
    try:
        place = cache_folder()
    except DeviceError as e:
        return {"folder": "", "debris": 0, "trouble": str(e)}
    old = [
        f for f in place.iterdir() if (f.is_dir() or f.suffix[1:].isdigit()) and f.stat().st_mtime < time.time() - 3600
    ]
    return {"folder": str(place), "debris": len(old), "trouble": ""}


def smi(program: str = "rocm-smi", seconds: float = SMI_SECONDS) -> dict[str, Any]:
    """What rocm-smi says of temperatures and use, asked once: {gpus: {name: {what: text}}, trouble}."""
    if shutil.which(program) is None:
        return {"gpus": {}, "trouble": f"there is no {program}"}
    done = spawn.run([program, "--showtemp", "--showuse", "--json"], seconds)
    if done.timed_out:
        return {"gpus": {}, "trouble": f"{program} gave no answer in {seconds:g} s"}
    return parse_smi(done.output)


def parse_smi(text: str) -> dict[str, Any]:
    """The cards of what `rocm-smi --json` printed, among its warnings."""
    for line in text.splitlines():
        with contextlib.suppress(ValueError, AttributeError):
            cards = {name: values for name, values in json.loads(line).items() if name.startswith("card")}
            return {
                "gpus": {name: {k: str(v) for k, v in values.items()} for name, values in cards.items()},
                "trouble": "",
            }
    last = (text.strip().splitlines() or ["nothing"])[-1][:120]
    return {"gpus": {}, "trouble": f"rocm-smi says what nobody can read: {last}"}


# -- root -------------------------------------------------------------------------------------------------------------


def read_environments(path: Path) -> list[list[str]]:
    """[pattern, interpreter] of a file that names a Python for each kind of host. Raises UsageError."""
    try:
        lines = [line.split("#")[0].split() for line in path.read_text().splitlines()]
    except (OSError, ValueError) as e:
        raise UsageError(f"--environments {path} can't be read ({e})") from e
    for words in filter(None, lines):
        if len(words) != 2:
            raise UsageError(f"{path}: write lines of PATTERN INTERPRETER, not: {' '.join(words)}")
    return [words for words in lines if words]


def python_of(host: str, environments: Sequence[Sequence[str]]) -> str:
    """The Python of a host, as launch/env.sh chooses it; this one where no pattern fits."""
    name = host.partition(".")[0]
    return next((python for pattern, python in environments if fnmatch.fnmatchcase(name, pattern)), sys.executable)


def reach(
    hosts: Iterable[str],
    environ: Mapping[str, str],
    seconds: float = LOGIN_SECONDS,
    environments: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:
    """What each host answers to a login without questions, as mpirun makes it, and to its Python at its path."""
    code = "import prng_mpi,time;print(chr(64),prng_mpi.__version__,time.time())"
    answers = {}
    for host in hosts:
        if hostfile.is_here(host):
            continue
        began = time.time()
        done = hostfile.ask(host, f"{python_of(host, environments)} -c '{code}'", environ, seconds)
        version, when = next(
            (line.split()[1:3] for line in done.output.splitlines() if line.startswith("@ ")), ("", "0")
        )
        # It looked at its clock after the login and the start of Python, which take most of the time.
        late = max(began - float(when), float(when) - time.time(), 0.0) if version else 0.0
        skew = late if float(when) > began else -late
        answers[host] = {"status": done.status, "said": done.output, "version": version, "skew": skew}
    return answers


def of_folder(path: Path) -> dict[str, Any]:
    """The disk under a folder of results, which is made where it is missing: bytes free, seconds of an fsync, the median of five."""
    said = {"path": str(path), "free": 0.0, "fsync": 0.0, "trouble": ""}
    probe = path / f".doctor-{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        times = []
        with open(probe, "wb", buffering=0) as file:
            for _ in range(5):
                file.write(bytes(4096))
                began = time.perf_counter()
                os.fsync(file.fileno())
                times.append(time.perf_counter() - began)
        disk = os.statvfs(path)
        return said | {"free": float(disk.f_bavail * disk.f_frsize), "fsync": statistics.median(times)}
    except OSError as e:
        return said | {"trouble": e.strerror or str(e)}
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def runs(top: Path) -> list[dict[str, Any]]:
    """The folders of runs under a folder, itself included: who holds each, and whether it has a summary."""
    found = []
    for path in sorted({*top.glob("ledger.sqlite"), *top.glob("*/ledger.sqlite")}):
        finished = (path.parent / "summary.json").exists()
        found.append({"folder": str(path.parent), "pid": running_pid(path), "finished": finished})
    return found
