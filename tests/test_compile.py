"""Every kernel text through NVRTC and hipRTC for the processors of the cluster: compilers only, no GPU, no driver.

PRNG_MPI_TEST_REQUIRE=nvrtc,hip makes a missing compiler a failure instead of a skip."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import glob
import importlib.util
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from prng_mpi.recipes import recipe, recipes

REQUIRED = os.environ.get("PRNG_MPI_TEST_REQUIRE", "").replace(",", " ").split()
KERNELS = (b"sieve_grid", b"outputs_grid")


class Compiler:
    """NVRTC or hipRTC: the second is the first under other names."""

    def __init__(self, library: ctypes.CDLL, prefix: str) -> None:
        self._library, self._prefix = library, prefix

    def _call(self, name: str, *arguments: object) -> int:
        return int(getattr(self._library, self._prefix + name)(*arguments))

    def _text(self, program: ctypes.c_void_p, name: str) -> bytes:
        size = ctypes.c_size_t()
        assert self._call(f"Get{name}Size", program, ctypes.byref(size)) == 0
        text = ctypes.create_string_buffer(max(1, size.value))
        assert self._call(f"Get{name}", program, text) == 0
        return text.raw[: size.value]

    def compile(self, source: str, binary: str, options: list[str]) -> tuple[str, bytes]:
        """(the compiler's complaint or nothing, what it made)."""
        program = ctypes.c_void_p()
        assert self._call("CreateProgram", ctypes.byref(program), source.encode(), b"kernel", 0, None, None) == 0
        words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        try:
            if self._call("CompileProgram", program, len(options), words):
                return self._text(program, "ProgramLog").decode(errors="replace").strip("\0\n ") or "failed", b""
            return "", self._text(program, binary)
        finally:
            self._call("DestroyProgram", ctypes.byref(program))


def _first_library(paths: list[str]) -> ctypes.CDLL | None:
    for path in paths:
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    return None


def _compiler(prefix: str, name: str, paths: list[str], package: str) -> Compiler:
    library = _first_library(paths)
    if library is None or not hasattr(library, f"{prefix}CompileProgram"):
        message = f"no {name} on this host: install {package}"
        if prefix.removesuffix("rtc") in REQUIRED or prefix in REQUIRED:
            pytest.fail(f"{message} (PRNG_MPI_TEST_REQUIRE asks for it)")
        pytest.skip(message)
    return Compiler(library, prefix)


@functools.cache
def _nvrtc() -> Compiler:
    spec = importlib.util.find_spec("nvidia")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [path for place in places for path in sorted(glob.glob(f"{place}/**/libnvrtc.so.*", recursive=True))]
    system = ctypes.util.find_library("nvrtc")
    return _compiler("nvrtc", "NVRTC", [*found, *([system] if system else [])], "the package nvidia-cuda-nvrtc")


@functools.cache
def _hiprtc() -> Compiler:
    names = [ctypes.util.find_library("hiprtc"), ctypes.util.find_library("amdhip64")]
    # Up to ROCm 5 hipRTC is part of the runtime.
    rocm = [str(path) for name in ("hiprtc", "amdhip64") for path in Path("/opt/rocm/lib").glob(f"lib{name}.so")]
    paths = [*(name for name in names if name), *rocm]
    return _compiler("hiprtc", "hipRTC", paths, "libamdhip64-dev (Debian) or ROCm")


# Texts of the other forms, of recipes that cover lanes of 32 and 64 bits, rejection, two words and jumps.
FORMS = (
    *((name, (form,)) for name in ("java.nextInt", "mt19937.mod", "python.random", "sfc64.mod") for form in ("LOOKS", "HYBRID")),
    ("php71.mt_rand", ("CLOCK_TIMES_PID",)),
    ("java.mod", ("LOOKS", "CLOCK_TIMES_PID")),
)  # fmt: skip


def _sources() -> dict[str, str]:
    """Distinct texts, each by the name of a recipe that has it."""
    plain = {r.source: r.name for r in reversed(recipes().values())}
    return plain | {recipe(name).text("sieve.h", form): f"{name} {' '.join(form)}" for name, form in FORMS}


def _complaint(find: Callable[[], Compiler], source: str, binary: str, options: list[str]) -> str:
    """What is wrong with a text, or nothing."""
    complaint, code = find().compile(source, binary, options)
    missing = [kernel.decode() for kernel in KERNELS if kernel not in code]
    return complaint or (f"no kernel {missing}" if missing or b"\x7fELF" not in code else "")


def _check(find: Callable[[], Compiler], binary: str, options: list[str], every: int) -> None:
    sources = dict([*_sources().items()][::every])
    find()
    # Processes and not threads: hipRTC 5.2 crashes now and then when two threads use it.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        asked = {name: pool.submit(_complaint, find, source, binary, options) for source, name in sources.items()}
        failed = [f"{name}: {answer.result()}" for name, answer in asked.items() if answer.result()]
    assert not failed, "\n\n".join(failed)
    assert len(sources) >= (60 + len(FORMS)) // every


# All texts for the first processor of each vendor, of the others one in so many: the compiler's front end is the same.
@pytest.mark.parametrize(("arch", "every"), [("sm_86", 1), ("sm_90", 7)])
def test_every_kernel_compiles_for_nvidia(arch: str, every: int) -> None:
    _check(_nvrtc, "CUBIN", [f"--gpu-architecture={arch}", "--std=c++17"], every)


@pytest.mark.parametrize(("arch", "every"), [("gfx1030", 1), ("gfx1032", 7)])
def test_every_kernel_compiles_for_amd(arch: str, every: int) -> None:
    _check(_hiprtc, "Code", [f"--offload-arch={arch}", "-std=c++17", "-O3"], every)


def test_draws_are_read_through_the_read_only_cache() -> None:
    for name in ("java.mod", "mt19937.mod"):
        complaint, code = _nvrtc().compile(
            recipe(name).text("sieve.h"), "PTX", ["--gpu-architecture=sm_86", "--std=c++17"]
        )
        # What is left are the words that a seed's own state keeps.
        assert not complaint and code.count(b"ld.global.nc") > code.count(b"ld.global.u"), name


def test_a_broken_text_is_not_taken_for_a_kernel() -> None:
    complaint, code = _nvrtc().compile("__global__ void f() { nonsense; }", "CUBIN", ["--gpu-architecture=sm_86"])
    assert "nonsense" in complaint and not code
