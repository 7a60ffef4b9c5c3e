"""Floor 0: one configuration in four layers, defaults < TOML file < environment < flags, one origin for each value.

A step describes its options as a frozen dataclass whose every field is made by `option`; the flags, the variables
PRNG_MPI_<FIELD>, the keys of the file and --help all derive from it. Fields are of type bool, int, float, str or
Path, `tuple[one of these, ...]`, or `dict[str, one of these]`; any of them may be `| None` with None as default.
A higher layer replaces a value whole: flags never add to a list or table of the file.

A class attribute `STEP: ClassVar[str]` names the step: keys of its table in the file ([sieve]) go before the top
level ones, tables of other steps are theirs to judge. Imports nothing beyond the standard library: --help is free.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import re
import sys
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NoReturn, Protocol, TypeVar

from prng_mpi.errors import UsageError, suggestion

ENV_PREFIX = "PRNG_MPI_"

# The steps that may own a table in a configuration file.
STEPS = (
    "sieve",
    "recover",
    "window_optimizer",
    "scorer_meta",
    "full_scoring",
    "adaptive_meta",
    "anti_overfit",
    "predict",
    "pipeline",
    "need",
    "identify",
    "jobs",
    "bench",
    "doctor",
    "status",
    "coverage",
    "report",
)

Shape = Literal["scalar", "list", "table"]
Layer = Mapping[str, tuple[Any, str]]

_KEY = "prng_mpi.option"
_LEAVES: tuple[type, ...] = (bool, int, float, str, Path)
_CONFIG_ENV = ENV_PREFIX + "CONFIG"
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_POWER = re.compile(r"([+-]?)([0-9]+)\*\*([0-9]+)(?:\s*([+-])\s*([0-9]+))?")
# No option needs more; it keeps 9**9**9 and 1e999999999 from filling the memory.
_MOST_BITS = 256


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


T = TypeVar("T", bound=_Dataclass)


@dataclass(frozen=True)
class Option:
    """One option: its field's name, shape and leaf type, and how it is named, shown and checked."""

    name: str
    shape: Shape
    leaf: type
    optional: bool
    default: Any
    help: str
    flag: str
    env: str
    choices: tuple[Any, ...] | None
    parse: Callable[[str], Any] | None
    metavar: str | None
    section: str
    minimum: float | None
    maximum: float | None
    words: bool


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """The options as `value`, where each came from (by field name), and the configuration file, if one was read.

    An origin is `default`, `file PATH`, `environment NAME` or `flag`.
    """

    value: T
    origins: dict[str, str]
    file: str | None


def option(
    default: Any,
    help: str,
    *,
    flag: str | None = None,
    env: str | None = None,
    choices: Iterable[Any] | None = None,
    parse: Callable[[str], Any] | None = None,
    metavar: str | None = None,
    section: str = "Options",
    minimum: float | None = None,
    maximum: float | None = None,
    words: bool = False,
) -> Any:
    """A dataclass field that is an option.

    flag and env default to --field-name and PRNG_MPI_FIELD_NAME. choices, minimum and maximum (both allowed) hold
    for every element of a list or table. parse turns text into one element, and must leave what it returns
    unchanged where that is text again; it raises ValueError or UsageError with a sentence. words: a list that also takes
    what stands on the command line without a flag, each word one element.
    """
    given = {
        "help": help,
        "flag": flag,
        "env": env,
        "choices": None if choices is None else tuple(choices),
        "parse": parse,
        "metavar": metavar,
        "section": section,
        "minimum": minimum,
        "maximum": maximum,
        "words": words,
    }
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata={_KEY: given})
    return field(default=default, metadata={_KEY: given})


def describe(cls: type[_Dataclass]) -> tuple[Option, ...]:
    """The options of a step in field order. Raises TypeError where the class breaks the rules of this module."""
    hints = typing.get_type_hints(cls)
    options = []
    for item in dataclasses.fields(cls):
        if _KEY not in item.metadata:
            raise TypeError(f"{cls.__name__}.{item.name} is not made by option()")
        if item.name in ("config", "help"):
            raise TypeError(f"{cls.__name__}.{item.name}: every step has --{item.name} already")
        given = dict(item.metadata[_KEY])
        shape, leaf, optional = _shape(hints[item.name])
        default = item.default if item.default is not dataclasses.MISSING else {}
        if item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        if optional and default is not None:
            raise TypeError(f"{cls.__name__}.{item.name}: TOML has no null, so only None can be its default")
        given["flag"] = "--" + (given["flag"] or item.name).removeprefix("--").replace("_", "-")
        given["env"] = given["env"] or ENV_PREFIX + item.name.upper()
        options.append(Option(item.name, shape, leaf, optional, default, **given))
    return tuple(options)


