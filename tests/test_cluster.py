"""The sieve on a cluster of simulated hosts with daemons of their own, and the supervisor over hosts that go.

docs/failures.md tells what is simulated and what is not. Needs root and network namespaces; else skipped, with the reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import simulated
from prng_mpi.ledger import Ledger
from simulated import Cluster, launcher, supervised
from support import (
    INJECT,
    MARK,
    TOP,
    Ended,
    Run,
    assert_same,
    done_chunks,
    environment,
    events,
    run_sieve,
    searching,
    small,
    survivors,
    until,
    with_environment,
)

pytestmark = pytest.mark.skipif(bool(simulated.missing()), reason=simulated.missing() or "-")
# A second or two for four ranks, so that there is time for things to happen.
SLOWLY = INJECT + "def wrong(calls): time.sleep(0.05)\n"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as hosts:
        yield hosts


@pytest.fixture
def hostfile(tmp_path: Path) -> Path:
    """One rank on root's host and one or two on the others."""
    path = tmp_path / "hostfile"
    path.write_text("# a small cluster\nzeus slots=1\nrig1 slots=2\nrig2 slots=1\n")
    return path


def slowly(tmp_path: Path) -> list[object]:
    return small(tmp_path, "run", "--chunk-seconds", 0.1, "--lease-margin", 5)


def start(argv: list[object], command: list[str], patch: str = SLOWLY) -> Run:
    return Run(argv, patch=patch, launcher=command, **simulated.ENVIRONMENT)


def hosts_of(folder: Path) -> Counter[str]:
    return Counter(chunk.host for chunk in done_chunks(folder))


