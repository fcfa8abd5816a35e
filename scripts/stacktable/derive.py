"""From wheel metadata to the table's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from itertools import groupby

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from stacktable.curated import BUILDS, CUDA_11, PROBABILITY, Build
from stacktable.index import Index, Wheel

OLDEST = Version("2.4")
#: Lowest minor of CPython 3 that a profile can name.
OLDEST_PYTHON = 8
#: Requirements of TensorFlow that the table holds.
NEEDS = (
    *("keras", "keras-nightly", "tf-keras", "numpy", "protobuf", "ml-dtypes", "h5py", "typing-extensions"),
    *("tensorboard", "tensorflow-estimator", "tensorflow-io-gcs-filesystem"),
)
COMPANIONS = (
    *("tensorflow-hub", "tensorflow-text", "tensorflow-probability", "tensorflow-datasets"),
    *("tensorflow-addons", "tf-keras", "keras-cv", "keras-hub", "keras-tuner"),
)
#: Releases of companions from before TensorFlow 2.4 are left out.
_COMPANIONS_SINCE = "2020-12-01"
#: At once; the index is shared with everybody.
_CONNECTIONS = 4


@dataclass(frozen=True)
class Row:
    """A TensorFlow release; see the table's header for the fields."""

    release: str
    python: tuple[str, ...]
    cpu_python: tuple[str, ...]
    needs: tuple[str, ...]
    source_builds: tuple[str, ...]
    extra: tuple[str, ...]
    without_wheels: tuple[str, ...]
    cuda_pins: tuple[str, ...]
    wheels_cuda: str
    wheels_cudnn: str

    @property
    def facts(self) -> tuple[object, ...]:
        """All but the release, so that releases with the same facts share a row."""
        return tuple(value for name, value in vars(self).items() if name != "release")


@dataclass(frozen=True)
class Pair:
    """A companion's release and the TensorFlow it goes with."""

    release: str
    tensorflow: str
    python: tuple[str, ...]
    source_builds: tuple[str, ...]
    read: str


def minor_key(python: str) -> int:
    """3.10 after 3.9."""
    return int(python.split(".")[1])


def line_of(release: str) -> str:
    """The minor line of a release: 2.15 of 2.15.1."""
    version = Version(release)
    return f"{version.major}.{version.minor}"


def build_of(release: str) -> Build:
    """The curated part for a release.

    Raises:
        LookupError: TensorFlow has a new line, and curated.py has to be brought up to date first.
    """
    for build in BUILDS:
        if line_of(release) in build.lines:
            return build
    raise LookupError(f"curated.py knows nothing of TensorFlow {line_of(release)}")


def by_release(wheels: Iterable[Wheel]) -> dict[str, list[Wheel]]:
    """The wheels of each release, oldest release and oldest Python first."""
    found: dict[str, list[Wheel]] = {}
    for wheel in wheels:
        found.setdefault(wheel.version, []).append(wheel)
    for of_one in found.values():
        of_one.sort(key=lambda wheel: 0 if wheel.pythons == ("any",) else minor_key(wheel.pythons[-1]))
    return found


def pythons_of(wheels: Iterable[Wheel]) -> tuple[str, ...]:
    """Every CPython that one of the wheels serves, oldest first; nothing for pure wheels."""
    return tuple(sorted({p for wheel in wheels for p in wheel.pythons if p != "any"}, key=minor_key))


def declared(metadata: Message) -> list[Requirement]:
    """The Requires-Dist lines."""
    return [Requirement(line) for line in metadata.get_all("Requires-Dist") or []]


def _environment(python: str, extra: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "extra": extra,
    }


def applies(requirement: Requirement, python: str, extra: str = "") -> bool:
    """Whether a requirement counts on Linux x86-64 with that Python and extra."""
    return requirement.marker is None or requirement.marker.evaluate(_environment(python, extra))


def text_of(requirement: Requirement, pythons: tuple[str, ...], extra: str = "") -> str:
    """A requirement in PEP 508, normalised; its Pythons as a marker where it does not count on all of them."""
    specifier = ",".join(sorted(str(one) for one in requirement.specifier))
    text = f"{canonicalize_name(requirement.name)}{specifier}"
    where = [python for python in pythons if applies(requirement, python, extra)]
    if len(where) == len(pythons):
        return text
    if where == list(pythons[: len(where)]):
        return f"{text}; python_version < '{pythons[len(where)]}'"
    if where == list(pythons[-len(where) :]):
        return f"{text}; python_version >= '{where[0]}'"
    raise ValueError(f"{text} counts on {where} of {pythons}, which the table has no words for")


