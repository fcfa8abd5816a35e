"""Make the table's rows of TensorFlow and its companions from the metadata of wheels."""

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

from stacktable.curated import BUILDS, CUDA_11, PROBABILITY, RUNS_ON, Build
from stacktable.index import Index, Wheel

OLDEST = Version("1.13.1")
#: The oldest Keras, which TensorFlow does not contain up to 2.5.
OLDEST_KERAS = Version("2.2.4")
#: Lowest minor of CPython 3 that a profile can name.
OLDEST_PYTHON = 7
#: Requirements of TensorFlow that the table lists.
NEEDS = (
    *("keras", "keras-nightly", "tf-keras", "numpy", "protobuf", "ml-dtypes", "h5py", "typing-extensions"),
    *("tensorboard", "tensorflow-estimator", "tensorflow-io-gcs-filesystem", "scipy", "gast", "wrapt"),
    "keras-applications",
)
COMPANIONS = (
    *("tensorflow-hub", "tensorflow-text", "tensorflow-probability", "tensorflow-datasets"),
    *("tensorflow-addons", "tf-keras", "keras-cv", "keras-hub", "keras-tuner", "keras"),
)
#: Releases of companions from before TensorFlow 1.13 are left out.
_COMPANIONS_SINCE = "2018-12-01"
#: Concurrent requests to the index.
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
        """All fields but the release; releases with the same facts share a row."""
        return tuple(value for name, value in vars(self).items() if name != "release")


@dataclass(frozen=True)
class Pair:
    """A companion's release and the TensorFlow releases that it is compatible with."""

    release: str
    tensorflow: str
    python: tuple[str, ...]
    source_builds: tuple[str, ...]
    read: str


def minor_key(python: str) -> int:
    """Sort key of a Python: 10 for 3.10."""
    return int(python.split(".")[1])


def find_line(release: str) -> str:
    """The minor line of a release: 2.15 of 2.15.1."""
    version = Version(release)
    return f"{version.major}.{version.minor}"


def find_build(release: str) -> Build:
    """The curated facts of a release; raises `LookupError` if curated.py does not have its line yet."""
    for build in BUILDS:
        if find_line(release) in build.lines:
            return build
    raise LookupError(f"curated.py has no entry for TensorFlow {find_line(release)}")


def group_by_release(wheels: Iterable[Wheel]) -> dict[str, list[Wheel]]:
    """The wheels of each release, oldest release and oldest Python first."""
    releases: dict[str, list[Wheel]] = {}
    for wheel in wheels:
        releases.setdefault(wheel.version, []).append(wheel)
    for release_wheels in releases.values():
        release_wheels.sort(
            key=lambda wheel: 0 if wheel.pythons == ("any",) else minor_key(wheel.pythons[-1])
        )
    return releases


def list_pythons(wheels: Iterable[Wheel]) -> tuple[str, ...]:
    """The CPythons that the wheels support, oldest first; empty for pure wheels."""
    return tuple(sorted({p for wheel in wheels for p in wheel.pythons if p != "any"}, key=minor_key))


def read_requirements(metadata: Message) -> list[Requirement]:
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
    """Whether a requirement applies on Linux x86-64 with a Python and an extra."""
    return requirement.marker is None or requirement.marker.evaluate(_environment(python, extra))


def format_requirement(requirement: Requirement, pythons: tuple[str, ...], extra: str = "") -> str:
    """A normalized PEP 508 requirement, with a marker if it does not apply to all the Pythons."""
    specifier = ",".join(sorted(str(part) for part in requirement.specifier))
    text = f"{canonicalize_name(requirement.name)}{specifier}"
    where = [python for python in pythons if applies(requirement, python, extra)]
    if len(where) == len(pythons):
        return text
    if where == list(pythons[: len(where)]):
        return f"{text}; python_version < '{pythons[len(where)]}'"
    if where == list(pythons[-len(where) :]):
        return f"{text}; python_version >= '{where[0]}'"
    raise ValueError(f"{text} applies to {where} of {pythons}, which no marker of the table expresses")


def find_curated_range(name: str, release: str) -> str:
    """The TensorFlow of a companion's release according to curated.py, or ""."""
    ranges, _ = RUNS_ON.get(name, ({}, ""))
    return next((tensorflow for key, tensorflow in ranges.items() if SpecifierSet(key).contains(release)), "")


