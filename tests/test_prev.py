"""The inverse step of every family: `prev` undoes `next` from any state, and what it gives before the seed is right."""

from __future__ import annotations

import ctypes
import functools
import random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kernel_cases import recipe_of
from prng_mpi import kernels
from prng_mpi.devices import cpu
from prng_mpi.recipes import Recipe, recipe, recipes

Words = npt.NDArray[np.uint64]

WALK = """
#define OPEN __attribute__((visibility("default")))
OPEN u64 state_size(void) { return sizeof(state); }
OPEN u64 lanes_of(void) { return LANES; }
OPEN void begin(state *g, u64 start, const u64 *param) { SEEDING(g, seeds_from(start), param); }
OPEN void ahead(state *g, u64 n, u64 *out) {
    for (u64 i = 0; i < n; i++) {
        word x = next(g);
        for (u32 l = 0; l < LANES; l++) out[i * LANES + l] = LANE(x, l);
    }
}
OPEN void back(state *g, u64 n, u64 *out) {
    for (u64 i = 0; i < n; i++) {
        word x = prev(g);
        for (u32 l = 0; l < LANES; l++) out[i * LANES + l] = LANE(x, l);
    }
}
"""

# These keep a buffer and what is ready of it, so equal states may differ in their bytes.
BUFFERED = {"mt19937", "mt19937php", "mt19937_64", "philox4x32", "philox4x64", "alfg607", "v8", "v8_plus"}
KINDS = ("reference", "cpu")
# Beyond three refills of MT19937's array.
FAR = 2000


class Walker:
    """Generators of one recipe, a seed in each lane, that walk both ways."""

    def __init__(self, which: Recipe, kind: str, given: dict[str, int] | None = None) -> None:
        # The method is empty: mapping.h is in every text already.
        self._library = ctypes.CDLL(str(cpu.build(which.text("mapping.h") + WALK, kind)))
        self._library.state_size.restype = self._library.lanes_of.restype = ctypes.c_uint64
        self.lanes = int(self._library.lanes_of())
        params = which.params(given or {})
        self._limit = which.seed_limit(params)
        self._param = np.array([*params.values(), 0, 0, 0, 0], np.uint64)
        # Vector loads want 64 bytes.
        size = int(self._library.state_size())
        buffer = np.zeros(size + 64, np.uint8)
        skip = -buffer.ctypes.data % 64
        self.state = buffer[skip : skip + size]

    def seed(self, seed: int) -> list[int]:
        """Begin with a block that holds this seed; the seeds of the lanes."""
        start = seed % self._limit
        start -= start % self.lanes
        self.state[:] = 0
        self._library.begin(cpu.pointer(self.state), ctypes.c_uint64(start), cpu.pointer(self._param))
        return list(range(start, start + self.lanes))

    def _walk(self, way: str, n: int) -> Words:
        out = np.zeros((n, self.lanes), np.uint64)
        getattr(self._library, way)(cpu.pointer(self.state), ctypes.c_uint64(n), cpu.pointer(out))
        return out

    def ahead(self, n: int) -> Words:
        """The next n words of each lane, shape (n, lanes)."""
        return self._walk("ahead", n)

    def back(self, n: int) -> Words:
        """The words before, the latest first, shape (n, lanes)."""
        return self._walk("back", n)


def _texts() -> dict[str, Recipe]:
    """A recipe for every family, seeding, width of seeds and of words that has an inverse, by the name of the first that has it."""
    found: dict[tuple[Any, ...], Recipe] = {}
    for r in [*recipes().values(), recipe_of("mt19937_by_array")]:
        if not kernels.family(r.family).invertible(r.params({})):
            continue
        key = (r.family, r.seeding, r._seed_bits, r.halves, tuple(r.fixed.items()))
        found.setdefault(key, r)
    return {r.name: r for r in found.values()}


TEXTS = _texts()
EDGES = [0, 1, 5, 42, 2**31 - 2, 2**31 - 1, 2**31, 2**32 - 1, 2**64 - 1]


