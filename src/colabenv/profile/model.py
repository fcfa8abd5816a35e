"""The profile as frozen data; `load` creates it from a file."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from colabenv.profile import times, validators

# An editor reads an unquoted 3.10 as the number 3.1, so the schema accepts that number.
_PYTHON_NUMBERS: Final = [float(f"3.{minor}") for minor in validators.PYTHON_MINORS]


def _schema(pattern: str | None, *types: str) -> Any:
    """A field whose JSON Schema is a text that editors may read as another of `types`."""
    schema: dict[str, Any] = {"type": ["string", *types] if types else "string"}
    return Field(json_schema_extra=schema | ({"pattern": pattern} if pattern else {"minLength": 1}))


def _python_schema(schema: dict[str, Any]) -> None:
    schema.pop("type", None)
    schema["anyOf"] = [{"type": "string", "pattern": validators.PYTHON_PATTERN}, {"enum": _PYTHON_NUMBERS}]


def _env_schema(schema: dict[str, Any]) -> None:
    prefixes = "|".join(validators.REFUSED_ENV_PREFIXES)
    refused: list[dict[str, Any]] = [{"enum": sorted(validators.REFUSED_ENV)}, {"pattern": f"^({prefixes})"}]
    schema["propertyNames"] = {"pattern": validators.ENV_NAME_PATTERN, "not": {"anyOf": refused}}
    schema["additionalProperties"] = {"type": ["string", "number", "boolean"]}
    schema.pop("patternProperties", None)


ProfileName = Annotated[
    str, AfterValidator(validators.validate_profile_name), _schema(validators.NAME_PATTERN, "integer")
]
PythonVersion = Annotated[str, AfterValidator(validators.validate_python)]
VersionText = Annotated[str, AfterValidator(validators.validate_version), _schema(None, "number")]
RequirementText = Annotated[
    str, AfterValidator(validators.normalize_requirement), _schema(r"^\s*[A-Za-z0-9]")
]
RelativeFile = Annotated[str, AfterValidator(validators.validate_relative_file), _schema(r"^[^/~\\][^\\]*$")]
Extended = Annotated[str, AfterValidator(validators.validate_extends), _schema(r"^[^/~\\][^\\]*$")]
IndexName = Annotated[
    str, AfterValidator(validators.validate_index_name), _schema(validators.INDEX_NAME_PATTERN, "integer")
]
IndexUrl = Annotated[
    str, AfterValidator(validators.validate_index_url), _schema(r"^((https?|file)://|\$\{[A-Za-z_])")
]
Distribution = Annotated[
    str, AfterValidator(validators.normalize_distribution), _schema(validators.DISTRIBUTION_PATTERN)
]
StoreUrl = Annotated[
    str,
    AfterValidator(validators.validate_store_url),
    _schema(rf"^(none$|/|~/|\$\{{[A-Za-z_]|{validators.STORE_SCHEME}://)"),
]
EnvName = Annotated[str, AfterValidator(validators.validate_env_name)]
DisplayName = Annotated[str, AfterValidator(validators.validate_display_name), _schema(None, "number")]
Day = Annotated[str, AfterValidator(times.validate_day), _schema(times.DAY_PATTERN)]
Runtime = Annotated[
    str,
    AfterValidator(times.validate_runtime),
    Field(json_schema_extra={"type": "string", "enum": list(times.RUNTIMES)}),
]
ModuleName = Annotated[str, AfterValidator(validators.validate_module_name), _schema(r"^[^\s.][^\s]*$")]
Code = Annotated[str, AfterValidator(validators.validate_code), _schema(None)]


def _distinct_names(indexes: tuple[Index, ...]) -> tuple[Index, ...]:
    names = [index.name for index in indexes]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise validators.invalid_value(
            f"duplicate index name '{twice}'", "Give each index its own name.", secret=True
        )
    return indexes


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Stack(_Part):
    """The frameworks (TensorFlow, PyTorch, JAX, Keras) and the processor they run on."""

    tensorflow: VersionText | None = Field(
        default=None,
        description="Version of TensorFlow: 2.15.1, 2.15 (any 2.15 release) or a range such as '>=2.15,<2.16'. "
        "Compatible Keras and CUDA packages are installed with it. Leave it out for no TensorFlow.",
    )
    keras: VersionText | None = Field(
        default=None,
        description="Version of Keras if it must differ from the one that TensorFlow installs: 3.5.0, 3.5 or a range.",
    )
    torch: VersionText | None = Field(
        default=None, description="Version of PyTorch: 2.6.0, 2.6 or a range. Leave it out for no PyTorch."
    )
    jax: VersionText | None = Field(
        default=None,
        description="Version of JAX: 0.5.3, 0.5 or a range. Compatible CUDA packages are installed with it. "
        "Leave it out for no JAX.",
    )
    backend: Literal["tensorflow", "jax", "torch"] | None = Field(
        default=None,
        description="Backend of Keras 3, by default TensorFlow if `stack` has it. A backend that `stack` does not list "
        "is installed too.",
    )
    accelerator: Literal["auto", "cpu", "gpu"] = Field(
        default="auto", description="auto installs GPU packages if the machine has a GPU; cpu and gpu set it."
    )


class Index(_Part):
    """A package index in addition to the default one."""

    name: IndexName = Field(description="A short name, used in messages.")
    url: IndexUrl = Field(
        description="An http, https or file URL. ${NAME} is replaced by that environment variable, so that the profile "
        "contains no password."
    )


class KernelSettings(_Part):
    """How the environment appears as a Jupyter kernel."""

    display_name: DisplayName | None = Field(
        default=None, description="The name in the list of kernels, by default the profile's name."
    )
    google_colab: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="google.colab (Drive, secrets, forms) in the kernel: auto if the machine has it, on to require it, "
        "off for a plain kernel.",
    )
    preload: tuple[ModuleName, ...] = Field(
        default=(),
        description="Modules, such as tensorflow, that a background process imports after `up`. The next kernel "
        "starts from that process, so that importing them takes no time.",
    )


class Verify(_Part):
    """What must work in the new kernel before it is registered."""

    imports: tuple[ModuleName, ...] = Field(
        default=(), description="Modules that must import, such as tensorflow.keras.applications."
    )
    code: Code | None = Field(
        default=None,
        description="Python code that must run without an error, by default a small computation with each framework.",
    )
    gpu: Literal["auto", "required"] = Field(
        default="auto", description="With required, `up` fails if no framework can use a GPU."
    )


class Profile(_Part):
    """A description of an environment for colabenv."""

    name: ProfileName = Field(
        description="Name of the environment, its folder and its kernel: a-z, 0-9, '.', '_' and '-'."
    )
    python: PythonVersion | None = Field(
        default=None,
        description=f"Version of Python, {validators.PYTHON_SPAN}, or a full one such as 3.10.13.",
        json_schema_extra=_python_schema,
    )
    stack: Stack = Field(default=Stack(), description="The frameworks and the processor they run on.")
    packages: tuple[RequirementText, ...] = Field(
        default=(), description="Packages with versions (PEP 508), such as 'pandas==2.1.4'; no URLs."
    )
    requirements: tuple[RelativeFile, ...] = Field(
        default=(), description="Requirements files to include, relative to the profile."
    )
    as_of: Day | None = Field(
        default=None,
        description="A day such as 2023-04-02. Only files uploaded to the package index by the end of that day "
        "(UTC) are considered.",
    )
    like: Runtime | None = Field(
        default=None,
        description="A Colab runtime such as colab-2025.07. Packages get the versions of that runtime unless "
        "the profile requests others.",
    )
    indexes: Annotated[tuple[Index, ...], AfterValidator(_distinct_names)] = Field(
        default=(), description="Package indexes to use in addition to the default one."
    )
    source_builds: tuple[Distribution, ...] = Field(
        default=(),
        description="Packages that may be built from source. All others are installed from wheels.",
    )
    store: StoreUrl | None = Field(
        default=None,
        description="Store of prebuilt environments: a folder, a gs://, s3:// or https:// URL, or none. ${NAME} is "
        "replaced by that environment variable.",
    )
    env: dict[EnvName, str] = Field(
        default={}, description="Environment variables of the kernel.", json_schema_extra=_env_schema
    )
    kernel: KernelSettings = Field(
        default=KernelSettings(), description="How the environment appears as a Jupyter kernel."
    )
    verify: Verify = Field(
        default=Verify(), description="What must work in the new kernel before it is registered."
    )
    extends: tuple[Extended, ...] = Field(
        default=(),
        description="Profiles to build on: paths, builtin:NAME, or URLs with #sha256=. Later ones take precedence over "
        "earlier ones, and this profile over all.",
    )