class Reader:
    """Makes rows from an index."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._wheels: dict[str, dict[str, list[Wheel]]] = {}

    def wheels(self, name: str) -> dict[str, list[Wheel]]:
        """The wheels of a distribution by release."""
        if name not in self._wheels:
            self._wheels[name] = group_by_release(self._index.wheels(name))
        return self._wheels[name]

    def metadata(self, wheel: Wheel) -> Message:
        """The core metadata of a wheel."""
        return self._index.metadata(wheel)

    def releases(self) -> list[str]:
        """The TensorFlow releases of the table, oldest first."""
        return [release for release in self.wheels("tensorflow") if Version(release) >= OLDEST]

    def rows(self, releases: Iterable[str]) -> list[Row]:
        """The rows of these releases."""
        names = list(releases)
        self.read([self.wheels("tensorflow")[name][position] for name in names for position in (0, -1)])
        return [self._row(name) for name in names]

    def read(self, wheels: list[Wheel]) -> None:
        """Fetch the metadata of wheels into the cache, a few at a time."""
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(pool.map(self._index.metadata, wheels))

    def _row(self, release: str) -> Row:
        wheels = self.wheels("tensorflow")[release]
        pythons = list_pythons(wheels)
        requirements = read_requirements(self._index.metadata(wheels[-1]))
        if sorted(map(str, requirements)) != sorted(
            map(str, read_requirements(self._index.metadata(wheels[0])))
        ):
            raise ValueError(f"the wheels of TensorFlow {release} declare different requirements")
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
            list_pythons(self.wheels("tensorflow-cpu").get(release, [])),
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
        is_included: Callable[[str], bool],
    ) -> list[str]:
        return sorted(
            format_requirement(requirement, pythons, extra)
            for requirement in requirements
            if is_included(canonicalize_name(requirement.name))
            and any(applies(requirement, python, extra) for python in pythons)
        )

    def _without_wheels(self, requirements: list[Requirement], pythons: tuple[str, ...]) -> tuple[str, ...]:
        """Requirements that have no wheel on the index for one of the Pythons that a profile can select."""
        supported = tuple(python for python in pythons if minor_key(python) >= OLDEST_PYTHON)
        texts = self._texts(requirements, pythons, "", lambda _: True)
        return tuple(
            Requirement(text).name
            for text in texts
            # A range with a development release means a nightly, which is not in the listing.
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
        """The wheels to list instead of the extra, if the release has none or a part of it has no wheels."""
        build = find_build(release)
        if extra:
            has_all = not any(lacking.values())
            return [] if has_all else [text for text in extra if not lacking[text] and "nvidia" in text]
        if build.gpu_trouble:
            return []
        pins = [*CUDA_11, f"nvidia-cudnn-cu11=={build.cudnn_pin}"]
        for pin in pins:
            if self._pythons_without(pin, ("3.8",)):
                raise ValueError(f"the index has no wheel for {pin}, which TensorFlow {release} needs")
        return pins

    def newest(self, texts: Iterable[str], name: str) -> str:
        """Major and minor of the newest release that the requirement on `name` allows, or ""."""
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
            name: its normalized name.
            rows: all rows of TensorFlow, to find which support a Keras.
        """
        releases = {
            release: wheels
            for release, wheels in self.wheels(name).items()
            if (
                find_curated_range(name, release)
                if name == "keras"
                else wheels[-1].uploaded >= _COMPANIONS_SINCE
            )
        }
        self.read([wheels[-1] for wheels in releases.values()])
        pairs = []
        for release, wheels in releases.items():
            requirements = read_requirements(self._index.metadata(wheels[-1]))
            spec, read = self._tensorflow_for(name, release, requirements, rows)
            pairs.append(Pair(release, spec, list_pythons(wheels), self._only_as_source(requirements), read))
        return pairs

    def _only_as_source(self, requirements: list[Requirement]) -> tuple[str, ...]:
        """Requirements without any wheel on the index, including those of required companions."""
        names: set[str] = set()
        for requirement in requirements:
            name = str(canonicalize_name(requirement.name))
            if not applies(requirement, "3.11"):
                continue
            if name in COMPANIONS:
                newest = list(self.wheels(name).values())[-1][-1]
                names |= set(self._only_as_source(read_requirements(self._index.metadata(newest))))
            elif not any(requirement.specifier.contains(release) for release in self.wheels(name)):
                names |= set() if requirement.specifier.prereleases else {name}
        return tuple(sorted(names))

    def _tensorflow_for(
        self, name: str, release: str, requirements: list[Requirement], rows: list[Row]
    ) -> tuple[str, str]:
        plain = {str(canonicalize_name(r.name)): r for r in requirements if applies(r, "3.11")}
        of_extra = {
            str(canonicalize_name(r.name)): r
            for r in requirements
            if applies(r, "3.11", "tensorflow") or applies(r, "3.11", "tf")
        }
        curated = find_curated_range(name, release)
        if curated:
            result = curated, RUNS_ON[name][1]
        elif "tensorflow" in plain:
            result = _sorted(plain["tensorflow"].specifier), "Requires-Dist"
        elif name == "tensorflow-probability" and find_line(release) in PROBABILITY:
            result = f">={PROBABILITY[find_line(release)]}", "release notes"
        elif name == "tf-keras":
            result = f"=={find_line(release)}.*", "the same minor"
        elif "tf-keras" in plain:
            # tf-keras has one line for each line of TensorFlow.
            least = min(
                Version(part.version) for part in plain["tf-keras"].specifier if part.operator == ">="
            )
            result = f">={least.major}.{least.minor}", "Requires-Dist on tf-keras"
        elif "keras" in plain and plain["keras"].specifier:
            result = self._find_for_keras(plain["keras"].specifier, rows), "Requires-Dist on keras"
        elif "tensorflow" in of_extra:
            result = _sorted(of_extra["tensorflow"].specifier), "Requires-Dist of an extra"
        else:
            result = "", "nothing declared"
        return result

    def _find_for_keras(self, required: SpecifierSet, rows: list[Row]) -> str:
        keras = [release for release in self.wheels("keras") if required.contains(release)]
        for row in rows:
            own = next((Requirement(need) for need in row.needs if need.startswith("keras")), None)
            if (
                own is not None
                and own.name == "keras"
                and any(own.specifier.contains(release) for release in keras)
            ):
                return f">={row.release}"
        raise ValueError(f"no TensorFlow supports keras{required}")

    def keras(self) -> list[str]:
        """The releases of Keras, oldest first."""
        return [release for release in self.wheels("keras") if Version(release) >= OLDEST_KERAS]


def _sorted(specifier: SpecifierSet) -> str:
    return ",".join(sorted((str(part) for part in specifier), key=lambda text: (text[0] not in ">=~", text)))


def group_rows(rows: list[Row]) -> list[tuple[list[str], Row]]:
    """Group consecutive releases with the same facts: the releases and one row for each group."""
    return [
        ([row.release for row in group], group[0])
        for _, same in groupby(rows, key=lambda row: row.facts)
        for group in [list(same)]
    ]