@functools.cache
def walker(name: str, kind: str, given: tuple[tuple[str, int], ...] = ()) -> Walker:
    return Walker(recipe_of(name), kind, dict(given))


def _seeds(name: str) -> list[int]:
    rng = random.Random(name)
    return [*EDGES, *(rng.getrandbits(64) for _ in range(4))]


def before(name: str, seed: int, n: int, **given: int) -> list[int]:
    """Outputs -1, -2, ... -n of a seed by the plain build."""
    w = walker(name, "reference", tuple(given.items()))
    assert w.seed(seed) == [seed]
    return [int(x) for x in w.back(n)[:, 0]]


def test_every_family_and_seeding_is_walked() -> None:
    walked = {(r.family, r.seeding) for r in TEXTS.values()}
    assert walked == {(r.family, r.seeding) for r in recipes().values() if r.family != "mysql"}
    assert {family for family, _ in walked} == set(kernels.families()) - {"mysql"}


# ------------------------------------------------------------------------------------------------------- both ways agree


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEXTS)
def test_steps_back_give_the_words_in_turned_order_and_steps_ahead_give_them_again(name: str, kind: str) -> None:
    w = walker(name, kind)
    for seed in _seeds(name):
        for n in (1, 3, 400, FAR):
            w.seed(seed)
            words = w.ahead(n)
            assert (w.back(n) == words[::-1]).all()
            assert (w.ahead(n) == words).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEXTS)
def test_before_the_seed_too(name: str, kind: str) -> None:
    w = walker(name, kind)
    for seed in _seeds(name):
        w.seed(seed)
        stream = w.ahead(100)
        w.seed(seed)
        words = w.back(1500)
        assert (w.ahead(1500) == words[::-1]).all()
        assert (w.ahead(100) == stream).all()
        # The same words when outputs were made before.
        assert (w.back(1600)[100:] == words).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEXTS)
def test_any_walk_reads_one_tape(name: str, kind: str) -> None:
    w, rng = walker(name, kind), random.Random(name)
    w.seed(12345)
    left = w.back(FAR)[::-1]
    w.seed(12345)
    tape, at = np.concatenate([left, w.ahead(FAR)]), FAR
    for _ in range(3):
        w.seed(12345)
        at = FAR
        for _ in range(200):
            n = rng.choice([1, 1, 2, 3, 4, 5, 50, 624])
            if rng.random() < 0.5 and at >= n:
                assert (w.back(n)[::-1] == tape[at - n : at]).all()
                at -= n
            elif at + n <= 2 * FAR:
                assert (w.ahead(n) == tape[at : at + n]).all()
                at += n
    # A tape of one word over and over could be read anyhow. Words of 15 bits repeat a little.
    assert len(np.unique(tape[:, -1])) > 0.9 * len(tape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name, r in TEXTS.items() if r.family not in BUFFERED and not r.halves])
def test_a_step_back_leaves_the_bytes_of_the_state(name: str, kind: str) -> None:
    w = walker(name, kind)
    for seed in _seeds(name):
        seeds = w.seed(seed)
        # orig.lcg32 does not reduce its seed, the other states are values of their cycle.
        if TEXTS[name].family == "orig.lcg32" and seeds[-1] >= 2**31 - 1:
            w.ahead(1)
        for _ in range(50):
            state = w.state.copy()
            words = w.ahead(1)
            assert (w.back(1) == words).all() and (w.state == state).all()
            w.back(1)


@pytest.mark.parametrize("name", TEXTS)
def test_lanes_are_seeds(name: str) -> None:
    lanes, plain = walker(name, "cpu"), walker(name, "reference")
    for seed in (0, 12345, 2**32 - 1):
        for lane, one in enumerate(lanes.seed(seed)):
            lanes.seed(seed)
            plain.seed(one)
            assert (lanes.back(700)[:, lane] == plain.back(700)[:, 0]).all()


# ----------------------------------------------------------------------------------------------- other ways to the words