def test_26_ranks_on_the_shipped_hostfile(cluster: Cluster, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    command = cluster.on("zeus", *launcher(TOP / "hostfile", 26))
    argv = small(tmp_path, "run", "--chunk-seconds", 0.02, "--lease-margin", 60)
    # Chunks that take long enough for other hosts to be ready before the first has done them all.
    patch = INJECT + "def wrong(calls): time.sleep(0.2)\n"
    ended = run_sieve(argv, launcher=command, patch=patch, timeout=180, **simulated.ENVIRONMENT)
    assert_same(ended, tmp_path / "run", calm)
    ready = Counter(event["host"] for event in events(tmp_path / "run") if event["kind"] == "device_ready")
    # Ranks of a host start one after another, and a search this small may end before the last of them.
    shipped = {"zeus": 2, "rig1": 8, "rig2": 8, "rig3": 8}
    assert set(ready) == set(shipped) and all(ready[host] <= slots for host, slots in shipped.items())
    assert len(hosts_of(tmp_path / "run")) > 1
    assert ended.complaints == []


def test_nothing_stays_behind_however_it_ends() -> None:
    before = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.count("\n")
    process = subprocess.Popen([simulated.SCRIPT, "sleep", "1234.5"])
    sleeper = until(lambda: commands("sleep\0001234.5\0"), 10, "the cluster does not start")
    process.kill()
    process.wait()
    until(lambda: not commands("sleep\0001234.5\0"), 10, "a simulated host's process lives on")
    assert not list(Path("/run/netns").glob("rig*")), sleeper
    after = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.count("\n")
    assert after == before


def commands(line: str) -> list[int]:
    """Processes with this command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_text() == line:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_rank_killed_on_another_host(cluster: Cluster, hostfile: Path, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    with start(slowly(tmp_path), cluster.on("zeus", *launcher(hostfile, 4))) as run:
        until(lambda: searching(tmp_path / "run"), 40, "no search")
        os.kill(simulated.rank_process(run.mark, 3), signal.SIGKILL)
        ended = run.wait(60)
    assert_same(ended, tmp_path / "run", calm)
    (lost,) = ended.summary["lost"]
    assert lost.startswith("rank 3 on rig2 (")


def test_exception_on_another_host_with_root_there_too(cluster: Cluster, tmp_path: Path) -> None:
    # Root is not where mpirun is, so no file can carry its last word.
    hostfile = tmp_path / "hostfile"
    hostfile.write_text("rig1 slots=1\nrig2 slots=1\n")
    patch = "def show(*_): raise RuntimeError('injected')\nsieve.Display.show = show"
    ended = start(slowly(tmp_path), cluster.on("zeus", *launcher(hostfile, 2)), patch).wait(60)
    assert "rank 0 on rig1" in ended.stderr and "RuntimeError: injected" in ended.stderr
    assert (ended.code, ended.summary) == (3, {})
    assert events(tmp_path / "run")[-1]["kind"] == "final"


@pytest.mark.parametrize("how", ["its processes", "its cable", pytest.param("both", marks=pytest.mark.slow)])
def test_supervisor_goes_on_without_a_dead_host(
    how: str, cluster: Cluster, hostfile: Path, calm: tuple[Ended, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with start(slowly(tmp_path), cluster.on("zeus", *supervised(), *launcher(hostfile, 4))) as run:
        until(lambda: searching(folder), 40, "no search")
        if how != "its processes":
            cluster.cable("rig1", "down")
        if how != "its cable":
            cluster.kill("rig1")
        ended = run.wait(90)
    assert_same(ended, folder, calm)
    kinds = [event["kind"] for event in events(folder)]
    assert kinds.count("start") == 2
    assert "starting again" in ended.stderr
    # A host whose daemon alone died answers still, and is used again; one that is cut off is not.
    assert ("rig1 does not answer" in ended.stderr) == (how != "its processes")
    second = kinds[kinds.index("start") + 1 :].index("start") + kinds.index("start") + 1
    ready = {e["host"] for e in events(folder)[second:] if e["kind"] == "device_ready"}
    assert ready == {"zeus", "rig2"} | ({"rig1"} if how == "its processes" else set())
    # On the host that was cut off nobody goes on computing for nobody.
    until(lambda: cluster.processes("rig1") == 0, 30, "ranks live on behind the cut cable")


@pytest.mark.slow
def test_supervisor_takes_a_host_back(
    cluster: Cluster, hostfile: Path, calm: tuple[Ended, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    patch = INJECT + "def wrong(calls): time.sleep(0.3)\n"
    argv = small(tmp_path, "run", "--chunk-seconds", 0.5)
    cluster.cable("rig1", "down")
    with start(argv, cluster.on("zeus", *supervised("--retry", 0.5), *launcher(hostfile, 4)), patch) as run:
        until(lambda: searching(folder, 1), 40, "no search")
        cluster.cable("rig1", "up")
        ended = run.wait(60)
    assert_same(ended, folder, calm)
    assert "rig1 does not answer; going on without its 2 ranks" in ended.stderr
    assert "rig1 answers again" in ended.stderr
    assert hosts_of(folder)["rig1"] > 0


def test_supervisor_resumes_after_root_is_killed(
    cluster: Cluster, hostfile: Path, calm: tuple[Ended, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    # Chunks whose devices had not been checked since would be searched again too.
    argv = [*slowly(tmp_path), "--audit-share", 0]
    with start(argv, cluster.on("zeus", *supervised(), *launcher(hostfile, 4))) as run:
        until(lambda: searching(folder), 40, "no search")
        done = len(done_chunks(folder))
        os.kill(simulated.rank_process(run.mark, 0), signal.SIGKILL)
        ended = run.wait(90)
    assert_same(ended, folder, calm)
    with Ledger.peek(folder / "ledger.sqlite") as ledger:
        attempts = ledger.attempts()
    # Each range was computed once, but for those in flight.
    assert done >= 4 and max(attempt.run for attempt in attempts) == 2
    again = Counter(attempt.start for attempt in attempts if attempt.outcome == "done")
    assert set(again.values()) == {1}


def test_mpirun_ends_with_0_after_a_dead_host(cluster: Cluster, hostfile: Path, tmp_path: Path) -> None:
    """Why nobody may believe it."""
    with start(slowly(tmp_path), cluster.on("zeus", *launcher(hostfile, 4))) as run:
        until(lambda: searching(tmp_path / "run"), 40, "no search")
        cluster.kill("rig1")
        ended = run.wait(60)
        until(lambda: not with_environment(f"{MARK}={run.mark}"), 20, "ranks live on")
    assert (ended.code, ended.summary) == (0, {})


# A rank's device takes as much memory as a GPU's runtime does, and the kernel ends ranks first, as batch systems have it do.
HUNGRY = """
open("/proc/self/oom_score_adj", "w").write("500")
honest_open = sieve.devices.open_device
def hungry(*arguments, **options):
    device = honest_open(*arguments, **options)
    device.held = b"x" * (120 << 20)
    return device
sieve.devices.open_device = hungry
"""
HOG = """
import sys
held = b"x" * (400 << 20)
print("up", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("admission", [True, False])
def test_memory_hog_on_a_host(admission: bool, cluster: Cluster, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    """Something else takes much of rig1's 900 MB. The ranks that still fit are started there; where all are, the kernel kills
    some, for real and within that host, and the run says so."""
    hostfile = tmp_path / "hostfile"
    hostfile.write_text("zeus slots=1\nrig1 slots=4\n")
    group = cluster.memory("rig1", 900 << 20)
    hog = subprocess.Popen(
        cluster.on("rig1", sys.executable, "-c", HOG), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert hog.stdout is not None and hog.stdout.readline() == "up\n"
    patch = SLOWLY + HUNGRY + ("" if admission else "sieve.memory.Seats.refusal = lambda *_: ''\n")
    argv = [*slowly(tmp_path), "--memory-reserve", "100 MB"]
    ended = start(argv, cluster.on("zeus", *launcher(hostfile, 5)), patch).wait(90)
    assert hog.poll() is None
    hog.communicate("")
    assert_same(ended, tmp_path / "run", calm)
    killed = int(next(line.split()[1] for line in _counts(group) if line.startswith("oom_kill ")))
    refused, lost = ended.summary["refused"], ended.summary["lost"]
    if admission:
        assert (killed, lost) == (0, [])
        assert 1 <= len(refused) <= 3 and all(": memory: rig1 has" in text for text in refused)
        assert f"{4 - len(refused)} of 4 ranks compute" in refused[0]
        assert ended.stdout.index(refused[0]) < ended.stdout.index("searched")
    else:
        assert refused == [] and 1 <= len(lost) == killed <= 3
        for text in lost:
            assert "on rig1" in text and ": killed by the OOM killer" in text and "; set slots=" in text
    assert hosts_of(tmp_path / "run")["rig1"] > 0


def _counts(group: Path) -> list[str]:
    """What a memory cgroup counts, v2 or v1."""
    return (
        next(f for f in (group / "memory.events", group / "memory.oom_control") if f.exists()).read_text().splitlines()
    )


# Every array counts as large; who has the inputs from root says so, and may be killed over it.
FETCHED = """
import os, signal
from prng_mpi import segment
from prng_mpi.comm import Comm
segment.LARGE = 1
honest_fetch = Comm._fetch
def fetch(self, mine):
    print(f"fetched by {self.rank}", file=sys.stderr, flush=True)
    if self.rank == VICTIM:
        os.kill(os.getpid(), signal.SIGKILL)
    return honest_fetch(self, mine)
Comm._fetch = fetch
"""


@pytest.mark.parametrize("victim", [None, 1])
def test_large_inputs_come_once_to_each_host(
    victim: int | None, cluster: Cluster, hostfile: Path, calm: tuple[Ended, Any], tmp_path: Path
) -> None:
    """Rank 1 has them for rig1, rank 3 for rig2; where rank 1 is killed meanwhile, rank 2 has its own."""
    patch = f"import sys\nVICTIM = {victim}\n{SLOWLY}{FETCHED}"
    ended = start(slowly(tmp_path), cluster.on("zeus", *launcher(hostfile, 4)), patch).wait(60)
    assert_same(ended, tmp_path / "run", calm)
    fetched = sorted(line for line in ended.stderr.splitlines() if line.startswith("fetched by"))
    assert fetched == [f"fetched by {rank}" for rank in ((1, 3) if victim is None else (1, 2, 3))]
    own = [line for line in ended.complaints if "has its own copy of the inputs" in line]
    if victim is None:
        assert own == [] and hosts_of(tmp_path / "run")["rig1"] > 0
    else:
        assert len(own) == 1 and own[0].startswith("prng_mpi: rank 2 on rig1") and "rank 1 on rig1 is gone" in own[0]
        assert [text.split(" (")[0] for text in ended.summary["lost"]] == ["rank 1 on rig1"]


def test_each_kind_of_host_has_its_own_python(cluster: Cluster, calm: tuple[Ended, Any], tmp_path: Path) -> None:
    """A Python for zeus and another for the rigs, in one job: the doctor shows them and finds nothing, and the sieve runs."""
    pythons = {name: environment_of(tmp_path / name) for name in ("cuda", "rocm")}
    environments, hostfile = tmp_path / "environments", tmp_path / "hostfile"
    environments.write_text(f"zeus {pythons['cuda']}\nrig* {pythons['rocm']}  # all rigs\n")
    hostfile.write_text("zeus slots=1\nrig1 slots=2\n")
    own = {"HOSTFILE": hostfile, "NP": 3, "ENVIRONMENTS": environments, "VENV": Path(sys.executable).parents[1]}
    outside = [f"{name}={value}" for name, value in own.items()]

    def launch(script: str, *argv: object) -> subprocess.CompletedProcess[str]:
        command = cluster.on("zeus", "env", *outside, TOP / "launch" / script, *argv)
        return subprocess.run(
            command, env=environment(), capture_output=True, text=True, timeout=90, check=False, cwd=TOP
        )

    done = launch("doctor.sh", "--device", "cpu", "--memory-reserve", "100 MB", "--output-dir", tmp_path / "runs")
    lines = [
        line for line in done.stdout.splitlines() if " pythons " in line or " versions " in line or " reach " in line
    ]
    assert done.returncode in (0, 6), done.stdout + done.stderr
    assert f"ok    pythons    {pythons['cuda']} on zeus; {pythons['rocm']} on rig1" in lines
    assert sum(line.startswith("ok    versions   3 ranks alike") for line in lines) == 1
    assert sum(line.startswith("ok    reach      rig1 by non-interactive login") for line in lines) == 1
    done = launch("sieve.sh", *small(tmp_path, "run"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert survivors(tmp_path / "run").tobytes() == calm[1].tobytes()


def environment_of(folder: Path) -> Path:
    """The Python of a new environment, which has this one's packages and MPI, and this checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = Path(sysconfig.get_path("purelib"))
    inside = packages.relative_to(Path(sys.executable).parents[1])
    (folder / inside / "these.pth").write_text(f"{TOP / 'src'}\n{packages}\n")
    for library in (*packages.parents[1].glob("lib*"), packages.parents[1] / "openmpi"):
        (folder / "lib" / library.name).symlink_to(library)
    return folder / "bin" / "python"
