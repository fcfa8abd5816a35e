"""The profile as frozen data. Pure: it reads no file, no clock and no environment variable.

`source.load` makes a `Profile` from a file; everything after it takes the `Profile`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from colabenv.profile import rules, times
from colabenv.profile.rules import specifier

__all__ = ["Index", "KernelSettings", "Profile", "Stack", "Verify", "specifier"]

# An editor reads an unquoted 3.10 as the number 3.1, so the schema takes that number for 3.10.
_PYTHON_NUMBERS: Final = [float(f"3.{minor}") for minor in rules.PYTHON_MINORS]


def _schema(pattern: str | None, *types: str) -> dict[str, Any]:
    """What an editor may see for a text: a string of that pattern, or a value it takes for a number."""
    shape: dict[str, Any] = {"type": ["string", *types] if types else "string"}
    return shape | ({"pattern": pattern} if pattern else {"minLength": 1})


def _python_schema(schema: dict[str, Any]) -> None:
    schema.pop("type", None)
    schema["anyOf"] = [{"type": "string", "pattern": rules.PYTHON_PATTERN}, {"enum": _PYTHON_NUMBERS}]


def _env_schema(schema: dict[str, Any]) -> None:
    prefixes = "|".join(rules.REFUSED_ENV_PREFIXES)
    refused: list[dict[str, Any]] = [{"enum": sorted(rules.REFUSED_ENV)}, {"pattern": f"^({prefixes})"}]
    schema["propertyNames"] = {"pattern": rules.ENV_NAME_PATTERN, "not": {"anyOf": refused}}
    schema["additionalProperties"] = {"type": ["string", "number", "boolean"]}
    schema.pop("patternProperties", None)


ProfileName = Annotated[
    str,
    AfterValidator(rules.profile_name),
    Field(json_schema_extra=_schema(rules.NAME_PATTERN, "integer")),
]
PythonVersion = Annotated[str, AfterValidator(rules.python_version)]
VersionText = Annotated[
    str, AfterValidator(rules.version_text), Field(json_schema_extra=_schema(None, "number"))
]
RequirementText = Annotated[
    str, AfterValidator(rules.requirement), Field(json_schema_extra=_schema(r"^\s*[A-Za-z0-9]"))
]
RelativeFile = Annotated[
    str, AfterValidator(rules.relative_file), Field(json_schema_extra=_schema(r"^[^/~\\][^\\]*$"))
]
Extended = Annotated[
    str, AfterValidator(rules.extended), Field(json_schema_extra=_schema(r"^[^/~\\][^\\]*$"))
]
IndexName = Annotated[
    str,
    AfterValidator(rules.index_name),
    Field(json_schema_extra=_schema(rules.INDEX_NAME_PATTERN, "integer")),
]
IndexUrl = Annotated[
    str,
    AfterValidator(rules.index_url),
    Field(json_schema_extra=_schema(r"^((https?|file)://|\$\{[A-Za-z_])")),
]
Distribution = Annotated[
    str,
    AfterValidator(rules.distribution),
    Field(json_schema_extra=_schema(rules.DISTRIBUTION_PATTERN)),
]
StoreUrl = Annotated[
    str,
    AfterValidator(rules.store_url),
    Field(json_schema_extra=_schema(rf"^(none$|/|~/|\$\{{[A-Za-z_]|{rules.STORE_SCHEME}://)")),
]
EnvName = Annotated[str, AfterValidator(rules.env_name)]
DisplayName = Annotated[
    str, AfterValidator(rules.display_name), Field(json_schema_extra=_schema(None, "number"))
]
Day = Annotated[str, AfterValidator(times.as_of), Field(json_schema_extra=_schema(times.DAY_PATTERN))]
Runtime = Annotated[
    str, AfterValidator(times.like), Field(json_schema_extra={"type": "string", "enum": list(times.RUNTIMES)})
]
ModuleName = Annotated[
    str, AfterValidator(rules.module_name), Field(json_schema_extra=_schema(r"^[^\s.][^\s]*$"))
]
Code = Annotated[str, AfterValidator(rules.code), Field(json_schema_extra=_schema(None))]


def _distinct_names(indexes: tuple[Index, ...]) -> tuple[Index, ...]:
    names = [index.name for index in indexes]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise rules.refuse(f"two indexes are called '{twice}'", "Give each index its own name.", secret=True)
    return indexes


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Stack(_Part):
    """The frameworks: which TensorFlow, PyTorch, JAX and Keras, for which processor."""

    tensorflow: VersionText | None = Field(
        default=None,
        description="Version of TensorFlow: 2.15.1, any 2.15, or a range such as '>=2.15,<2.16'. "
        "It brings the Keras and the CUDA libraries that fit. Without it, no TensorFlow is installed.",
    )
    keras: VersionText | None = Field(
        default=None,
        description="Version of Keras, where it must be another than TensorFlow brings: 3.5.0, 3.5, a range.",
    )
    torch: VersionText | None = Field(
        default=None,
        description="Version of PyTorch: 2.6.0, any 2.6, or a range. Without it, no PyTorch is installed.",
    )
    jax: VersionText | None = Field(
        default=None,
        description="Version of JAX: 0.5.3, any 0.5, or a range. It brings the CUDA libraries that fit. "
        "Without it, no JAX is installed.",
    )
    backend: Literal["tensorflow", "jax", "torch"] | None = Field(
        default=None,
        description="What Keras 3 runs on, by default TensorFlow where there is one. It comes along where the stack "
        "does not name it.",
    )
    accelerator: Literal["auto", "cpu", "gpu"] = Field(
        default="auto",
        description="auto installs for a GPU where the machine has one; cpu and gpu decide it.",
    )


class Index(_Part):
    """A package index beside the usual one."""

    name: IndexName = Field(description="A short name for messages.")
    url: IndexUrl = Field(
        description="An http, https or file URL. ${NAME} is replaced by that environment variable, "
        "so that no password stands in the profile.",
    )


class KernelSettings(_Part):
    """How the environment appears as a Jupyter kernel."""

    display_name: DisplayName | None = Field(
        default=None, description="What the list of kernels shows; by default the profile's name."
    )
    google_colab: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether google.colab (Drive, secrets, forms) works in the kernel: auto has it where "
        "the machine does, on insists, off gives a plain kernel.",
    )
    preload: tuple[ModuleName, ...] = Field(
        default=(),
        description="Modules that a waiting process imports after `up`, such as tensorflow; the next kernel to start "
        "is that process, so that its own import of them takes no time.",
    )


class Verify(_Part):
    """What is tried in the new kernel before it is published."""

    imports: tuple[ModuleName, ...] = Field(
        default=(), description="Modules that must import, such as tensorflow.keras.applications."
    )
    code: Code | None = Field(
        default=None,
        description="Python code that must run without an error; by default each framework is tried.",
    )
    gpu: Literal["auto", "required"] = Field(
        default="auto", description="required makes a GPU that no framework can see a failure."
    )


class Profile(_Part):
    """A description of an environment for colabenv."""

    name: ProfileName = Field(
        description="Name of the environment, its folder and its kernel: a-z, 0-9, '.', '_' and '-'."
    )
    python: PythonVersion | None = Field(
        default=None,
        description="Version of Python, 3.8 to 3.13, or a full one such as 3.10.13.",
        json_schema_extra=_python_schema,
    )
    stack: Stack = Field(default=Stack(), description="The frameworks and the processor they run on.")
    packages: tuple[RequirementText, ...] = Field(
        default=(), description="Packages with their versions (PEP 508), such as 'pandas==2.1.4'; no URLs."
    )
    requirements: tuple[RelativeFile, ...] = Field(
        default=(), description="Requirements files to read as well, relative to the profile."
    )
    as_of: Day | None = Field(
        default=None,
        description="A day such as 2023-04-02: only what was uploaded to the package index by the end of that day "
        "(UTC) is chosen.",
    )
    like: Runtime | None = Field(
        default=None,
        description="A Colab runtime such as colab-2025.07: what it shipped has the version that it shipped, where "
        "the profile asks for no other.",
    )
    indexes: Annotated[tuple[Index, ...], AfterValidator(_distinct_names)] = Field(
        default=(), description="Package indexes to use beside the usual one."
    )
    source_builds: tuple[Distribution, ...] = Field(
        default=(),
        description="Packages that may be built from source; every other one is installed from a wheel.",
    )
    store: StoreUrl | None = Field(
        default=None,
        description="Where built environments are kept between machines: a folder, a gs://, s3:// or https:// URL, or "
        "none. ${NAME} is replaced by that environment variable.",
    )
    env: dict[EnvName, str] = Field(
        default={}, description="Environment variables of the kernel.", json_schema_extra=_env_schema
    )
    kernel: KernelSettings = Field(
        default=KernelSettings(), description="How the environment appears as a Jupyter kernel."
    )
    verify: Verify = Field(
        default=Verify(), description="What is tried in the new kernel before it is published."
    )
    extends: tuple[Extended, ...] = Field(
        default=(),
        description="Profiles to start from: paths, builtin:NAME, and URLs with #sha256=. A later one wins, and "
        "this profile last.",
    )
