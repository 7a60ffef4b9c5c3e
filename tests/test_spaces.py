"""Seed spaces: what each text names against a naive listing, canonical texts, indices, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prng_mpi.devices.cpu import CpuDevice
from prng_mpi.errors import UsageError
from prng_mpi.recipes import recipe
from prng_mpi.search import Search
from prng_mpi.spaces import Space, interval, space


def indices(s: Space) -> np.ndarray:
    return np.arange(s.size, dtype=np.uint64)


def seeds(s: Space) -> set[int]:
    """Every seed of a small space, without padding."""
    every = indices(s)
    return set(s.seed(every)[s.real(every)].tolist())


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("0:2**32", 0, 2**32),
        (" 1_000 : 1e6 ", 1000, 10**6),
        ("0x10:2**64", 16, 2**64),
        ("bits:15", 0, 2**15),
        ("bits: 48", 0, 2**48),
        ("bits:64", 0, 2**64),
        ("day-ms", 0, 86_400_000),
        ("unix:5..5", 5, 6),
        ("unix:1e9..2**31", 10**9, 2**31 + 1),
        ("unix:2024-01-01..2024-01-31", 1704067200, 1704067200 + 31 * 86400),
        ("unix:2024-01-01T12:00..2024-01-01 13:30:05", 1704110400, 1704115806),
        ("unix:2024-01-01T00:00:00+05:30 .. 2024-01-01T00:00Z", 1704047400, 1704067201),
        ("unix:2024-01-01T00:00:00.9..2024-01-01T00:00:01.1", 1704067200, 1704067202),
        ("unix-ms:2024-01-01..2024-01-01", 1704067200000, 1704067200000 + 86_400_000),
        ("unix-ms:2024-01-01T00:00:00.250..1704067200251", 1704067200250, 1704067200252),
        ("unix:1970-01-01..9999-12-31", 0, 253402300800),
    ],
)
def test_intervals(text: str, start: int, end: int) -> None:
    found = space(text)
    assert (found.start, found.end, found.size, found.hypotheses) == (start, end, end - start, end - start)
    assert found.identity and found.bits == found.mask == 0 and found.note == ""
    edges = np.array([0, end - start - 1], np.uint64)
    assert found.seed(edges).tolist() == [start, end - 1] and found.real(edges).all()
    assert [found.index(start), found.index(end - 1)] == edges.tolist()


def test_an_interval_of_two_numbers_is_the_same_space() -> None:
    assert interval(5, 9) == space("5:9")


@given(st.integers(0, 2000), st.integers(0, 6), st.integers(0, 40), st.integers(0, 20), st.sampled_from("+^*"))
def test_times_and_process_ids_cover_every_pair(t0: int, times: int, least: int, more: int, sign: str) -> None:
    found = space(f"unix{sign}pid:{t0}..{t0 + times},pid={least}..{least + more}")
    pairs = [(t, pid) for t in range(t0, t0 + times + 1) for pid in range(least, least + more + 1)]
    apply = {"+": int.__add__, "^": int.__xor__, "*": int.__mul__}[sign]
    wanted = {apply(t, pid) for t, pid in pairs}
    if sign == "+":
        assert seeds(found) == wanted and found.size == len(wanted)
    elif sign == "^":
        blocks = (least + more).bit_length()
        assert seeds(found) == {s for block in {t >> blocks for t, _ in pairs} for s in range(block << blocks, block + 1 << blocks)}  # fmt: skip
        assert wanted <= seeds(found)
    else:
        assert seeds(found) == wanted
        assert found.hypotheses == len(pairs) == int(found.real(indices(found)).sum())
        assert found.size == (times + 1) * 2**found.bits and found.size < 2 * len(pairs)


def test_a_product_is_taken_modulo_2_to_the_32() -> None:
    found = space("unix*pid:2024-01-01..2024-01-01,pid=30000..30003")
    assert found.pids == (30000, 30003) and (found.bits, found.mask, found.end) == (2, 3, 2**32)
    index = 77 << 2 | 3
    assert found.seed(np.array([index], np.uint64)).tolist() == [(1704067200 + 77) * 30003 % 2**32]
    assert found.describe(index) == "2024-01-01T00:01:17Z, pid 30003"
    with pytest.raises(ValueError, match="several times and process ids"):
        found.index(5)


def test_largest_products_do_not_overflow() -> None:
    top = 2**32 - 1
    found = space(f"unix*pid:{top - 1}..{top},pid={top - 2}..{top}")
    last = np.array([1 << 2 | 2], np.uint64)
    assert found.real(last).all() and found.seed(last).tolist() == [top * top % 2**32]
    assert found.real(np.array([1 << 2 | 3], np.uint64)).tolist() == [False]


def test_one_process_id_needs_no_bits() -> None:
    found = space("unix*pid:10..12,pid=7..7")
    assert (found.bits, found.size, found.hypotheses) == (0, 3, 3) and seeds(found) == {70, 77, 84}


def test_more_products_than_seeds_are_all_seeds() -> None:
    few = space("unix*pid:2024-01-01..2024-01-01")
    assert few.pids == (1, 32768) and few.bits == 15 and few.size == 86400 << 15
    many = space("unix*pid:2024-01-01..2024-01-02")
    assert many.identity and (many.start, many.size) == (0, 2**32) and "2**32" in many.note


@pytest.mark.parametrize("sign", "+^")
def test_a_day_of_sums_or_xors_is_hardly_more_than_a_day_of_seeds(sign: str) -> None:
    found = space(f"unix{sign}pid:2024-01-01..2024-01-01")
    assert found.identity and found.size <= 86400 + 2**17 and found.note


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1e3:2**16", "1000:65536"),
        ("unix:2024-01-01..2024-01-31", "unix:2024-01-01T00:00:00Z..2024-01-31T23:59:59Z"),
        ("unix-ms:5..1e12", "unix-ms:1970-01-01T00:00:00.005Z..2001-09-09T01:46:40.000Z"),
        ("unix:1..1e12", "unix:1970-01-01T00:00:01Z..1000000000000"),
        ("unix+pid: 0 .. 1", "unix+pid:1970-01-01T00:00:00Z..1970-01-01T00:00:01Z,pid=1..32768"),
        ("unix^pid:0..1 , pid = 5 .. 0x10", "unix^pid:1970-01-01T00:00:00Z..1970-01-01T00:00:01Z,pid=5..16"),
    ],
)
def test_texts_are_canonical(text: str, canonical: str) -> None:
    assert space(text).text == canonical
    assert space(canonical) == space(text)


@given(st.integers(0, 2**38), st.integers(0, 2**38), st.sampled_from(["unix", "unix-ms"]))
def test_times_read_back(first: int, more: int, clock: str) -> None:
    found = space(f"{clock}:{first}..{first + more}")
    assert space(found.text) == found and found.size == more + 1


@given(st.integers(0, 253402300799), st.integers(0, 999))
def test_describe_tells_the_time_of_a_seed(second: int, ms: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    assert datetime.fromisoformat(space("unix:0..1e12").describe(second)) == moment
    found = datetime.fromisoformat(space("unix-ms:0..1e15").describe(1000 * second + ms))
    assert found == moment + timedelta(milliseconds=ms)
    assert space("0:2**40").describe(second) == space("day-ms").describe(ms) == ""


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "it is none of A:B, bits:N"),
        ("5", "it is none of A:B"),
        ("unixms:1..2", "(did you mean 'unix-ms'?)"),
        ("day-ms:3", "it is none of"),
        ("5:5", "0 <= A < B <= 2**64"),
        ("9:5", "B is excluded and must be larger"),
        ("-1:5", "0 <= A < B <= 2**64"),
        ("0:2**64+1", "0 <= A < B <= 2**64"),
        ("0:4k", "powers of 1000 or of 1024"),
        ("0:", "'' is not an integer"),
        ("bits:0", "1 to 64 bits"),
        ("bits:65", "1 to 64 bits"),
        ("bits:x", "'x' is not an integer"),
        ("unix:5", "'5' is not times FROM..TO"),
        ("unix:1..2..3", "'1..2..3' is not times FROM..TO"),
        ("unix:2024-02-01..2024-01-01", "ends before it starts"),
        ("unix:2024-02-30..2024-03-01", "'2024-02-30' is neither a date"),
        ("unix:2024-W05..2024-03-01", "'2024-W05' is neither a date"),
        ("unix:yesterday..5", "'yesterday' is not an integer"),
        ("unix:1969-12-31..5", "'1969-12-31' is before 1970"),
        ("unix:-5..5", "'-5' is before 1970"),
        ("unix:1970-01-01T00:00+01:00..5", "before 1970"),
        ("unix-ms:0..2**64", "it goes past 2**64"),
        ("unix:0..5,pid=1..2", "unix has no 'pid=1..2'"),
        ("unix*pid:0..2**32", "must be below 2**32"),
        ("unix+pid:0..5,pid=0..2**32", "must be below 2**32"),
        ("unix*pid:0..5,pid=5", "'5' is not process ids A..B"),
        ("unix*pid:0..5,pid=9..5", "'9..5' ends before it starts"),
        ("unix*pid:0..5,pid=-1..5", "process ids start at 0"),
        ("unix*pid:0..5,ppid=1..5", "'ppid=1..5' is not pid=A..B"),
        ("unix*pid:0..5,", "'' is not pid=A..B"),
        ("9" * 5000 + ":1", "is not an integer"),
    ],
)
def test_what_is_no_space_is_refused_in_one_sentence(text: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        space(text)
    message = str(caught.value)
    assert message.startswith("--seeds ") and what in message and "\n" not in message and len(message) < 300


def test_a_space_must_fit_the_seeds_of_the_recipe() -> None:
    space("bits:32").check(2**32, "php71.mt_rand")
    space("unix*pid:0..5").check(2**32, "php71.mt_rand")
    with pytest.raises(UsageError) as caught:
        space("bits:33").check(2**32, "php71.mt_rand")
    assert str(caught.value) == "--seeds bits:33: seeds of recipe php71.mt_rand end at 4294967296, these at 8589934592"
    with pytest.raises(UsageError, match="these at 4294967296"):
        space("unix*pid:0..5").check(2**31, "minstd.mod")


def test_a_seed_outside_has_no_index() -> None:
    for seed in (4, 9):
        with pytest.raises(ValueError, match="is not in 5:9"):
            interval(5, 9).index(seed)


def test_millions_of_seeds_are_made_at_once() -> None:
    found = space("unix*pid:2024-01-01..2024-01-01")
    every = np.arange(5_000_000, dtype=np.uint64)
    made = found.seed(every)
    assert made.dtype == np.dtype("<u8") and made.max() < 2**32
    assert made[12345] == 1704067200 * 12346 % 2**32


@pytest.mark.parametrize("name", ["mt19937.mod", "php71.mt_rand", "java.nextInt", "xorshift32.mod"])
@pytest.mark.parametrize("offset", [0, 10])
def test_a_single_hypothesis_is_seen_the_same_by_lanes_and_plain_integers(name: str, offset: int) -> None:
    chosen = recipe(name)
    draws = np.array([1, 7, 3, 7, 0, 2], np.uint32)
    search = Search(chosen, 10, draws, 0, 3, offsets=(offset, offset), space=Space("", 10**9, 2**24, (300, 1000)))
    lanes, plain = (CpuDevice(chosen, kind, search.form).sieve(search, 5, 5000) for kind in ("cpu", "reference"))
    assert lanes is not None and plain is not None
    assert len(plain) > 20 and lanes.tolist() == plain.tolist()
