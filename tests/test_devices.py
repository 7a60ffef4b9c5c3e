"""Devices: slices, trust, the choice among them, the compiler, and the GPU device over a stand-in for cupy."""

from __future__ import annotations

import ctypes
import dataclasses
import itertools
import os
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kernel_cases import CASES, Case, opened, search_of, u64
from prng_mpi import devices, kernels
from prng_mpi.devices import cpu
from prng_mpi.devices.base import BOUNDARY, Device, known_answers
from prng_mpi.devices.team import CpuTeam, share_of_cores
from prng_mpi.errors import DeviceError
from prng_mpi.recipes import recipe
from prng_mpi.records import HIT
from prng_mpi.search import Search

NEXT_INT = recipe("java.nextInt")


class Recorder(Device):
    """A device without kernels: remembers its slices and finds every seed that is a multiple of `every`."""

    kind, name = "recorder", "a recorder"

    def __init__(self, every: int = 1000) -> None:
        super().__init__(NEXT_INT)
        self.every, self.slices, self.capacities = every, list[tuple[int, int]](), list[int]()

    def _sieve(self, search: Search, start: int, count: int, capacity: int) -> tuple[int, npt.NDArray[np.void]]:
        self.slices.append((start, count))
        self.capacities.append(capacity)
        first = -(-start // self.every) * self.every
        hits = np.zeros(len(range(first, start + count, self.every)), HIT)
        # A GPU's threads write in any order.
        hits["seed"] = [*range(first, start + count, self.every)][::-1]
        return len(hits), hits[:capacity]

    def _outputs(self, search: Search, seeds: npt.NDArray[np.uint64], first: int, count: int) -> npt.NDArray[np.uint32]:
        return opened("reference", NEXT_INT).outputs(search, seeds, first, count)


def test_slices_cover_a_range_once_and_none_crosses_a_multiple_of_2_to_the_32() -> None:
    device, start, stop = Recorder(), 2 * BOUNDARY - 5000, 2 * BOUNDARY + 70_000
    hits = device.sieve(search_of(NEXT_INT, 1000), start, stop)
    assert hits is not None
    assert hits["seed"].tolist() == [n for n in range(start, stop) if n % 1000 == 0]
    ends = [at + count for at, count in device.slices]
    assert [at for at, _ in device.slices] == [start, *ends[:-1]] and ends[-1] == stop
    assert 2 * BOUNDARY in ends and all(count > 0 for _, count in device.slices)


def test_the_first_slice_is_sized_by_the_work_of_a_seed_and_later_ones_grow_at_most_fourfold() -> None:
    device = Recorder()
    device.sieve(search_of(NEXT_INT, 1000, draws=[1] * 8, skips=(0, 3), offsets=(0, 3)), 0, 10**7)
    counts = [count for _, count in device.slices]
    assert counts[0] == device.first_slice // (4 * 4 * 8)
    # The second slice is the first one measured: its time alone decides.
    assert all(b <= 4 * a + 1 for a, b in itertools.pairwise(counts[1:]))
    heavy = Recorder()
    heavy.sieve(search_of(NEXT_INT, 1000, draws=[1] * 8, skips=(0, 1000), offsets=(0, 1000)), 0, 3)
    assert heavy.slices[0] == (0, 1)


def test_more_survivors_than_room_are_all_brought_back() -> None:
    device = Recorder(every=2)
    hits = device.sieve(search_of(NEXT_INT, 1000), 0, 5000)
    assert hits is not None
    assert hits["seed"].tolist() == [*range(0, 5000, 2)]
    assert len(device.capacities) == 2 and device.capacities[1] >= 2500 and device.slices == [(0, 5000)] * 2


def test_a_stop_request_is_seen_between_slices() -> None:
    device, asked = Recorder(), iter([False, False, True])
    device.first_slice, device.slice_seconds = 10, 0.0
    assert device.sieve(search_of(NEXT_INT, 1000), 0, 1000, lambda: next(asked)) is None
    assert device.slices == [(0, 10), (10, 10)]


@pytest.mark.parametrize("kind", ["cpu", "reference", "emulated"])
def test_an_overflow_is_seen_by_the_count_and_nothing_past_the_room_is_written(kind: str) -> None:
    device = opened(kind, recipe("xorshift32.mod"))
    search = search_of(device.recipe, 2, draws=[1, 1, 1], need=1)
    everything, _ = device._sieve(search, 0, 900, 900)
    found, hits = device._sieve(search, 0, 900, 10)
    assert found == everything > 500 and len(hits) == 10
    found, exact = device._sieve(search, 0, 900, everything)
    assert found == everything == len(exact) == len(np.unique(exact["seed"])) and exact["matches"].min() >= 1


# ----------------------------------------------------------------------------------------------------------------- trust


class Wrong(Recorder):
    """The plain build, with a fault in what it answers."""

    def __init__(self, outputs: Callable[[Any], Any] = lambda o: o, hits: Callable[[Any], Any] = lambda h: h) -> None:
        super().__init__()
        self.fault_outputs, self.fault_hits = outputs, hits

    def _sieve(self, search: Search, start: int, count: int, capacity: int) -> tuple[int, npt.NDArray[np.void]]:
        hits = self.fault_hits(opened("reference", NEXT_INT)._sieve(search, start, count, capacity)[1])
        return len(hits), hits

    def _outputs(self, search: Search, seeds: npt.NDArray[np.uint64], first: int, count: int) -> npt.NDArray[np.uint32]:
        outputs: npt.NDArray[np.uint32] = self.fault_outputs(super()._outputs(search, seeds, first, count))
        return outputs


def _everything(hits: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    return np.concatenate([hits, hits, hits])


def _elsewhere(hits: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    moved = hits.copy()
    moved["seed"] += 1
    return moved


@pytest.mark.parametrize(
    ("device", "said"),
    [
        (Wrong(outputs=lambda o: o ^ np.array([0, 0, 0, 1, 0], np.uint32)), "output 3 is"),
        (Wrong(hits=lambda h: h[:0]), "sieves recipe java.nextInt wrongly"),
        (Wrong(hits=_everything), "sieves recipe java.nextInt wrongly"),
        (Wrong(hits=_elsewhere), "sieves recipe java.nextInt wrongly"),
    ],
)
def test_a_device_that_computes_wrongly_is_refused(device: Device, said: str) -> None:
    with pytest.raises(DeviceError, match=said):
        device.check()


def test_a_right_device_is_trusted_and_its_speed_forgotten() -> None:
    device = Wrong()
    assert device.check() == 15 and device._rate == 0.0


def test_a_recipe_without_known_answers_is_never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    family = dataclasses.replace(kernels.family("java"), known=(), known_at=())
    table = {**kernels.families(), "java": family}
    monkeypatch.setattr(kernels, "families", lambda: table)
    with pytest.raises(DeviceError, match="no known answers"):
        devices.open_device("cpu", recipe("java.mod"), 0)


def test_known_answers_of_a_family_show_whole_words() -> None:
    answers = known_answers(recipe("splitmix64.mod"))
    assert {modulus for _, modulus, _, _ in answers} == {2**32, 4294967291, 1000}
    assert {first for _, _, first, _ in answers} == {0, 9999}


# ------------------------------------------------------------------------------------------------------------ the choice


@pytest.mark.parametrize(
    ("there", "has_cupy", "kind", "why"),
    [
        ([], True, "cpu", "no /dev/nvidiactl and no /dev/kfd"),
        (["/dev/nvidiactl"], True, "cuda", "/dev/nvidiactl"),
        (["/dev/kfd"], True, "rocm", "/dev/kfd"),
        (["/dev/kfd"], False, "cpu", "cupy is not installed"),
        (["/dev/nvidiactl"], False, "cpu", "prng_mpi[cuda]"),
    ],
)
def test_auto_says_what_it_stands_for(
    monkeypatch: pytest.MonkeyPatch, there: list[str], has_cupy: bool, kind: str, why: str
) -> None:
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: object() if has_cupy else None)
    chosen, reason = devices.choose("auto", lambda path: path in there)
    assert chosen == kind and why in reason


def test_a_named_kind_is_taken_at_its_word() -> None:
    assert devices.choose("rocm", lambda path: False) == ("rocm", "--device rocm")


@pytest.mark.parametrize("kind", ["cuda", "rocm"])
def test_a_gpu_without_its_library_is_an_error_and_no_other_device(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=rf"--device {kind} needs cupy .*pip install 'prng_mpi\[{kind}\]'"):
        devices.open_device(kind, NEXT_INT, 0)


# ---------------------------------------------------------------------------------------------------------- the compiler


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "prng_mpi"


def test_a_text_is_compiled_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cpu.build("int one;", "reference")
    assert first.parent == cache and [*cache.iterdir()] == [first]
    monkeypatch.setattr(cpu.spawn, "run", lambda *a: pytest.fail("compiled again"))
    assert cpu.build("int one;", "reference") == first


def test_everything_that_decides_the_code_decides_the_name(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = {cpu.build("int one;", "reference"), cpu.build("int two;", "reference"), cpu.build("int one;", "cpu")}
    monkeypatch.setattr(cpu, "_cpuinfo", lambda key: "another processor")
    built.add(cpu.build("int one;", "reference"))
    assert len(built) == 4


def test_a_text_that_does_not_compile_is_shown_with_the_compilers_words(cache: Path) -> None:
    with pytest.raises(DeviceError, match="can't compile the kernel") as caught:
        cpu.build("int f(void) { return nonsense; }", "reference")
    assert "nonsense" in str(caught.value) and not [*cache.iterdir()]


def test_no_compiler_is_said(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(DeviceError, match="no C compiler"):
        cpu.build("int one;", "reference")


def test_a_cache_that_cannot_be_made_moves_to_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(cpu.tempfile, "gettempdir", lambda: str(tmp_path))
    assert cpu.cache_folder() == tmp_path / f"prng_mpi-{os.getuid()}"
    monkeypatch.setattr(cpu.tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    with pytest.raises(DeviceError, match="XDG_CACHE_HOME"):
        cpu.cache_folder()


def test_a_cache_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    monkeypatch.setattr(cpu.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(cpu.os, "getuid", lambda: 12345)
    with pytest.raises(DeviceError, match="no writable folder"):
        cpu.cache_folder()


# -------------------------------------------------------------------------------------------------------------- the lift

LIFTED = (
    Case("java.nextInt", 1000, 10, 7, (0, 2), (0, 1), start=2**48 - 300),
    Case("java.nextInt", 1000, 9, 9, (3, 3), (7, 7), start=2**32 - 100),
    Case("java.nextInt", 2000, 6, 4, (0, 1), (2, 3)),
    Case("java.mod", 1000, 8, 6, (1, 2), (3, 4)),
    Case("orig.java_lcg", 1000, 8, 6, (0, 1), (0, 1), start=2**47),
    Case("ansi_lcg.mod", 1000, 7, 5, (0, 1), (1, 1), start=2**31 - 150),
    Case("lcg.mod", 4000, 6, 5, (2, 2)),
)


@pytest.mark.parametrize("case", LIFTED, ids=lambda c: f"{c.recipe}-{c.modulus}-{c.k}")
def test_a_lift_finds_what_the_definition_says(case: Case) -> None:
    search, expected = case.expected
    device = devices.open_device("cpu", search.recipe, 0, "lift")
    assert len(expected) > 0 and case.hits(device, search).tolist() == expected.tolist()


def test_what_cannot_be_lifted_is_refused() -> None:
    device = devices.open_device("cpu", NEXT_INT, 0, "lift")
    with pytest.raises(DeviceError, match="can't be lifted: modulus 999 is not even"):
        device.sieve(search_of(NEXT_INT, 999), 0, 10)
    with pytest.raises(DeviceError, match="no known answers"):
        devices.open_device("cpu", recipe("mt19937.mod"), 0, "lift")


# --------------------------------------------------------------------------------------------------- several threads


@pytest.mark.parametrize("case", CASES[::6], ids=lambda c: f"{c.recipe}-{c.modulus}")
def test_threads_find_what_one_finds(case: Case) -> None:
    device = devices.open_device("cpu", recipe(case.recipe), 0, threads=3)
    search, expected = case.expected
    found = device.sieve(search, case.start, case.start + case.count)
    assert found is not None and found.tolist() == expected.tolist()
    for count in (1, 2):
        part = device.sieve(search, case.start, case.start + count)
        assert part is not None
        assert part.tolist() == [h for h in expected.tolist() if h[0] < case.start + count]
    assert device.sieve(search, case.start, case.start + case.count, lambda: True) is None
    assert "3 threads" in device.name
    before = threading.active_count()
    device.close()
    assert threading.active_count() == before - 3
    again = device.sieve(search, case.start, case.start + case.count)
    assert again is not None and again.tolist() == expected.tolist()
    device.close()


def test_a_thread_that_fails_fails_the_chunk_when_all_are_through(monkeypatch: pytest.MonkeyPatch) -> None:
    device = CpuTeam(NEXT_INT, threads=3)
    search, through = search_of(NEXT_INT, 1000), []

    def sieve(search: Search, start: int, stop: int, stopped: Any) -> Any:
        if start == 0:
            raise DeviceError("a broken core")
        time.sleep(0.2)
        through.append(start)
        return np.zeros(0, HIT)

    for member in device._members:
        monkeypatch.setattr(member, "sieve", sieve)
    with pytest.raises(DeviceError, match="a broken core"):
        device.sieve(search, 0, 300)
    assert sorted(through) == [100, 200]


def test_ranks_of_a_host_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert [share_of_cores(ranks) for ranks in (1, 3, 16, 40)] == [16, 5, 1, 1]


# ------------------------------------------------------------------------------------ the GPU device, its grid as loops


class Failure(Exception):
    pass


class Array:
    """Memory of the stand-in: host memory that only `get` and kernels may read."""

    def __init__(self, content: npt.NDArray[Any]) -> None:
        self.content = content

    def get(self) -> npt.NDArray[Any]:
        return self.content.copy()


def _native(value: Any) -> Any:
    # Just what the launch of a kernel takes: memory, and scalars whose width numpy knows.
    if isinstance(value, Array):
        return ctypes.c_void_p(value.content.ctypes.data)
    assert type(value) in (np.uint64, np.int64), f"a kernel's argument of {type(value)}"
    return ctypes.c_int64(int(value)) if type(value) is np.int64 else ctypes.c_uint64(int(value))


class Kernel:
    def __init__(self, library: ctypes.CDLL, name: str, cupy: Any) -> None:
        self.entry, self.cupy = getattr(library, name.replace("_grid", "_emulated")), cupy

    def __call__(self, grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
        if self.cupy.broken:
            raise self.cupy.broken("no launch")
        self.cupy.launches.append((grid[0], block[0]))
        self.entry(grid[0], block[0], *map(_native, arguments))


class Module:
    def __init__(self, cupy: Any, code: str, options: tuple[str, ...]) -> None:
        cupy.options = options
        self.library, self.cupy = ctypes.CDLL(str(cpu.build(code, "emulated"))), cupy

    def get_function(self, name: str) -> Kernel:
        return Kernel(self.library, name, self.cupy)


def _filled(size: int, dtype: Any) -> Array:
    # `empty` promises nothing about its content.
    return Array(np.full(size * np.dtype(dtype).itemsize, 0xA5, np.uint8).view(dtype))


def _stand_in(hip: bool = False, memory: int = 2**26) -> Any:
    names = ("CUDARuntimeError", "CUDADriverError", "OutOfMemoryError", "CompileException")
    errors = {name: type(name, (Failure,), {}) for name in names}
    cupy: Any = types.ModuleType("cupy")
    properties = {"name": b"A stand-in", "multiProcessorCount": 1, "totalGlobalMem": memory}
    runtime = types.SimpleNamespace(is_hip=hip, getDeviceProperties=lambda n: properties, **errors)
    parts = {name: types.SimpleNamespace(**errors) for name in ("driver", "memory", "compiler")}
    cupy.cuda = types.SimpleNamespace(is_available=lambda: True, runtime=runtime, **parts)
    cupy.freed = []
    pool = types.SimpleNamespace(
        set_limit=lambda size: setattr(cupy, "limit", size), free_all_blocks=lambda: cupy.freed.append("device")
    )
    pinned = types.SimpleNamespace(free_all_blocks=lambda: cupy.freed.append("host"))
    cupy.get_default_memory_pool, cupy.get_default_pinned_memory_pool = lambda: pool, lambda: pinned
    cupy.asarray = lambda array: Array(array.copy())
    cupy.empty, cupy.zeros = _filled, lambda size, dtype: Array(np.zeros(size, dtype))
    cupy.RawModule = lambda code, options: Module(cupy, code, options)
    cupy.launches, cupy.broken = [], None
    return cupy


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    from prng_mpi.devices.gpu import bind

    bind.cache_clear()
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr("prng_mpi.devices.gpu.launch_memory", lambda name, text: tmp_path / "launch.json")
    stand_in = _stand_in()
    monkeypatch.setitem(sys.modules, "cupy", stand_in)
    yield stand_in
    bind.cache_clear()


@pytest.mark.parametrize("case", CASES[::3], ids=lambda c: f"{c.recipe}-{c.modulus}")
def test_the_gpu_device_finds_what_the_definition_says(cupy: Any, case: Case) -> None:
    device = devices.open_device("cuda", recipe(case.recipe), 0)
    search, expected = case.expected
    assert case.hits(device, search).tolist() == expected.tolist()
    assert (
        device.outputs(search, u64([5, 7]), 3, 4) == opened("cpu", search.recipe).outputs(search, u64([5, 7]), 3, 4)
    ).all()
    assert cupy.launches and all(1 <= blocks <= 16 and threads == 128 for blocks, threads in cupy.launches)
    assert cupy.limit == int(2**26 * 0.8)
    device.close()


def test_a_launch_takes_no_more_blocks_than_its_memory_allows(cupy: Any) -> None:
    device = devices.open_device("cuda", NEXT_INT, 0)
    cupy.launches.clear()
    # Half of 80 % of 64 MiB over 10,000 kept outputs of 128 threads: five blocks.
    search = search_of(NEXT_INT, 1000, draws=[1], offsets=(9999, 9999))
    device.sieve(search, 0, 300)
    assert {blocks for blocks, _ in cupy.launches} == {2**26 * 4 // 10 // (10_000 * 4 * 128)} == {5}
    with pytest.raises(DeviceError, match="no room for 100000 words a thread"):
        device.sieve(search_of(NEXT_INT, 1000, draws=[1], offsets=(99_999, 99_999)), 0, 300)


def test_launch_shapes_are_measured_on_real_work_and_the_best_is_kept(
    cupy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prng_mpi.devices.gpu import SHAPES

    # A clock on which launches of one shape take half as long as those of the others; a launch is between two looks.
    now = 0.0
    fast = SHAPES[3]

    def clock() -> float:
        nonlocal now
        now += 0.1 if cupy.launches and cupy.launches[-1][1] == fast[0] and device.tuner.shape == fast else 0.2
        return now

    device = devices.open_device("cuda", NEXT_INT, 0)
    search, expected = search_of(NEXT_INT, 1000, draws=[1]), None
    monkeypatch.setattr("prng_mpi.devices.base.time.perf_counter", clock)
    device.first_slice, device.slice_seconds = 40, 0.2
    for _ in range(12):
        hits = device.sieve(search, 0, 2000)
        expected = hits if expected is None else expected
        assert hits.tolist() == expected.tolist()
    assert {threads for _, threads in cupy.launches} == {threads for threads, _ in SHAPES}
    assert device.tuner.settled and device.tuner.shape == fast
    cupy.launches.clear()
    again = devices.open_device("cuda", NEXT_INT, 0)
    assert again.tuner.settled and again.tuner.shape == fast
    assert again.sieve(search, 0, 2000).tolist() == expected.tolist()
    (tmp_path / "launch.json").write_text("not JSON")
    assert not devices.open_device("cuda", NEXT_INT, 0).tuner.settled


@pytest.mark.parametrize("error", ["CUDARuntimeError", "CUDADriverError", "OutOfMemoryError"])
def test_a_failed_launch_is_an_error_and_not_an_empty_result(cupy: Any, error: str) -> None:
    device = devices.open_device("cuda", NEXT_INT, 0)
    cupy.broken = getattr(cupy.cuda.runtime, error)
    with pytest.raises(DeviceError, match="A stand-in: the launch over seeds 0 to 9 failed: no launch"):
        device.sieve(search_of(NEXT_INT, 1000), 0, 10)
    with pytest.raises(DeviceError, match="A stand-in: the launch over 1 seeds failed"):
        device.outputs(search_of(NEXT_INT, 1000), u64([3]), 0, 1)


def test_a_gpu_gives_back_its_pools_and_works_on(cupy: Any) -> None:
    device, search = devices.open_device("cuda", NEXT_INT, 0), search_of(NEXT_INT, 1000)
    before = device.sieve(search, 0, 2000)
    cupy.freed.clear()
    device.close()
    assert sorted(cupy.freed) == ["device", "host"]
    assert device.sieve(search, 0, 2000).tolist() == before.tolist()


def test_a_module_that_cannot_be_loaded_is_said(cupy: Any) -> None:
    def fails(code: str, options: tuple[str, ...]) -> Any:
        raise cupy.cuda.driver.CUDADriverError("no kernel image")

    cupy.RawModule = fails
    with pytest.raises(DeviceError, match="GPU 0 of this host can't be used: no kernel image"):
        devices.open_device("cuda", NEXT_INT, 0)


def test_a_gpu_that_does_not_answer_is_said(cupy: Any) -> None:
    cupy.cuda.is_available = lambda: False
    with pytest.raises(DeviceError, match="no cuda GPU answers as number 0"):
        devices.open_device("cuda", NEXT_INT, 0)


def test_the_other_vendors_library_is_refused(cupy: Any) -> None:
    with pytest.raises(DeviceError, match="--device rocm, but the installed cupy is for cuda"):
        devices.open_device("rocm", NEXT_INT, 0)


def test_a_rank_sees_its_own_gpu_only() -> None:
    from prng_mpi.devices.gpu import binding

    assert binding("cuda", 3, {}) == {"CUDA_VISIBLE_DEVICES": "3"}
    assert binding("cuda", 1, {"CUDA_VISIBLE_DEVICES": "4,6"}) == {"CUDA_VISIBLE_DEVICES": "6"}
    with pytest.raises(DeviceError, match="local rank 1 has no GPU: CUDA_VISIBLE_DEVICES names 1"):
        binding("cuda", 1, {"CUDA_VISIBLE_DEVICES": "6"})


def test_a_rank_that_opens_two_programs_keeps_its_gpu(cupy: Any) -> None:
    from prng_mpi.devices.gpu import bind

    os.environ["CUDA_VISIBLE_DEVICES"] = "4,6"
    for _ in range(2):
        bind("cuda", 1)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "6"


def test_the_vendors_environment_is_set_and_the_users_kept() -> None:
    from prng_mpi.devices.gpu import binding

    set_up = binding("rocm", 2, {"HSA_ENABLE_SDMA": "1"})
    assert set_up["ROCR_VISIBLE_DEVICES"] == "2" and set_up["HSA_OVERRIDE_GFX_VERSION"] == "10.3.0"
    assert set_up["HSA_ENABLE_SDMA"] == "1"


def test_a_pointer_keeps_its_array_alive() -> None:
    array = np.arange(5)
    kept, alive = cpu.pointer(array), weakref.ref(array)
    assert kept.value == array.ctypes.data
    del array
    assert alive() is not None
    del kept
    assert alive() is None