def load(
    cls: type[T],
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    read_file: Callable[[str], str] | None = None,
    *,
    other_env: Iterable[str] = (),
) -> Loaded[T]:
    """Build the options of a step from all layers. --config FILE or PRNG_MPI_CONFIG names the file.

    argv defaults to sys.argv[1:], environ to os.environ, read_file (path -> text) to the file system. other_env
    lists variables PRNG_MPI_* that are known but no option of this step. --help prints and raises SystemExit(0).
    Raises UsageError for an unknown flag, variable or key, and for a value that does not fit; it names the place.
    """
    environ = os.environ if environ is None else environ
    options = describe(cls)
    flags, config = _flag_layer(cls, list(sys.argv[1:] if argv is None else argv))
    variables = _env_layer(options, environ, other_env)
    config = config or environ.get(_CONFIG_ENV) or None
    below: Layer = {}
    if config is not None:
        below = _file_layer(cls, _read(config, read_file), f"file {config}")
    found = {**below, **variables, **flags}
    origins = {entry.name: found[entry.name][1] if entry.name in found else "default" for entry in options}
    return Loaded(cls(**{name: value for name, (value, _) in found.items()}), origins, config)


def show(loaded: Loaded[Any]) -> str:
    """Every value with its origin as aligned, valid TOML, `key = value  # origin`; unset options are comments."""
    rows = []
    for entry in describe(type(loaded.value)):
        value = getattr(loaded.value, entry.name)
        left = f"# {entry.name} is not set" if value is None else f"{entry.name} = {_toml(entry, value)}"
        # A comment may not hold control characters, a path may.
        origin = "".join(c if c.isprintable() else "?" for c in loaded.origins[entry.name])
        rows.append((left.partition(" = "), origin))
    keys = max((len(key) for (key, mark, _), _ in rows if mark), default=0)
    lefts = [f"{key:<{keys}}{mark}{value}" if mark else key for (key, mark, value), _ in rows]
    width = max(map(len, lefts), default=0)
    return "".join(f"{left:<{width}}  # {origin}\n" for left, (_, origin) in zip(lefts, rows, strict=True))


def to_toml(instance: _Dataclass) -> str:
    """All options as TOML, one line each, defaults too; None is left out. `from_toml` is the exact inverse.

    An integer outside TOML's 64 bits is written as a quoted hexadecimal text ("0x10000000000000000"), which every
    integer option reads.
    """
    pairs = [(entry, getattr(instance, entry.name)) for entry in describe(type(instance))]
    return "".join(f"{entry.name} = {_toml(entry, value)}\n" for entry, value in pairs if value is not None)


def from_toml(cls: type[T], text: str, source: str = "stored configuration") -> T:
    """Options from what `to_toml` or `show` wrote; absent keys take their default. Raises UsageError."""
    return cls(**{name: value for name, (value, _) in _file_layer(cls, text, source).items()})


