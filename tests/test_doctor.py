"""The doctor names what is wrong, with a remedy: injected facts, injected misconfigurations of real runs, real readings."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prng_mpi import checks, facts
from prng_mpi.checks import OK, STOP, WARN, Facts, Finding, examine
from prng_mpi.errors import UsageError
from support import Ended, Run, run_sieve, uniform, write_draws

CLUSTER = {"zeus": ("cuda", 2, "NVIDIA GeForce RTX 3080 Ti", ""), "rig1": ("rocm", 8, "AMD Radeon RX 6600", "gfx1032"),
           "rig2": ("rocm", 8, "AMD Radeon RX 6600", "gfx1032"), "rig3": ("rocm", 8, "AMD Radeon RX 6600", "gfx1032")}  # fmt: skip
VERSIONS = {
    "prng_mpi": "0.1.0",
    "Python": "3.11.7",
    "numpy": "2.4.6",
    "mpi4py": "4.1.2",
    "MPI": "Open MPI v5.0.11",
    "kernels": "ab12",
}


def rank_of(number: int, host: str, kind: str, name: str, gpu: int) -> dict[str, Any]:
    environment = {checks.OVERRIDE: "10.3.0"} if kind == "rocm" else {}
    return {
        "rank": number, "host": host, "versions": dict(VERSIONS), "python": f"/opt/{kind}/bin/python",
        "cupy": {"cuda": "cupy-cuda13x 14.2.0", "rocm": "cupy-rocm-7-0 14.2.0"}[kind], "started_with": dict(environment),
        "environment": {**environment, checks.VISIBLE[kind]: str(gpu)}, "libraries": [], "kind": kind, "why": "auto",
        "device": name, "gpu": str(gpu), "trouble": "", "need": 0.5e9, "files": 4096, "skew": 0.001,
    }  # fmt: skip


def host_of(address: str, kind: str, count: int, name: str, gfx: str) -> dict[str, Any]:
    return {
        "interfaces": [["lo", "127.0.0.1/8"], ["eth0", address]], "available": 6.1e9, "swap": 8e9, "swap_free": 8e9, "shm": 3e9,
        "gpus": [{"kind": kind, "name": name, "gfx": gfx} for _ in range(count)], "denied": [],
        "features": 0xFFFF7FFF if kind == "rocm" else None, "kernel_log": "/dev/kmsg", "daemons": [], "segments": [0, 0.0],
        "cache": {"folder": "/home/u/.cache/prng_mpi", "debris": 0, "trouble": ""}, "smi": None,
    }  # fmt: skip


def healthy() -> Facts:
    """The reference cluster, with nothing wrong."""
    ranks = [
        rank_of(0, host, kind, name, gpu)
        for host, (kind, count, name, _) in CLUSTER.items()
        for gpu in range(count)
    ]  # fmt: skip
    return {
        "ranks": [r | {"rank": number} for number, r in enumerate(ranks)], "size": 26, "alone": False,
        "hosts": {h: host_of(f"10.88.0.{i + 1}/24", *c) for i, (h, c) in enumerate(CLUSTER.items())},
        "hostfile": [[host, count] for host, (_, count, _, _) in CLUSTER.items()], "reach": None, "reserve": 1.5e9,
        "folder": {"path": "results", "free": 50e9, "fsync": 0.004, "trouble": ""}, "runs": [],
    }  # fmt: skip


def test_a_healthy_cluster_has_no_finding_and_is_described() -> None:
    found = examine(healthy())
    assert {f.level for f in found} == {OK}, [str(f) for f in found]
    lines = {f.check: str(f) for f in found}
    assert lines["versions"].startswith("ok    versions   26 ranks alike: prng_mpi 0.1.0")
    # Hosts of another kind have another environment, of the same versions.
    assert lines["pythons"].endswith(
        "/opt/cuda/bin/python with cupy-cuda13x 14.2.0 on zeus; /opt/rocm/bin/python with cupy-rocm-7-0 14.2.0 on rig1, rig2, rig3"
    )
    assert lines["network"].endswith(
        "10.88.0.0/24 on zeus, rig1, rig2, rig3: mpirun --mca btl_tcp_if_include 10.88.0.0/24 --prtemca prte_if_include 10.88.0.0/24"
    )
    assert lines["hostfile"].endswith("zeus 2 of 2, rig1 8 of 8, rig2 8 of 8, rig3 8 of 8 slots used")
    assert "2 x NVIDIA GeForce RTX 3080 Ti" in lines["gpus"] and "24 x AMD Radeon RX 6600" in lines["gpus"]


def put(*path: Any) -> Callable[[Facts], None]:
    """An injection: facts[path[0]][path[1]]... = the last."""

    def inject(f: Facts) -> None:
        at: Any = f
        for key in path[:-2]:
            at = at[key]
        at[path[-2]] = path[-1]

    return inject


def each(*injections: Callable[[Facts], None]) -> Callable[[Facts], None]:
    def inject(f: Facts) -> None:
        for one in injections:
            one(f)

    return inject


def docker(f: Facts) -> None:
    for host in f["hosts"].values():
        host["interfaces"].append(["docker0", "172.17.0.1/16"])


def lose(f: Facts) -> None:
    del f["ranks"][7]


def alone(f: Facts) -> None:
    """The doctor on zeus, without mpirun: hosts are only asked."""
    good = {"status": 0, "said": "@ 0.1.0 1", "version": "0.1.0", "skew": 0.0}
    f |= {"alone": True, "size": 1, "ranks": f["ranks"][:1], "hosts": {"zeus": f["hosts"]["zeus"]}}
    f["reach"] = {rig: dict(good) for rig in ("rig1", "rig2", "rig3")}


def answer(status: int, said: str, version: str = "", skew: float = 0.0) -> Callable[[Facts], None]:
    return each(alone, lambda f: f["reach"]["rig2"].update(status=status, said=said, version=version, skew=skew))


SMI = {"card0": {"Temperature (Sensor edge) (C)": "45.0", "GPU use (%)": "0"}}
# What is wrong: how it is injected, how bad it is, who says so, of which host, what, and the remedy.
WRONG: dict[str, tuple[Callable[[Facts], None], str, str, str, str, str]] = {
    # The ten of the issue.
    "another release on a rank": (put("ranks", 5, "versions", "prng_mpi", "0.0.9"), STOP, "versions", "rig1", "prng_mpi is 0.0.9, elsewhere 0.1.0", "same release"),
    "another kernel text": (put("ranks", 25, "versions", "kernels", "ff00"), STOP, "versions", "rig3", "kernels is ff00, elsewhere ab12", "same release"),
    "more ranks than slots": (put("hostfile", 1, 1, 4), STOP, "hostfile", "rig1", "8 ranks, but slots=4", "lower -np"),
    "docker's interface": (docker, WARN, "network", "zeus, rig1, rig2, rig3", "docker0", "--mca btl_tcp_if_include 10.88.0.0/24 --prtemca prte_if_include 10.88.0.0/24"),
    "two ranks on one GPU": (put("ranks", 3, "gpu", "0"), STOP, "devices", "rig1", "2 ranks share GPU 0", "ROCR_VISIBLE_DEVICES"),
    "no gfx override": (put("ranks", 9, "environment", {}), STOP, "gfx", "rig1", "gfx1032 needs HSA_OVERRIDE_GFX_VERSION", "export HSA_OVERRIDE_GFX_VERSION=10.3.0"),
    "GFXOFF": (put("hosts", "rig2", "features", 0xFFFFBFFF), WARN, "gfxoff", "rig2", "GFXOFF is on", "amdgpu.ppfeaturemask=0xffff3fff"),
    "too little memory": (put("hosts", "rig3", "available", 5.1e9), WARN, "memory", "rig3", "7 of 8 ranks would compute", "slots=7"),
    "a small /dev/shm": (put("hosts", "rig1", "shm", 64e6), WARN, "shm", "rig1", "64 MB free for 8 ranks", "--shm-size"),
    "a clock that is off": (each(*(put("ranks", i, "skew", 30.0) for i in range(10, 18))), WARN, "clock", "rig2", "30.0 s ahead", "chrony"),
    # And more.
    "another numpy": (put("ranks", 0, "versions", "numpy", "1.26"), WARN, "versions", "zeus", "numpy is 1.26", "same release"),
    "a host of another name": (put("hostfile", 2, 0, "rig-2"), STOP, "hostfile", "rig2", "on a host that is not in it", "name it there"),
    "empty slots": (put("hostfile", 3, 1, 9), WARN, "hostfile", "rig3", "8 ranks, but slots=9", "raise -np"),
    "no subnet in common": (put("hosts", "rig1", "interfaces", [["eth0", "10.99.0.2/24"]]), STOP, "network", "", "share no subnet", "addresses in one"),
    "a rank that never reports": (lose, STOP, "ranks", "", "rank 7 never reported", "see network"),
    "a device that hangs": (put("ranks", 4, "device", ""), STOP, "ranks", "rig1", "rank 4: its rocm device did not start in time", "dmesg"),
    "a device that fails": (each(put("ranks", 4, "device", ""), put("ranks", 4, "trouble", "hipErrorNoDevice")), STOP, "devices", "rig1", "rank 4 has none: hipErrorNoDevice", ""),
    "a GPU that fell off the bus": (lambda f: f["hosts"]["rig2"]["gpus"].pop(), STOP, "gpus", "rig2", "8 ranks for 7 GPUs", "slots=7"),
    "an idle GPU": (lambda f: f["hosts"]["rig2"]["gpus"].append(f["hosts"]["rig2"]["gpus"][0]), WARN, "gpus", "rig2", "8 ranks for 9 GPUs", "slots=9"),
    "a GPU of no profile": (put("hosts", "zeus", "gpus", [{"kind": "cuda", "name": "Tesla K80", "gfx": ""}] * 2), WARN, "gpus", "zeus", "no profile for Tesla K80", "bench"),
    "ranks on the CPU of a GPU host": (each(*(put("ranks", i, "kind", "cpu") for i in (0, 1))), WARN, "gpus", "zeus", "compute on the CPU (auto)", "--require-gpu"),
    "an override of another generation": (put("ranks", 9, "environment", {checks.OVERRIDE: "11.0.0"}), STOP, "gfx", "rig1", "runs gfx1032 as another generation", "set it to 10.3.0"),
    "an override that came too late": (each(put("ranks", 9, "started_with", {"ROCR_VISIBLE_DEVICES": "7"}), put("ranks", 9, "libraries", ["libamdhip64.so.7"])), STOP, "gfx", "rig1", "libamdhip64.so.7 was loaded before HSA_OVERRIDE", "before Python starts"),
    "a runtime that was there first": (put("ranks", 1, "libraries", ["libcuda.so.1"]), STOP, "libraries", "zeus", "libcuda.so.1 was loaded before CUDA_VISIBLE_DEVICES", "LD_PRELOAD"),
    "the render group": (put("hosts", "rig3", "denied", ["/dev/kfd"]), STOP, "access", "rig3", "/dev/kfd", "render,video"),
    "swapping": (put("hosts", "rig1", "swap_free", 1e9), WARN, "memory", "rig1", "7 GB of 8 GB swap in use", "end what"),
    "left shared memory": (put("hosts", "rig1", "segments", [3, 48e6]), WARN, "shm", "rig1", "3 segments", "rm /dev/shm"),
    "a kernel log that is closed": (put("hosts", "rig1", "kernel_log", ""), WARN, "kernel-log", "rig1", "OOM killer", "systemd-journal"),
    "a folder that is read-only": (put("folder", "trouble", "Read-only file system"), STOP, "disk", "", "Read-only", "another --output-dir"),
    "a full disk": (put("folder", "free", 3e8), WARN, "disk", "", "300 MB free", "free some"),
    "a slow disk": (put("folder", "fsync", 0.9), WARN, "disk", "", "900 ms", "local disk"),
    "few open files": (put("ranks", 2, "files", 256), WARN, "files", "rig1", "may open 256 files", "ulimit -n 464"),
    "a run that was cut off": (put("runs", [{"folder": "results/a", "pid": None, "finished": False}]), WARN, "runs", "", "results/a has no summary", "resumes"),
    "a run that runs": (put("runs", [{"folder": "results/a", "pid": 77, "finished": False}]), WARN, "runs", "", "in use by process 77", "wait"),
    "a daemon left over": (put("hosts", "rig2", "daemons", [[99, "prted", 7200.0]]), WARN, "stale", "rig2", "prted 99 since 2 hours of this user", "kill 99"),
    "compilations cut off": (put("hosts", "rig2", "cache", {"folder": "/c", "debris": 2, "trouble": ""}), WARN, "stale", "rig2", "2 unfinished compilations in /c", "rm -r /c"),
    "no folder for kernels": (put("hosts", "rig2", "cache", {"folder": "", "debris": 0, "trouble": "no folder: set XDG_CACHE_HOME"}), STOP, "stale", "rig2", "no folder", ""),
    "a card in state unknown": (put("hosts", "rig1", "smi", {"trouble": "", "gpus": SMI | {"card3": {"GPU use (%)": "N/A"}}}), WARN, "rocm-smi", "rig1", "card3 does not know its GPU use", "reboot"),
    "a hot card": (put("hosts", "rig1", "smi", {"trouble": "", "gpus": {"card0": {"Temperature (Sensor edge) (C)": "99.0"}}}), WARN, "rocm-smi", "rig1", "card0: Temperature (Sensor edge) (C) 99", "fan"),
    "a controller that hangs": (put("hosts", "rig1", "smi", {"trouble": "rocm-smi gave no answer in 5 s", "gpus": {}}), WARN, "rocm-smi", "rig1", "no answer", "don't poll"),
    "two environments on a host": (put("ranks", 7, "python", "/usr/bin/python"), WARN, "pythons", "rig1", "/opt/rocm/bin/python and /usr/bin/python", "ENVIRONMENTS"),
    "a login that asks": (answer(255, "x\nPermission denied (publickey,password)."), STOP, "reach", "rig2", "no non-interactive login (Permission denied", "ssh-copy-id rig2"),
    "a host that is down": (answer(-9, ""), STOP, "reach", "rig2", "no answer in time", "ssh rig2 true"),
    "no Python at its path": (answer(127, "bash: /x/python: No such file"), STOP, "reach", "rig2", "this Python is not at its path", "same path"),
    "no prng_mpi in it": (answer(1, "ModuleNotFoundError: No module named 'prng_mpi'"), STOP, "reach", "rig2", "can't be imported", "install it"),
    "no ssh": (answer(127, "there is no program ssh"), STOP, "reach", "rig2", "there is no program ssh", "plm_ssh_agent"),
    "an old release at the other end": (answer(0, "", "0.0.1"), STOP, "reach", "rig2", "prng_mpi is 0.0.1, here 0.1.0", "same release"),
    "a clock that is off at the other end": (answer(0, "", "0.1.0", -40.0), WARN, "reach", "rig2", "40.0 s behind", "chrony"),
    "fewer slots' memory than the hostfile wants": (each(alone, put("hosts", "zeus", "available", 2.1e9)), WARN, "memory", "zeus", "1 of 2 ranks", "slots=1"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_each_misconfiguration_is_named_with_its_remedy(what: str) -> None:
    inject, level, check, where, text, remedy = WRONG[what]
    wrong = healthy()
    inject(wrong)
    found, *others = [f for f in examine(wrong) if f.level != OK]
    # Of a rank that is not there its slot and its GPU are seen empty as well.
    assert [f.check for f in others] == (["hostfile", "gpus"] if "never reports" in what else [])
    assert (found.level, found.check, found.where) == (level, check, where)
    assert (
        text in found.text
        and remedy in found.remedy
        and (found.remedy or "set" in text or "none" in text or "no folder" in text)
    )
    assert "\n" not in str(found) and str(found).startswith(f"{level:<5} {check}")


def test_ten_at_once_are_ten_findings() -> None:
    wrong = healthy()
    for name in list(WRONG)[:10]:
        WRONG[name][0](wrong)
    # The override of rank 9 and the second GPU of rank 3 are on the host whose slots are too few as well.
    assert len([f for f in examine(wrong) if f.level != OK]) == 10


def test_hosts_that_share_a_fault_are_one_line() -> None:
    wrong = healthy()
    for host in ("rig1", "rig2", "rig3"):
        wrong["hosts"][host]["features"] = 0xFFFFFFFF
    (found,) = [f for f in examine(wrong) if f.check == "gfxoff"]
    assert found.where == "rig1, rig2, rig3"


def test_alone_the_hostfile_speaks_for_the_ranks_to_come() -> None:
    f = healthy()
    alone(f)
    found = examine(f)
    assert {one.level for one in found} == {OK}
    assert "rig1, rig2, rig3 by non-interactive login" in next(str(one) for one in found if one.check == "reach")
    f["hostfile"][0][1] = 3
    assert [one.text for one in examine(f) if one.level == STOP] == ["3 ranks for 2 GPUs"]
    # Without one, a rank on a host of many GPUs is no finding.
    f["hostfile"], f["reach"] = None, None
    assert {one.level for one in examine(f)} == {OK}


# -- readings -----------------------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_gpus_are_read_from_the_kernel(tmp_path: Path) -> None:
    assert facts.gpus(tmp_path) == []
    write(
        tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0/information",
        "Model: \t\t NVIDIA GeForce RTX 3080 Ti\nIRQ:   \t\t 12\n",
    )
    nodes = tmp_path / "sys/class/kfd/kfd/topology/nodes"
    write(nodes / "0/properties", "cpu_cores_count 4\ngfx_target_version 0\n")
    write(nodes / "1/properties", "simd_count 56\ngfx_target_version 100302\ndrm_render_minor 128\n")
    write(nodes / "2/properties", "simd_count 56\ngfx_target_version 90010\ndrm_render_minor 129\n")
    write(tmp_path / "sys/class/drm/renderD128/device/product_name", "Radeon RX 6600\n")
    assert facts.gpus(tmp_path) == [
        {"kind": "cuda", "name": "NVIDIA GeForce RTX 3080 Ti", "gfx": ""},
        {"kind": "rocm", "name": "Radeon RX 6600", "gfx": "gfx1032"},
        {"kind": "rocm", "name": "AMD gfx90a", "gfx": "gfx90a"},
    ]


@pytest.mark.parametrize(
    ("gfx", "target", "override"),
    [("gfx1032", "10.3.2", "10.3.0"), ("gfx1030", "10.3.0", ""), ("gfx1102", "11.0.2", "11.0.0"), ("gfx90a", "9.0.10", ""), ("", "", "")],
)  # fmt: skip
def test_architectures(gfx: str, target: str, override: str) -> None:
    assert (checks._target(gfx), checks._override(gfx)) == (target, override)


def test_power_features(tmp_path: Path) -> None:
    assert facts.features(tmp_path) is None
    write(tmp_path / "ppfeaturemask", "0xfff7bfff\n")
    assert facts.features(tmp_path) == 0xFFF7BFFF
    write(tmp_path / "ppfeaturemask", "-1\n")
    assert facts.features(tmp_path) == 0xFFFFFFFF


def test_what_rocm_smi_prints() -> None:
    text = 'WARNING: AMD GPU device(s) is/are in a low-power state.\n{"card0": {"GPU use (%)": 7}, "card1": {"GPU use (%)": "unknown"}, "system": {}}\n'
    assert facts.parse_smi(text) == {
        "gpus": {"card0": {"GPU use (%)": "7"}, "card1": {"GPU use (%)": "unknown"}},
        "trouble": "",
    }
    assert (
        "nobody can read: ERROR: Expected integer"
        in facts.parse_smi("x\nERROR: Expected integer value from monitor")["trouble"]
    )
    assert facts.parse_smi("")["gpus"] == {}


def test_rocm_smi_is_waited_for_a_little_only(tmp_path: Path) -> None:
    program = write(tmp_path / "smi", "#!/bin/sh\nsleep 30\n")
    program.chmod(0o755)
    began = time.monotonic()
    assert "no answer in 0.2 s" in facts.smi(str(program), 0.2)["trouble"] and time.monotonic() - began < 10
    assert facts.smi("/nowhere/smi")["trouble"] == "there is no /nowhere/smi"


def test_environments(tmp_path: Path) -> None:
    path = write(
        tmp_path / "environments", "# kinds\nzeus /opt/cuda/bin/python\nrig* /opt/rocm/bin/python # all rigs\n\n"
    )
    kinds = facts.read_environments(path)
    chosen = {host: facts.python_of(host, kinds) for host in ("zeus", "rig2.local", "other")}
    assert chosen == {"zeus": "/opt/cuda/bin/python", "rig2.local": "/opt/rocm/bin/python", "other": sys.executable}
    with pytest.raises(UsageError, match="PATTERN INTERPRETER, not: zeus"):
        facts.read_environments(write(tmp_path / "bad", "zeus\n"))
    with pytest.raises(UsageError, match="can't be read"):
        facts.read_environments(tmp_path / "none")


def test_hosts_are_asked_the_way_mpirun_does(tmp_path: Path) -> None:
    agent = write(
        tmp_path / "agent",
        '#!/bin/sh\ncase $1 in down) exit 255;; bare) exit 127;; hung) sleep 9;; *) shift; exec sh -c "$*";; esac\n',
    )
    agent.chmod(0o755)
    environ = {"PRTE_MCA_plm_ssh_agent": str(agent)}
    said = facts.reach(["localhost", "good", "down", "bare", "hung"], environ, 2.0)
    assert {host: r["status"] for host, r in said.items()} == {"good": 0, "down": 255, "bare": 127, "hung": -15}
    assert said["good"]["version"] == "0.1.0" and abs(said["good"]["skew"]) < 0.5
    kinds = [["go*", "/nowhere/python"]]
    assert "/nowhere/python: not found" in facts.reach(["good"], environ, 1.0, kinds)["good"]["said"]
    assert (
        facts.reach(["good"], {"PRTE_MCA_plm_ssh_agent": "/nowhere/ssh"})["good"]["said"]
        == "there is no program /nowhere/ssh"
    )


def test_the_disk_is_tried(tmp_path: Path) -> None:
    said = facts.of_folder(tmp_path / "new")
    assert (
        said["free"] > 0
        and 0 < said["fsync"] < 5
        and said["trouble"] == ""
        and list((tmp_path / "new").iterdir()) == []
    )
    write(tmp_path / "file", "")
    assert facts.of_folder(tmp_path / "file" / "folder")["trouble"] == "Not a directory"


def test_runs_in_a_folder(tmp_path: Path) -> None:
    argv = ["--draws", write_draws(tmp_path, uniform(1, 30, 1000)), "--recipe", "xorshift32.mod", "--seed-end", 1000]
    for name in ("whole", "cut"):
        run_sieve([*argv, "--output-dir", tmp_path / "runs" / name])
    (tmp_path / "runs" / "cut" / "summary.json").unlink()
    assert [(Path(r["folder"]).name, r["pid"], r["finished"]) for r in facts.runs(tmp_path / "runs")] == [
        ("cut", None, False),
        ("whole", None, True),
    ]


def test_daemons_of_others_are_seen_and_their_own_are_not(tmp_path: Path) -> None:
    program = tmp_path / "prted"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "60"]) as left:
        try:
            assert left.pid in [pid for pid, name, _ in facts.daemons(Path("/proc")) if name == "prted"]
        finally:
            left.kill()


def test_this_host_can_be_read_whole() -> None:
    host = facts.of_host(False)
    assert set(host) == set(host_of("10.0.0.1/8", "cuda", 1, "", ""))
    assert ["lo", "127.0.0.1/8"] in host["interfaces"] and host["available"] > 0
    json.dumps(host)


# -- runs of it ---------------------------------------------------------------------------------------------------------


class Doctor(Run):
    STEP = "doctor"


def doctor(argv: list[object], np: int | None = None, patch: str = "", **env: str) -> Ended:
    return Doctor(["--device", "cpu", *argv], np, patch, **env).wait(90)


def findings(ended: Ended) -> dict[str, list[Finding]]:
    said = json.loads(ended.stdout)
    found: dict[str, list[Finding]] = {}
    for fields in said["findings"]:
        found.setdefault(fields["check"], []).append(Finding(**fields))
    assert said["exit_code"] == ended.code
    return found


def test_alone(tmp_path: Path) -> None:
    ended = doctor(["--output-dir", tmp_path])
    assert ended.code in (0, 6), ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    assert "0 to mend" in lines[-1] and any(
        line.startswith("ok    versions   1 rank alike: prng_mpi 0.1.0") for line in lines
    )
    assert any("known answers reproduced" in line for line in lines)


def test_two_ranks(tmp_path: Path) -> None:
    ended = doctor(["--output-dir", tmp_path, "--json"], 2)
    found = findings(ended)
    assert ended.code in (0, 6), ended.stdout + ended.stderr
    assert "2 ranks alike" in found["versions"][0].text and "MPI Open MPI" in found["versions"][0].text
    assert found["clock"][0].level == OK and found["devices"][0].text.startswith("2 x ")
    skews = [r["skew"] for r in json.loads(ended.stdout)["facts"]["ranks"]]
    assert skews[0] is None and abs(skews[1]) < 0.2


# Ten misconfigurations of two real ranks, each where the doctor would meet it.
INJECTED = """
import resource, time
from pathlib import Path
from prng_mpi import facts, memory
from prng_mpi.comm import launched
rank = launched()[0]
honest_versions, honest_interfaces, honest_device, now = facts.versions, facts.interfaces, facts.open_device, time.time
facts.versions = lambda: honest_versions() | ({"kernels": "0123"} if rank else {})
facts.interfaces = lambda: [*honest_interfaces(), ["docker0", "172.17.0.1/16"]]
facts.open_device = lambda *a: honest_device(*a) | {"gpu": "0"}
time.time = lambda: now() + 7 * rank
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
memory.kernel_log = lambda: ""
memory.available = lambda: 1.0e9
facts.denied = lambda dev: ["/dev/kfd"]
facts.cache = lambda: {"folder": "/c", "debris": 3, "trouble": ""}
facts.gpus = lambda top: [{"kind": "rocm", "name": "RX 6600", "gfx": "gfx1032"}]
facts.features = lambda parameters: 0xffffffff
"""


def test_ten_injected_into_a_real_run_are_all_named(tmp_path: Path) -> None:
    hostfile = write(tmp_path / "hostfile", "elsewhere slots=2\n")
    ended = doctor(["--output-dir", tmp_path, "--hostfile", hostfile, "--json"], 2, INJECTED)
    bad = {(f.check, f.level) for each in findings(ended).values() for f in each if f.level != OK}
    expected = {("versions", STOP), ("network", WARN), ("devices", STOP), ("clock", WARN), ("files", WARN), ("kernel-log", WARN),
                ("memory", WARN), ("access", STOP), ("stale", WARN), ("gfxoff", WARN), ("hostfile", STOP), ("gpus", WARN)}  # fmt: skip
    assert expected <= bad and ended.code == 2, ended.stderr
    assert all(f.remedy for each in findings(ended).values() for f in each if f.level != OK)


def test_a_rank_that_hangs_in_its_device_is_named_and_ends_with_the_job(tmp_path: Path) -> None:
    patch = (
        "import time\nfrom prng_mpi import facts\nfrom prng_mpi.comm import launched\nhonest = facts.open_device\n"
        "facts.open_device = lambda *a: time.sleep(99) if launched()[0] else honest(*a)\n"
        "gather = doctor._gather\ndoctor._gather = lambda *a: gather(*a[:3], 2.0)"
    )
    ended = doctor(["--output-dir", tmp_path, "--startup-timeout", 1], 2, patch)
    assert ended.code == 2 and "rank 1: its cpu device did not start in time" in ended.stdout


def test_what_it_is_asked_wrongly(tmp_path: Path) -> None:
    ended = doctor(["--hostfile", tmp_path / "none"])
    assert ended.code == 2 and "can't be read" in ended.complaints[0]
    ended = doctor(["--output-dir", tmp_path, "--require-gpu"])
    assert ended.code == 2 and "--require-gpu" in ended.stdout