class Reader:
    """Derives rows from an index."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._wheels: dict[str, dict[str, list[Wheel]]] = {}

    def wheels(self, name: str) -> dict[str, list[Wheel]]:
        """The wheels of a distribution by release."""
        if name not in self._wheels:
            self._wheels[name] = by_release(self._index.wheels(name))
        return self._wheels[name]

    def metadata(self, wheel: Wheel) -> Message:
        """The core metadata of a wheel."""
        return self._index.metadata(wheel)

    def releases(self) -> list[str]:
        """Every TensorFlow release that belongs in the table, oldest first."""
        return [release for release in self.wheels("tensorflow") if Version(release) >= OLDEST]

    def rows(self, releases: Iterable[str]) -> list[Row]:
        """The rows of those releases."""
        names = list(releases)
        self.read([self.wheels("tensorflow")[name][place] for name in names for place in (0, -1)])
        return [self._row(name) for name in names]

    def read(self, wheels: list[Wheel]) -> None:
        """Fetch metadata into the cache, a few at once."""
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(pool.map(self._index.metadata, wheels))

    def _row(self, release: str) -> Row:
        wheels = self.wheels("tensorflow")[release]
        pythons = pythons_of(wheels)
        requirements = declared(self._index.metadata(wheels[-1]))
        if sorted(map(str, requirements)) != sorted(map(str, declared(self._index.metadata(wheels[0])))):
            raise ValueError(f"the wheels of TensorFlow {release} differ in what they declare")
        needs = self._texts(requirements, pythons, "", lambda name: name in NEEDS)
        extra = self._texts(
            [r for r in requirements if "and-cuda" in str(r.marker)], pythons, "and-cuda", lambda _: True
        )
        lacking = {text: self._pythons_without(text, pythons) for text in extra}
        without = [f"{text} on {', '.join(where)}" for text, where in lacking.items() if where]
        pins = self._pins(release, extra, lacking)
        brought = pins or extra
        return Row(
            release,
            pythons,
            pythons_of(self.wheels("tensorflow-cpu").get(release, [])),
            tuple(needs),
            self._without_wheels(requirements, pythons),
            tuple(extra),
            tuple(without),
            tuple(pins),
            self.newest(brought, "nvidia-cuda-runtime"),
            self.newest(brought, "nvidia-cudnn"),
        )

    def _texts(
        self,
        requirements: list[Requirement],
        pythons: tuple[str, ...],
        extra: str,
        wanted: Callable[[str], bool],
    ) -> list[str]:
        return sorted(
            text_of(requirement, pythons, extra)
            for requirement in requirements
            if wanted(canonicalize_name(requirement.name))
            and any(applies(requirement, python, extra) for python in pythons)
        )

    def _without_wheels(self, requirements: list[Requirement], pythons: tuple[str, ...]) -> tuple[str, ...]:
        """What it declares and the index has only as source, for a Python that profiles can name."""
        supported = tuple(python for python in pythons if minor_key(python) >= OLDEST_PYTHON)
        texts = self._texts(requirements, pythons, "", lambda _: True)
        return tuple(
            Requirement(text).name
            for text in texts
            # A range that names a development release means a nightly, which is not in the listing.
            if ";" not in text
            and not Requirement(text).specifier.prereleases
            and self._pythons_without(text, supported)
        )

    def _pythons_without(self, text: str, pythons: tuple[str, ...]) -> list[str]:
        """The Pythons for which no wheel on the index satisfies a requirement."""
        requirement = Requirement(text)
        fitting = [
            wheel
            for release, wheels in self.wheels(canonicalize_name(requirement.name)).items()
            if requirement.specifier.contains(release)
            for wheel in wheels
        ]
        return [p for p in pythons if not any("any" in w.pythons or p in w.pythons for w in fitting)]

    def _pins(self, release: str, extra: list[str], lacking: dict[str, list[str]]) -> list[str]:
        """The wheels to name one by one: where there is no extra, or where a part of it has no wheels."""
        build = build_of(release)
        if extra:
            has_all = not any(lacking.values())
            return [] if has_all else [text for text in extra if not lacking[text] and "nvidia" in text]
        if build.gpu_trouble:
            return []
        pins = [*CUDA_11, f"nvidia-cudnn-cu11=={build.cudnn_pin}"]
        for pin in pins:
            if self._pythons_without(pin, ("3.8",)):
                raise ValueError(f"no wheel on the index for {pin}, which TensorFlow {release} needs")
        return pins

    def newest(self, texts: Iterable[str], name: str) -> str:
        """Major and minor of the newest release that the requirement on `name` admits, or ""."""
        for text in texts:
            if text.startswith(name):
                requirement = Requirement(text)
                fitting = [
                    Version(release)
                    for release in self.wheels(canonicalize_name(requirement.name))
                    if requirement.specifier.contains(release)
                ]
                if fitting:
                    return f"{max(fitting).major}.{max(fitting).minor}"
        return ""

    def companions(self, name: str, rows: list[Row]) -> list[Pair]:
        """The releases of a companion, oldest first.

        Args:
            name: normalised name.
            rows: all of TensorFlow's, to say which of them take a Keras.
        """
        kept = {
            release: wheels
            for release, wheels in self.wheels(name).items()
            if wheels[-1].uploaded >= _COMPANIONS_SINCE
        }
        self.read([wheels[-1] for wheels in kept.values()])
        pairs = []
        for release, wheels in kept.items():
            requirements = declared(self._index.metadata(wheels[-1]))
            spec, read = self._tensorflow_for(name, release, requirements, rows)
            pairs.append(Pair(release, spec, pythons_of(wheels), self._only_as_source(requirements), read))
        return pairs

    def _only_as_source(self, requirements: list[Requirement]) -> tuple[str, ...]:
        """What is required and the index has for no Python as a wheel, also through another companion."""
        found: set[str] = set()
        for requirement in requirements:
            name = str(canonicalize_name(requirement.name))
            if not applies(requirement, "3.11"):
                continue
            if name in COMPANIONS:
                newest = list(self.wheels(name).values())[-1][-1]
                found |= set(self._only_as_source(declared(self._index.metadata(newest))))
            elif not any(requirement.specifier.contains(one) for one in self.wheels(name)):
                found |= set() if requirement.specifier.prereleases else {name}
        return tuple(sorted(found))

    def _tensorflow_for(
        self, name: str, release: str, requirements: list[Requirement], rows: list[Row]
    ) -> tuple[str, str]:
        plain = {str(canonicalize_name(r.name)): r for r in requirements if applies(r, "3.11")}
        of_extra = {
            str(canonicalize_name(r.name)): r
            for r in requirements
            if applies(r, "3.11", "tensorflow") or applies(r, "3.11", "tf")
        }
        if "tensorflow" in plain:
            found = _sorted(plain["tensorflow"].specifier), "Requires-Dist"
        elif name == "tensorflow-probability" and line_of(release) in PROBABILITY:
            found = f">={PROBABILITY[line_of(release)]}", "release notes"
        elif name == "tf-keras":
            found = f"=={line_of(release)}.*", "the same minor"
        elif "tf-keras" in plain:
            # tf-keras has one line for each line of TensorFlow.
            least = min(Version(one.version) for one in plain["tf-keras"].specifier if one.operator == ">=")
            found = f">={least.major}.{least.minor}", "Requires-Dist on tf-keras"
        elif "keras" in plain and plain["keras"].specifier:
            found = self._taking_keras(plain["keras"].specifier, rows), "Requires-Dist on keras"
        elif "tensorflow" in of_extra:
            found = _sorted(of_extra["tensorflow"].specifier), "Requires-Dist of an extra"
        else:
            found = "", "nothing declared"
        return found

    def _taking_keras(self, asked: SpecifierSet, rows: list[Row]) -> str:
        keras = [release for release in self.wheels("keras") if asked.contains(release)]
        for row in rows:
            own = next((Requirement(need) for need in row.needs if need.startswith("keras")), None)
            if own is not None and own.name == "keras" and any(own.specifier.contains(one) for one in keras):
                return f">={row.release}"
        raise ValueError(f"no TensorFlow takes keras{asked}")

    def keras(self) -> list[str]:
        """Every Keras release since 2.4, oldest first."""
        return [release for release in self.wheels("keras") if Version(release) >= OLDEST]


def _sorted(specifier: SpecifierSet) -> str:
    return ",".join(sorted((str(one) for one in specifier), key=lambda text: (text[0] not in ">=~", text)))


def grouped(rows: list[Row]) -> list[tuple[list[str], Row]]:
    """Neighbours with the same facts together."""
    return [
        ([row.release for row in group], group[0])
        for _, same in groupby(rows, key=lambda row: row.facts)
        for group in [list(same)]
    ]