def judge(cls: type[_Dataclass], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Values by option name of what TOML or JSON holds for them, decimals as Decimal. Raises UsageError for an unknown key
    and for a value that does not fit; it names `where`."""
    entries = {entry.name: entry for entry in describe(cls)}
    values: dict[str, Any] = {}
    for key, raw in given.items():
        name = key.replace("-", "_")
        if name not in entries:
            raise UsageError(f"{where}: unknown key {_brief(key)}{suggestion(name, entries)}; remove or correct it.")
        if name in values:
            raise UsageError(f"{where}: {name} stands there twice, with - and with _; keep one.")
        values[name] = _judge(entries[name], raw, f"{where}: {name}", _from_toml)
    return values


def parse_int(text: str) -> int:
    """An integer as people write it: 4_294_967_296, 0x1F, 0b101, 2**32, 2**32-1, 1e6, 4.3e9. Raises ValueError.

    k, M and G are refused: they mean powers of 1000 to some and of 1024 to others.
    """
    word = text.strip()
    if power := _POWER.fullmatch(word):
        sign, base, exponent, plus, rest = power.groups()
        if len(word) > 60 or int(base).bit_length() * int(exponent) > _MOST_BITS:
            raise ValueError(f"{_brief(text)} is too large")
        magnitude: int = int(base) ** int(exponent)
        return (-magnitude if sign == "-" else magnitude) + int(f"{plus or '+'}{rest or 0}")
    if _NUMBER.fullmatch(word) and len(word) <= 100:
        return _exact(Decimal(word), text)
    if word.isascii() and len(word) <= 100:
        try:
            return int(word, 0)
        except ValueError:
            pass
    if re.fullmatch(r"[0-9.]+[kKmMgGtT]i?", word):
        raise ValueError(f"{text!r} could mean powers of 1000 or of 1024; write 1e6 or 2**20")
    raise ValueError(f"{_brief(text)} is not an integer; write it as 1000000, 1_000_000, 1e6, 0xF4240 or 2**20")


def parse_seconds(text: str) -> float:
    """90, 90s, 10m, 3h or 2d as seconds. Raises ValueError."""
    return _measure(text, {"s": 1, "m": 60, "h": 3600, "d": 86400}, "time; write 90, 90s, 10m, 3h or 2d")


def parse_size(text: str) -> float:
    """1.5 GB, 800 MB or a number of bytes as bytes. Raises ValueError."""
    return _measure(text, {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}, "size; write 1.5 GB, 800 MB or bytes")


def format_size(number: float) -> str:
    """Bytes as people write them, and as `parse_size` reads them: 6.1 GB, 350 MB."""
    return f"{number / 1e9:.3g} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def _measure(text: str, units: dict[str, float], what: str) -> float:
    word = text.strip()
    unit = next((unit for unit in units if word.endswith(unit)), "")
    try:
        value = float(word.removesuffix(unit)) * units.get(unit, 1)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e15:
        raise ValueError(f"{_brief(text)} is no {what}")
    return value


def make_parser(cls: type[_Dataclass]) -> argparse.ArgumentParser:
    """The command line of a step: texts only, absent where not given; `load` converts and judges them."""
    parser = _Parser(
        prog=f"python -m prng_mpi.{_step(cls)}" if _step(cls) else None,
        description=cls.__doc__,
        epilog="Each option may also stand in the file (seed_start = 0) "
        f"or the environment ({ENV_PREFIX}SEED_START=0); "
        "flags go before the environment, the environment before the file. "
        "Integers: 1_000_000, 1e6, 0xF4240, 2**20. 'none' unsets an option that has no default.",
        usage=" ".join(["%(prog)s [options]", *(f"[{entry.metavar}...]" for entry in describe(cls) if entry.words)]),
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        add_help=False,
    )
    groups: dict[str, Any] = {}
    for entry in describe(cls):
        if entry.section not in groups:
            groups[entry.section] = parser.add_argument_group(entry.section)
        _add_flag(groups[entry.section], entry)
    general = parser.add_argument_group("General")
    general.add_argument("--config", metavar="FILE", help=f"TOML file of options (environment: {_CONFIG_ENV})")
    general.add_argument("-h", "--help", action="help", help="show this and exit")
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message.removeprefix('argument ')}; --help lists the options.")


def _add_flag(group: Any, entry: Option) -> None:
    notes = [] if entry.default is None else [f"default: {_toml(entry, entry.default)}"]
    if entry.choices and entry.metavar:
        notes.append("one of " + ", ".join(map(str, entry.choices)))
    if entry.shape != "scalar":
        notes.append("separated by commas, or repeated")
    text = f"{entry.help} ({'; '.join(notes)})" if notes else entry.help
    text = text.replace("%", "%%")
    if (entry.shape, entry.leaf) == ("scalar", bool):
        group.add_argument(entry.flag, dest=entry.name, action=argparse.BooleanOptionalAction, help=text)
        return
    kind = "{" + ",".join(map(str, entry.choices)) + "}" if entry.choices else entry.leaf.__name__.upper()
    metavar = entry.metavar or (f"NAME={kind}" if entry.shape == "table" else kind)
    group.add_argument(entry.flag, dest=entry.name, action="append", metavar=metavar, help=text)


def _flag_layer(cls: type[_Dataclass], argv: list[str]) -> tuple[dict[str, tuple[Any, str]], str | None]:
    """The options given as flags, and the configuration file named there; of a repeated scalar the last."""
    parser = make_parser(cls)
    space, extra = parser.parse_known_args(argv)
    given = vars(space)
    taker = next((entry for entry in describe(cls) if entry.words), None)
    words = [word for word in extra if taker and not word.startswith("-")]
    if rest := [word for word in extra if word not in words]:
        word = rest[0].partition("=")[0]
        if not word.startswith("-"):
            raise UsageError(f"Unexpected argument {_brief(word)}: options start with --; --help lists them.")
        known = [name for action in parser._actions for name in action.option_strings]
        raise UsageError(f"Unknown option {word}{suggestion(word, known)}; --help lists the options.")
    layer: dict[str, tuple[Any, str]] = {}
    for entry in describe(cls):
        if entry.name in given:
            texts = given[entry.name]
            value = texts if isinstance(texts, bool) else _judge(entry, texts, entry.flag, _from_texts)
            layer[entry.name] = (value, "flag")
    if taker and words:
        before = layer[taker.name][0] if taker.name in layer else ()
        named = [item for word in words for item in _judge(taker, [word], taker.metavar or taker.name, _word)]
        layer[taker.name] = ((*before, *named), "flag")
    return layer, given.get("config")


def _env_layer(
    options: Sequence[Option], environ: Mapping[str, str], other: Iterable[str]
) -> dict[str, tuple[Any, str]]:
    known = {entry.env for entry in options} | {_CONFIG_ENV, *other}
    for name in environ:
        if name.startswith(ENV_PREFIX) and name not in known:
            raise UsageError(f"Unknown environment variable {name}{suggestion(name, known)}; unset or correct it.")
    layer = {}
    for entry in options:
        if entry.env in environ:
            origin = f"environment {entry.env}"
            layer[entry.name] = (_judge(entry, [environ[entry.env]], origin, _from_texts), origin)
    return layer


def _read(path: str, read_file: Callable[[str], str] | None) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8") if read_file is None else read_file(path)
    except OSError as error:
        raise UsageError(f"{path}: the configuration file can't be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UsageError(f"{path}: the configuration file is not UTF-8 text ({error}).") from error
    return text.removeprefix("\ufeff")


def _file_layer(cls: type[_Dataclass], text: str, source: str) -> dict[str, tuple[Any, str]]:
    try:
        # Decimals, since a float would lose digits of an integer written as 4.3e18.
        data = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source}: it is not valid TOML: {error}.") from error
    steps = {*STEPS, _step(cls)} - {entry.name for entry in describe(cls)}
    tables = {name: data.pop(name) for name in steps if isinstance(data.get(name), dict)}
    layer: dict[str, tuple[Any, str]] = {}
    for where, table in ((source, data), (f"{source}: [{_step(cls)}]", tables.get(_step(cls), {}))):
        layer |= {name: (value, source) for name, value in judge(cls, table, where).items()}
    return layer


def _judge(entry: Option, raw: Any, where: str, convert: Callable[[Option, Any], Any]) -> Any:
    """The value of an option, its sentence of complaint prefixed with where it stands."""
    try:
        value = convert(entry, raw)
        for item in _elements(entry, value):
            _check(entry, item)
    except (ValueError, UsageError) as error:
        raise UsageError(f"{where}: {str(error).removesuffix('.')}.") from error
    return value


def _elements(entry: Option, value: Any) -> list[Any]:
    if value is None:
        return []
    if entry.shape == "scalar":
        return [value]
    return list(value.values() if entry.shape == "table" else value)


def _check(entry: Option, item: Any) -> None:
    if entry.choices is not None and item not in entry.choices:
        names = [str(choice) for choice in entry.choices]
        raise ValueError(f"{_brief(str(item))} is not one of {', '.join(names)}{suggestion(str(item), names)}")
    if entry.minimum is not None and item < entry.minimum:
        raise ValueError(f"{item} is below the least allowed, {entry.minimum}")
    if entry.maximum is not None and item > entry.maximum:
        raise ValueError(f"{item} is above the most allowed, {entry.maximum}")


def _from_texts(entry: Option, texts: list[str]) -> Any:
    """The value that a flag, given once or more, or a variable spells."""
    # The operating system hands over bytes that are not UTF-8 as lone surrogates; TOML can't hold those.
    if any(0xD800 <= ord(c) < 0xE000 for text in texts for c in text):
        raise ValueError(f"{_brief(','.join(texts))} is not UTF-8 text")
    if entry.optional and texts[-1] == "none":
        return None
    if entry.shape == "scalar":
        return _leaf_from_text(entry, texts[-1])
    items = [item.strip() for text in texts if text.strip() for item in text.split(",")]
    if "" in items:
        raise ValueError(f"{_brief(','.join(texts))} has an empty item between its commas")
    if entry.shape == "list":
        return tuple(_leaf_from_text(entry, item) for item in items)
    table: dict[str, Any] = {}
    for item in items:
        key, mark, value = (part.strip() for part in item.partition("="))
        if not mark or not key:
            raise ValueError(f"{_brief(item)} does not read name=value")
        if key in table:
            raise ValueError(f"{_brief(key)} is given twice")
        table[key] = _leaf_from_text(entry, value)
    return table


def _word(entry: Option, texts: list[str]) -> Any:
    """A list of what one word of the command line spells; commas are part of it."""
    return (_leaf_from_text(entry, texts[0]),)


def _leaf_from_text(entry: Option, text: str) -> Any:
    if entry.parse is not None:
        return entry.parse(text)
    if entry.leaf is bool:
        return _bool(text)
    if entry.leaf is int:
        return parse_int(text)
    if entry.leaf is float:
        return _float(text)
    if entry.leaf is Path and not text:
        raise ValueError("the path is empty")
    return entry.leaf(text)


def _bool(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(f"{_brief(text)} is neither {', '.join(_TRUE)} nor {', '.join(_FALSE)}")
    return word in _TRUE


def _float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise ValueError(f"{_brief(text)} is not a number")
    return value


def _from_toml(entry: Option, raw: Any) -> Any:
    if entry.shape == "scalar":
        return _leaf_from_toml(entry, raw)
    if entry.shape == "list":
        if not isinstance(raw, list):
            raise ValueError(f"{_brief(raw)} is not a list; write it in [ ]")
        return tuple(_leaf_from_toml(entry, item) for item in raw)
    if not isinstance(raw, dict):
        raise ValueError(f"{_brief(raw)} is not a table; write it as {{ name = value }}")
    return {key: _leaf_from_toml(entry, item) for key, item in raw.items()}


def _leaf_from_toml(entry: Option, raw: Any) -> Any:
    leaf = entry.leaf
    if isinstance(raw, str) and leaf is not bool:
        return _leaf_from_text(entry, raw)
    # bool is an int to Python, never a number here.
    number = isinstance(raw, int | Decimal) and not isinstance(raw, bool)
    if leaf is int and number:
        return _exact(Decimal(raw), str(raw))
    if leaf is float and number:
        return _float(str(raw))
    if leaf is bool and isinstance(raw, bool):
        return raw
    names = {bool: "true or false, without quotes", int: "an integer", float: "a number"}
    raise ValueError(f"{_brief(raw)} is not {names.get(leaf, 'text in quotes')}")


def _exact(number: Decimal, text: str) -> int:
    """The integer that a decimal is exactly. Raises ValueError for any other."""
    # adjusted() is the power of ten; 0e99999 has one too, and 77 digits hold 256 bits.
    if number.is_finite() and abs(number.adjusted()) <= 77 and int(number) == number:
        return int(number)
    raise ValueError(f"{_brief(text)} is not an integer, or too large")


def _toml(entry: Option, value: Any) -> str:
    if entry.shape == "scalar":
        return _leaf_to_toml(entry.leaf, value)
    if entry.shape == "list":
        return "[" + ", ".join(_leaf_to_toml(entry.leaf, item) for item in value) + "]"
    pairs = (f"{_toml_key(key)} = {_leaf_to_toml(entry.leaf, item)}" for key, item in value.items())
    return "{" + ", ".join(pairs) + "}"


def _leaf_to_toml(leaf: type, value: Any) -> str:
    if leaf is bool:
        return "true" if value else "false"
    if leaf is int:
        return str(int(value)) if -(1 << 63) <= value < 1 << 63 else f'"{value:#x}"'
    if leaf is float:
        return repr(float(value))
    return _toml_text(str(value))


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_text(key)


def _toml_text(text: str) -> str:
    # TOML's escapes are JSON's, but it wants DEL escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _shape(hint: Any) -> tuple[Shape, type, bool]:
    """Shape, leaf type and whether None is allowed, of a field's annotation."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in _LEAVES:
        return "scalar", hint, False
    if origin in (typing.Union, types.UnionType) and len(args) == 2 and type(None) in args:
        shape, leaf, _ = _shape(args[0] if args[1] is type(None) else args[1])
        return shape, leaf, True
    if origin is tuple and len(args) == 2 and args[0] in _LEAVES and args[1] is Ellipsis:
        return "list", args[0], False
    if origin is dict and args[0] is str and args[1] in _LEAVES:
        return "table", args[1], False
    raise TypeError(f"{hint} can't be an option's type")


def _step(cls: type[_Dataclass]) -> str:
    return str(getattr(cls, "STEP", ""))


def _brief(value: object) -> str:
    text = repr(value) if isinstance(value, str | bool | list | dict) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