AFFINE = {
    name: algebra
    for name, r in TEXTS.items()
    if (algebra := kernels.family(r.family).affine(r.params({}), r.seeding)) is not None
}
MODULAR = [
    name
    for name, r in TEXTS.items()
    if name not in AFFINE and kernels.family(r.family).modular(r.params({}), r.seeding) is not None
]


@pytest.mark.parametrize("name", AFFINE)
def test_an_lcg_goes_back_by_going_on_for_a_whole_period(name: str) -> None:
    a, period = AFFINE[name], 1 << AFFINE[name].bits
    for seed in (0, 1, 42, min(2**31, period) - 1):
        words = before(name, seed, 700)
        for n in (1, 2, 3, 700):
            # Output -n is made of the state after 1 - n steps.
            times, plus = kernels.affine_power(a.a, a.c, (1 - n) % period, period)
            assert words[n - 1] == ((seed ^ a.seed_xor) * times + plus) % period >> a.shift


@pytest.mark.parametrize(
    ("a", "c", "bits", "shift"),
    [
        (0x5DEECE66D, 11, 48, 16),
        (69069, 1, 32, 0),
        (3, 5, 64, 7),
        (2**64 - 1, 2**63, 64, 63),
        (214013, 2531011, 31, 16),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_an_lcg_of_any_odd_multiplier_goes_back(a: int, c: int, bits: int, shift: int, kind: str) -> None:
    w = walker("lcg.mod", kind, tuple({"a": a, "c": c, "bits": bits, "shift": shift}.items()))
    x, words = w.seed(2**bits - 3)[0], w.back(300)[:, 0]
    for word in words:
        assert int(word) == x >> shift
        x = (x - c) * pow(a, -1, 2**bits) % 2**bits


def test_only_an_even_multiplier_and_mysql_lead_two_states_to_one() -> None:
    lcg = recipe("lcg.mod")
    for a in (1664525, 1, 2**64 - 1, 2, 0, 2**63):
        assert kernels.family("lcg").invertible(lcg.params({"a": a})) == (a % 2 == 1)
    for r in recipes().values():
        assert kernels.family(r.family).invertible(r.params({})) == (r.family != "mysql")


def predecessor_is_wrong(w: Walker) -> bool:
    """Whether a step back from a state that has several predecessors leads to none of them."""
    for seed in (0, 42, 12345, 2**32 - 1):
        w.seed(seed)
        for n in (1, 2, 30):
            last = w.ahead(n)[-1:]
            state = w.state.copy()
            if (w.back(1) != last).any() or (w.ahead(1) != last).any() or (w.state != state).any():
                return True
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_mysql_goes_back_to_one_that_leads_to_it(kind: str) -> None:
    assert not predecessor_is_wrong(walker("mysql.mod", kind))


@pytest.mark.parametrize("name", MODULAR)
def test_an_lcg_modulo_a_prime_goes_back_by_going_on_for_a_whole_period(name: str) -> None:
    r = TEXTS[name]
    m = kernels.family(r.family).modular(r.params({}), r.seeding)
    assert m is not None
    p = m.modulus
    for seed in (0, 1, 42, p - 1, p, p + 1, 2**32 - 1):
        words, x = before(name, seed, 700), seed % p or m.zero or 0
        for n in (1, 2, 3, 700):
            times, plus = kernels.affine_power(m.a, m.c, (1 - n) % (p - 1), p)
            assert words[n - 1] == (x * times + plus) % p


def _pcg_word(x: int) -> int:
    word, turn = (x >> 18 ^ x) >> 27 & 0xFFFFFFFF, x >> 59
    return (word >> turn | word << (32 - turn)) & 0xFFFFFFFF


@pytest.mark.parametrize("name", ["pcg32.mod", "orig.pcg32"])
def test_pcg32_goes_back_by_going_on_for_a_whole_period(name: str) -> None:
    a, c = 6364136223846793005, 2 * TEXTS[name].params({})["sequence"] + 1
    for seed in (0, 42, 2**32 - 1):
        state = seed if TEXTS[name].seeding == "seed_raw" else ((seed + c) * a + c) % 2**64
        words = before(name, seed, 300)
        for n in (1, 2, 300):
            times, plus = kernels.affine_power(a, c, -n % 2**64, 2**64)
            assert words[n - 1] == _pcg_word((state * times + plus) % 2**64)


def test_splitmix64_goes_back_to_the_first_words_of_lower_seeds() -> None:
    w = walker("splitmix64.mod", "reference")
    for seed in (0, 42, 2**64 - 1):
        words = before("splitmix64.mod", seed, 100)
        for n in (1, 2, 100):
            w.seed((seed - n * 0x9E3779B97F4A7C15) % 2**64)
            assert words[n - 1] == w.ahead(1)[0, 0]


# Steps as published, on the state as one number, the first word lowest.
def _xorshift(x: int, bits: int, *shifts: int) -> int:
    for n in shifts:
        x ^= (x << n if n > 0 else x >> -n) & (1 << bits) - 1
    return x


def _xorshift128(s: int) -> int:
    x, w = s & 0xFFFFFFFF, s >> 96
    t = _xorshift(x, 32, 11)
    return s >> 32 | (w ^ w >> 19 ^ t ^ t >> 8) << 96


def _xorshift128plus(s: int) -> int:
    x, y = _xorshift(s & 2**64 - 1, 64, 23), s >> 64
    return y | (x ^ y ^ x >> 18 ^ y >> 5) << 64


def _xoshiro256(s: int) -> int:
    s0, s1, s2, s3 = (s >> 64 * i & 2**64 - 1 for i in range(4))
    t = s1 << 17 & 2**64 - 1
    s2, s3 = s2 ^ s0, s3 ^ s1
    s1, s0 = s1 ^ s2, s0 ^ s3
    s2, s3 = s2 ^ t, (s3 << 45 | s3 >> 19) & 2**64 - 1
    return s0 | s1 << 64 | s2 << 128 | s3 << 192


STEPS = {
    "xorshift32.mod": (32, lambda s: _xorshift(s, 32, 13, -17, 5)),
    "xorshift64.mod": (64, lambda s: _xorshift(s, 64, 13, -7, 17)),
    "xorshift64star.mod": (64, lambda s: _xorshift(s, 64, -12, 25, -27)),
    "xorshift128.mod": (128, _xorshift128),
    "xorshift128plus.mod": (128, _xorshift128plus),
    "xoshiro256pp.mod": (256, _xoshiro256),
    "xoshiro256ss.mod": (256, _xoshiro256),
    "orig.xoshiro256pp": (256, _xoshiro256),
}


@pytest.mark.parametrize("name", [name for name in TEXTS if name in STEPS])
def test_a_linear_generator_goes_back_by_going_on_for_a_whole_period(name: str) -> None:
    bits, step = STEPS[name]
    w = walker(name, "reference")
    w.seed(42)
    state = w.state[: bits // 8].copy()

    def vector(number: int) -> npt.NDArray[np.float32]:
        return np.array([number >> i & 1 for i in range(bits)], np.float32)

    # float32 counts exactly, and multiplies fast.
    one = np.stack([vector(step(1 << i)) for i in range(bits)], 1)
    # The period is 2^bits - 1, so 2 + 4 + ... + 2^(bits - 1) steps ahead are one back.
    square, back = one, np.eye(bits, dtype=np.float32)
    for _ in range(bits - 1):
        square = square @ square % 2
        back = square @ back % 2
    assert (one @ back % 2 == np.eye(bits)).all()
    number = int.from_bytes(state.tobytes(), "little")
    for _ in range(5):
        w.back(1)
        number = sum(int(bit) << i for i, bit in enumerate(back @ vector(number) % 2))
        assert int.from_bytes(w.state[: bits // 8].tobytes(), "little") == number


def philox_block(counter: int, key: int) -> list[int]:
    """Philox4x32-10 as Salmon et al. give it, on a counter of 128 bits."""
    x, k0, k1 = [counter >> 32 * i & 0xFFFFFFFF for i in range(4)], key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        a, b = x[0] * 0xD2511F53, x[2] * 0xCD9E8D57
        x = [b >> 32 ^ x[1] ^ k0, b & 0xFFFFFFFF, a >> 32 ^ x[3] ^ k1, a & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return x


def test_philox_counts_down_through_all_four_words() -> None:
    # Random123's known answer of ten rounds over all ones.
    assert philox_block(2**128 - 1, 2**64 - 1) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    for key in (0, 42, 2**32 + 1, 2**64 - 1):
        expected = [word for n in range(1, 40) for word in philox_block(-n % 2**128, key)[::-1]]
        assert before("philox4x32.mod", key, len(expected)) == expected
        first = [philox_block(-n % 2**32, key)[0] for n in range(1, 40)]
        assert before("orig.philox4x32", key, len(first)) == first


# ----------------------------------------------------------------------------------------------------------------- MT19937


def _tempered(y: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    y = y ^ y >> 11
    y = y ^ (y << 7 & np.uint32(0x9D2C5680))
    y = y ^ (y << 15 & np.uint32(0xEFC60000))
    return y ^ y >> 18


def _array(name: str, seed: int) -> npt.NDArray[np.uint32]:
    """The 624 words that a real runtime makes of a seed: NumPy's init_genrand, CPython's init_by_array."""
    if recipe_of(name).seeding == "seed":
        return np.array(np.random.RandomState(seed).get_state()[1], np.uint32)
    return np.array(random.Random(seed).getstate()[1][:624], np.uint32)


TWISTERS = [name for name, r in TEXTS.items() if r.family == "mt19937"]


@pytest.mark.parametrize("name", TWISTERS)
@pytest.mark.parametrize("made_before", [0, 1, 5, 300])
def test_mt19937_goes_back_through_the_seeded_array(name: str, made_before: int) -> None:
    w = walker(name, "reference")
    for seed in (0, 1, 42, 2**31, 2**32 - 1):
        w.seed(seed)
        w.ahead(made_before)
        w.back(made_before)
        # All but the first word, of which only the top bit is part of the state.
        assert w.back(623)[:, 0].tolist() == _tempered(_array(name, seed))[:0:-1].tolist()


@pytest.mark.parametrize("name", TWISTERS)
def test_mt19937s_output_minus_624_keeps_the_top_bit_of_the_arrays_first_word(name: str) -> None:
    for seed in (0, 1, 42, 2**31, 2**32 - 1):
        word = np.array(before(name, seed, 624)[-1:], np.uint32)
        assert _untempered(word)[0] >> 31 == _array(name, seed)[0] >> 31


@pytest.mark.parametrize("name", TWISTERS)
@pytest.mark.parametrize("n", [1, 623, 624, 625, 1999])
def test_mt19937_before_the_seed_leads_to_the_seeds_stream(name: str, n: int) -> None:
    """NumPy's generator, set to the 624 words before some output, gives the outputs from there on."""
    w = walker(name, "reference")
    for seed in (0, 42, 2**32 - 1):
        w.seed(seed)
        w.back(n + 624)
        key = _untempered(w.ahead(624)[:, 0].astype(np.uint32))
        runtime = np.random.MT19937()
        runtime.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": 624}}
        assert (runtime.random_raw(n + 700) == w.ahead(n + 700)[:, 0]).all()


def _untempered(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Tempering undone by the inverse of its matrix: modulo 2, an odd determinant times the inverse over the reals."""
    columns = _tempered(np.uint32(1) << np.arange(32, dtype=np.uint32))
    matrix = (columns[None, :] >> np.arange(32, dtype=np.uint32)[:, None] & 1).astype(np.float32)
    inverse = np.round(np.linalg.inv(matrix) * np.linalg.det(matrix)) % 2
    assert (matrix @ inverse % 2 == np.eye(32)).all()
    bits = (words[:, None] >> np.arange(32, dtype=np.uint32) & 1).astype(np.float64)
    back = (bits @ inverse.T % 2).astype(np.uint64) << np.arange(32, dtype=np.uint64)
    plain = back.sum(1).astype(np.uint32)
    assert (_tempered(plain) == words).all()
    return plain


# --------------------------------------------------------------------------------------------- generators of the languages


def test_glibc_rand_goes_back_through_the_words_that_srand_discards() -> None:
    for seed in (0, 1, 42, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1):
        # random_r.c: 31 words of the chain, a negative int staying itself as the first; the recurrence from there.
        x = (seed or 1) - (2**32 if seed >= 2**31 else 0)
        r = [x]
        for _ in range(30):
            x = 16807 * x % (2**31 - 1)
            r.append(x)
        r += r[:3]
        while len(r) < 344:
            r.append(r[-3] + r[-31])
        discarded = [x % 2**32 >> 1 for x in r[34:]]
        assert before("glibc_rand.mod", seed, 310) == discarded[::-1]
        # What Lua 5.3 throws away is the first word.
        w = walker("glibc_rand.mod", "reference")
        w.seed(seed)
        assert before("lua53.random", seed, 311) == [int(w.ahead(1)[0, 0]), *discarded[::-1]]


def test_drand48_goes_back_to_the_words_that_lead_to_the_seed() -> None:
    for seed in (0, 42, 2**32 - 1):
        words, x = before("drand48.mod", seed, 300), (seed << 16) + 0x330E
        assert words[0] == x
        for earlier, later in zip(words[1:], words[:-1], strict=True):
            assert (earlier * 0x5DEECE66D + 11) % 2**48 == later
        assert before("glibc.lrand48", seed, 300) == [word >> 17 for word in words]


def test_numpys_pcg64_goes_back_as_its_advance_does() -> None:
    for seed in (0, 42, 2**32 + 1, 2**64 - 1):
        words = before("pcg64.mod", seed, 300)
        for n in (1, 2, 300):
            assert np.random.PCG64(seed).advance(-n).random_raw() == words[n - 1]
        halves = before("numpy.default_rng.integers", seed, 600)
        assert halves == [half for word in words for half in (word >> 32, word & 2**32 - 1)]


def test_numpys_philox_counts_down_through_all_four_words() -> None:
    for seed in (0, 42, 2**64 - 1):
        generator = np.random.Philox(seed)
        start, expected = generator.state, list[int]()
        for n in range(20):
            # NumPy adds one to the counter before it makes a block, and a new generator's first block is number 1.
            start["state"]["counter"] = np.array([(-n - 1 >> 64 * i) % 2**64 for i in range(4)], np.uint64)
            generator.state = start
            expected += [int(word) for word in generator.random_raw(4)[::-1]]
        assert before("philox4x64.mod", seed, 80) == expected


def test_mt19937_64_goes_back_through_the_seeded_array() -> None:
    for seed in (0, 5489, 2**64 - 1):
        x = [seed]
        for i in range(1, 312):
            x.append(((x[-1] ^ x[-1] >> 62) * 6364136223846793005 + i) % 2**64)
        words = before("mt19937_64.mod", seed, 311)
        for word, seeded in zip(words, x[:0:-1], strict=True):
            y = seeded ^ seeded >> 29 & 0x5555555555555555
            y ^= y << 17 & 0x71D67FFFEDA60000
            y ^= y << 37 & 0xFFF7EEE000000000
            assert word == y ^ y >> 43


def test_gos_generator_goes_back_by_the_recurrence() -> None:
    for seed in (0, 1, 42, 2**32 - 1):
        words = before("alfg607.mod", seed, 2000)[::-1]
        walker("alfg607.mod", "reference").seed(seed)
        words += [int(x) for x in walker("alfg607.mod", "reference").ahead(700)[:, 0]]
        for n in range(607, len(words)):
            assert words[n] == (words[n - 607] + words[n - 273]) % 2**64
