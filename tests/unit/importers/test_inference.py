"""Inferring a profile from the evidence in notebooks and requirements files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from colabenv.frameworks.as_of import PYTHON_DAYS
from colabenv.frameworks.facts import load_table
from colabenv.importers.cells import CellLocation
from colabenv.importers.draft import Draft
from colabenv.importers.evidence import (
    Evidence,
    PythonEvidence,
    parse_requirements_file,
    read_notebook_evidence,
)
from colabenv.importers.inference import infer_profile, suggest_profile_name
from colabenv.importers.install_commands import InstallTarget
from colabenv.importers.notebook import Cell, Notebook
from colabenv.importers.outputs import RunDay
from colabenv.importers.sources import find_local_modules

TODAY = "2026-11-22"


def from_notebook(source: str, output: str = "", **more: Any) -> Draft:
    cell = Cell(1, "code", source, output, None, more.pop("times", ()))
    return infer_profile(
        read_notebook_evidence(Notebook("n", (cell,), **more)), "n", load_table(), today=TODAY
    )


def from_lines(text: str, **more: Any) -> Draft:
    requirements = parse_requirements_file(text)
    evidence = Evidence(
        "requirements.txt", targets=tuple(requirements.targets), indexes=tuple(requirements.indexes), **more
    )
    return infer_profile(evidence, "n", load_table(), today=TODAY)


def packages(draft: Draft) -> list[str]:
    return [line.text for line in draft.packages]


def stack(draft: Draft) -> dict[str, str]:
    return {key: line.text for key, line in draft.stack.items()}


@pytest.mark.parametrize(
    ("requirements", "expected", "python"),
    [
        ("tensorflow==2.15.1", {"tensorflow": "2.15.1"}, "3.11"),
        ("tensorflow==2.15", {"tensorflow": "2.15"}, "3.11"),
        ("tensorflow-gpu==2.6.0", {"tensorflow": "2.6.0"}, "3.9"),
        ("tensorflow-cpu==2.12.1", {"tensorflow": "2.12.1", "accelerator": "cpu"}, "3.11"),
        ("tensorflow[and-cuda]==2.16.2", {"tensorflow": "2.16.2"}, "3.12"),
        ("tensorflow~=2.15.0", {"tensorflow": "2.15"}, "3.11"),
        ("tensorflow>=2.8,<2.11", {"tensorflow": "<2.11,>=2.8"}, "3.10"),
        ("tensorflow>=2.8\nnumpy==1.23.5", {"tensorflow": "2.15"}, "3.11"),
        ("tensorflow==2.4", {"tensorflow": "2.4", "accelerator": "cpu"}, "3.8"),
        ("tensorflow==2.3.1", {"tensorflow": "2.3.1", "accelerator": "cpu"}, "3.8"),
        ("tensorflow==2.0.0", {"tensorflow": "2.0.0", "accelerator": "cpu"}, "3.7"),
        ("tensorflow<2.4", {"tensorflow": "<2.4", "accelerator": "cpu"}, "3.8"),
        ("tensorflow==1.15.2", {"tensorflow": "1.15.2", "accelerator": "cpu"}, "3.7"),
        ("tensorflow==1.4", {"tensorflow": "1.13", "accelerator": "cpu"}, "3.7"),
        ("tensorflow<2", {"tensorflow": "<2", "accelerator": "cpu"}, "3.7"),
        ("tensorflow>=2.7.*", {"tensorflow": ">=2.7"}, "3.13"),
        ("tf-nightly==2.5.0.dev20210101", {"tensorflow": "2.5"}, "3.9"),
        ("tensorflow>=2.11\npyarrow==10.0.1\nopencv-python==4.5.5.64", {"tensorflow": ">=2.11"}, "3.11"),
        ("tensorflow==2.99.0", {"tensorflow": "2.99.0"}, "3.12"),
    ],
)
def test_requested_tensorflow(requirements: str, expected: dict[str, str], python: str) -> None:
    draft = from_lines(requirements)
    assert stack(draft) == expected
    assert draft.python is not None
    assert draft.python.text == python
    assert requirements.partition("=")[0].partition("[")[0] not in packages(draft)


def test_notes_say_what_is_not_available() -> None:
    draft = from_notebook("!pip install tensorflow==2.4", times=("2021-03-04T09:00:00Z",), python="3.6.10")
    assert stack(draft) == {"tensorflow": "2.4", "accelerator": "cpu"}
    assert draft.notes == [
        "TensorFlow 2.4 runs on the CPU only: it loads libcusolver.so.10, which no wheel contains. The "
        "oldest release with GPU support is 2.5."
    ]
    assert any("Python 3.6.10" in remark and "does not build" in remark for remark in draft.remarks)
    note, _ = from_lines("tensorflow==1.4").notes
    assert note == (
        "TensorFlow 1.4 is not available: the oldest release that colabenv supports is 1.13, on Python 3.7."
    )
    assert "changes daily" in from_lines("tf-nightly==2.5.0.dev20210101").notes[0]
    assert "numpy==1.5 has no wheels" in from_lines("numpy==1.5").notes[0]


@pytest.mark.parametrize(
    ("source", "output", "metadata", "expected"),
    [
        ("import tensorflow as tf\nprint(tf.__version__)", "2.15.0", {}, "2.15.0"),
        ("!pip install tensorflow", "Successfully installed tensorflow-2.9.1", {}, "2.9.1"),
        ("import tensorflow as tf", "", {"times": ("2021-03-04T09:00:00Z",)}, "2.4"),
        ("import keras", "", {"times": ("2023-12-04T09:00:00Z",)}, "2.15"),
        ("from tensorflow import keras\nmodel.fit_generator(x)", "", {}, "2.15"),
        ("import tensorflow_hub as hub", "", {"times": ("2022-06-04T09:00:00Z",)}, "2.9"),
        ("import tensorflow as tf\nprint(tf.__version__)", "1.15.2", {}, "1.15.2"),
        ("import keras\nkeras.__version__", "'2.0.8'", {}, "1.15"),
        ("import keras\nkeras.__version__", "'2.11.0'", {}, "2.11"),
        ("import keras", "Using TensorFlow backend.", {}, "2.2"),
        ("!pip install tensorflow==2.8\nimport tensorflow as tf\nprint(tf.__version__)", "2.9.0", {}, "2.8"),
        ("!pip install tensorflow==2.8\n!pip install tensorflow==2.10", "", {}, "2.10"),
        ("!pip install 'tensorflow>=2.4'", "", {"times": ("2021-08-20T09:00:00Z",)}, "2.6"),
    ],
)
def test_tensorflow_is_inferred_from_a_notebook(
    source: str, output: str, metadata: dict[str, Any], expected: str
) -> None:
    draft = from_notebook(source, output, **metadata)
    assert draft.stack["tensorflow"].text == expected
    assert draft.stack["tensorflow"].why


#: Code, and the TensorFlow that it was written for.
CODE = {
    "import tensorflow as tf\ns = tf.Session()": "1.15",
    "import tensorflow as tf\nx = tf.placeholder(tf.float32)\nimport tensorflow.contrib": "1.15",
    "import tensorflow as tf\ntf.enable_eager_execution()": "1.15",
    "%tensorflow_version 1.x\nimport tensorflow as tf": "1.15",
    "import tensorflow as tf\nprint 'Python 2'\ns = tf.Session()": "1.15",
    "import tensorflow.compat.v1 as tf\ntf.disable_v2_behavior()\ns = tf.Session()": "",
    "import tensorflow.compat.v2 as tf\ntf.enable_v2_behavior()": "",
    "#%tensorflow_version 1.x\n# s = tf.Session()\nimport tensorflow as tf": "",
    "import tensorflow as tf\ntext = 'tf.Session()'": "",
    "%tensorflow_version 2.x\nimport tensorflow as tf": "",
    "import tensorflow as tf\nfrom tensorflow.keras.optimizers import RMSprop\nRMSprop(lr=1)": "2.15",
    "from tensorflow import keras\nmodel.fit_generator(x)": "2.15",
    "import tensorflow as tf\nmodel.predict_classes(x)": "2.5",
    "from tensorflow.keras.layers.recurrent import LSTM": "2.8",
    "from keras.layers.core import Dense": "2.12",
    "import tensorflow as tf\ntf.keras.layers.Rescaling(1)\ntf.data.AUTOTUNE\nmodel.fit_generator(x)": "2.15",
    "import tensorflow as tf\nimport tensorflow_hub as hub\nhub.KerasLayer('x')": "2.15",
    "import keras\nkeras.ops.sum(x)": "",
    "try:\n    s = tf.Session()\nexcept AttributeError:\n    pass\nimport tensorflow as tf": "",
}


def test_code_decides_on_tensorflow_by_the_names_that_it_uses() -> None:
    newest = load_table().releases[-1].line
    chosen = {code: from_notebook(code).stack["tensorflow"].text for code in CODE}
    assert chosen == {code: line or newest for code, line in CODE.items()}


#: Requirements of packages around TensorFlow, and the TensorFlow that they need.
COMPANIONS = {
    "keras==2.8.0\nnumpy": "2.8",
    "keras==2.3.1": "2.2",
    "keras==2.2.4": "1.15",
    "keras==3.5.0": "2.19",
    "tensorflow>=2.0\nkeras>=2.0.9,<=2.3.1": "2.2",
    "tensorflow-text==2.8.*\ntf-models-official==2.8.0": "2.8",
    "tensorflow-text==2.8.0": "2.8",
    "tensorflow-addons": "2.15",
    "tensorflow-addons==0.16.1": "2.8",
    "tensorflow-io==0.24.0": "2.8",
    "tensorflow-io": "2.16",
    "tf-agents==0.17.0": "2.13",
    "tensorboard==2.8.0\ntensorflow": "2.8",
    "tensorflow-estimator==1.15.1\ntensorflow": "1.15",
    "tensorflow-hub": "",
}


def test_packages_around_tensorflow_decide_on_it() -> None:
    newest = load_table().releases[-1].line
    chosen = {lines: from_lines(lines).stack["tensorflow"].text for lines in COMPANIONS}
    assert chosen == {lines: line or newest for lines, line in COMPANIONS.items()}


def test_keras_that_no_requested_tensorflow_runs_with_is_dropped() -> None:
    draft = from_lines("tensorflow>=2.3.0\nkeras>=2.0.9,<=2.3.1")
    assert "keras" not in draft.stack
    assert any("is not compatible with TensorFlow 2.15" in note for note in draft.notes)


#: The Python of a notebook, and the newest TensorFlow while it was in use.
PYTHONS = {
    "3.9.7": "2.8",
    "3.8.10": "2.6",
    "3.7.3": "1.14",
    "3.7.0": "2.4",
    "3.6.9": "2.0",
    "3.10.12": "2.15",
}


def test_python_decides_on_the_time() -> None:
    chosen = {python: from_notebook("import tensorflow", python=python) for python in PYTHONS}
    assert {python: draft.stack["tensorflow"].text for python, draft in chosen.items()} == PYTHONS
    assert stack(from_notebook("import numpy")) == {}


#: Source, arguments of `from_notebook`, and the day that selects the versions.
DAYS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("import tensorflow, pandas", {"times": ("2020-08-20T09:00:00Z",)}, "2020-08-20"),
    ("!pip install tensorflow==2.1.0\nimport pandas", {"times": ("2020-04-28T09:00:00Z",)}, "2020-04-28"),
    ("!pip install tensorflow==2.4.0\nimport pandas", {"times": ("2020-04-28T09:00:00Z",)}, "2021-05-13"),
    ("!pip install tensorflow==1.15\nimport pandas", {}, "2020-01-08"),
    ("!pip install tensorflow==2.3.0 tensorflow-addons==0.11.2\nimport pandas", {}, "2021-06-15"),
    ("import pandas", {"python": "3.7.10"}, "2021-08-17"),
    ("!pip install numpy==1.26.4\nimport pandas", {"python": "3.8.1"}, ""),
    ("!pip install tensorflow==2.20.0\nimport pandas", {}, ""),
    ("import pandas", {"python": "3.12.11"}, ""),
)


def test_day_of_an_old_source() -> None:
    for source, more, day in DAYS:
        draft = from_notebook(source, **more)
        assert (draft.as_of.text if draft.as_of else "") == day, source
        if draft.as_of and draft.python:
            assert PYTHON_DAYS[draft.python.text] <= day


def test_colab_runtime_is_used_unless_tensorflow_differs() -> None:
    draft = from_notebook("import tensorflow, pandas", runtime="2025.07", times=("2025-09-01T00:00:00Z",))
    assert (draft.like and draft.like.text, draft.as_of) == ("colab-2025.07", None)
    assert (stack(draft), draft.python and draft.python.text) == ({"tensorflow": "2.18"}, "3.11")
    assert 'like: "colab-2025.07"' in draft.text()
    assert from_notebook("!pip install tensorflow==2.15\nimport pandas", runtime="2025.07").like is None
    unknown = from_notebook("import pandas", runtime="2031.01")
    assert (unknown.like, "colab-2031.01" in unknown.notes[0]) == (None, True)


def test_names_of_other_libraries_limit_their_versions() -> None:
    assert packages(from_notebook("import numpy as np\nnp.object")) == ["numpy<1.24"]
    assert packages(from_notebook("!pip install numpy==1.26.4\nimport numpy as np\nnp.object")) == [
        "numpy==1.26.4"
    ]
    assert packages(from_notebook("from sklearn.externals import joblib")) == ["scikit-learn<0.23"]
    kept = from_notebook("!pip install tensorflow==2.20.0\nimport numpy as np\nnp.object")
    assert packages(kept) == ["numpy"]
    assert any("np" in remark or "numpy.object" in remark for remark in kept.remarks)


@pytest.mark.parametrize(
    ("requirements", "keras", "expected_packages"),
    [
        ("tensorflow==2.15.0\nkeras==2.15.0", None, []),  # a dependency of TensorFlow
        ("tensorflow==2.8.0\nkeras", None, []),
        ("tensorflow==2.18.1\nkeras==3.6.0", None, []),
        ("tensorflow==2.18.1\nkeras==2.15.0", "2.15", []),  # as tf-keras
        ("tensorflow==2.4.1\nkeras==2.3.1", None, ["keras==2.3.1"]),  # a separate package in TensorFlow 2.4
        ("tensorflow==2.4.1\nkeras", None, ["keras"]),  # the framework rules limit it
    ],
)
def test_requested_keras(requirements: str, keras: str | None, expected_packages: list[str]) -> None:
    draft = from_lines(requirements)
    assert stack(draft).get("keras") == keras
    assert packages(draft) == expected_packages


@pytest.mark.parametrize(
    ("requirements", "expected", "python"),
    [
        ("torch==2.4.1+cu121\ntorchvision==0.19.1", {"torch": "2.4.1"}, "3.12"),
        ("torch==1.7.1", {"torch": "1.7.1"}, "3.9"),
        ("torch==2.2.2+cpu", {"torch": "2.2.2", "accelerator": "cpu"}, "3.12"),
        ("jax[cuda12]==0.4.30", {"jax": "0.4.30"}, "3.12"),
        ("jax>=0.4\nflax", {"jax": ">=0.4"}, "3.12"),
        ("keras==3.5.0\ntorch==2.4.1", {"torch": "2.4.1", "keras": "3.5.0", "backend": "torch"}, "3.12"),
        ("keras\njax", {"keras": ">=3", "backend": "jax"}, "3.12"),
        ("tensorflow==2.17.0\njax==0.4.30", {"tensorflow": "2.17.0", "jax": "0.4.30"}, "3.12"),
        ("torch", {}, "3.12"),
    ],
)
def test_other_requested_frameworks(requirements: str, expected: dict[str, str], python: str) -> None:
    draft = from_lines(requirements)
    assert stack(draft) == expected
    assert draft.python is not None
    assert draft.python.text == python


def test_backend_is_read_from_code() -> None:
    code = 'import os\nos.environ["KERAS_BACKEND"] = "jax"\nimport keras'
    assert stack(from_notebook(code)) == {"keras": ">=3", "backend": "jax"}
    assert packages(from_notebook(code)) == []
    draft = from_notebook(f"{code}\nimport tensorflow as tf\nprint(tf.__version__)", "2.18.1")
    assert stack(draft) == {"tensorflow": "2.18.1", "backend": "jax"}
    assert "backend" not in stack(from_notebook(code.replace("jax", "tensorflow")))


def test_incompatible_keras_is_reported() -> None:
    draft = from_lines("tensorflow==2.8.0\nkeras==3.0.0")
    assert "not compatible with TensorFlow 2.8.0" in draft.notes[0]
    assert (stack(draft), packages(draft)) == ({"tensorflow": "2.8.0"}, [])


@pytest.mark.parametrize(
    ("pythons", "requirements", "expected"),
    [
        (("3.10.12",), "tensorflow==2.15.1", "3.10"),
        (("3.7.10",), "tensorflow==2.15.1", "3.11"),
        ((">=3.9,<3.11",), "tensorflow==2.15.1", "3.10"),
        ((">=3.9",), "pandas", "3.14"),
        ((), "pandas", "3.12"),
        ((), "pandas==1.3.5", "3.10"),
        ((), "numpy==1.19.5\nscipy==1.5.4", "3.9"),
        ((), "numpy==1.24.4", "3.11"),
        (("3.8",), "numpy==1.26.4", "3.12"),
        (("not a version",), "numpy==1.24.4", "3.11"),
    ],
)
def test_python_is_inferred_from_evidence_and_wheels(
    pythons: tuple[str, ...], requirements: str, expected: str
) -> None:
    evidence = tuple(PythonEvidence(python, "the source names it") for python in pythons)
    draft = from_lines(requirements, pythons=evidence)
    assert draft.python is not None
    assert draft.python.text == expected


def test_pins_without_a_common_python_are_reported() -> None:
    draft = from_lines("tensorflow==2.15.1\nnumpy==1.19.0")
    assert "numpy==1.19.0 has wheels only for Python 3.6, 3.7, 3.8" in draft.notes[0]


def test_imports_become_packages_with_versions_from_the_outputs() -> None:
    draft = from_notebook(
        "import os, cv2, sklearn, yaml, numpy as np\nfrom PIL import Image\nimport my_helpers, google.colab\n"
        "from mpl_toolkits.mplot3d import Axes3D\nimport IPython\nprint(np.__version__)",
        "1.23.5",
        python="3.10.12",
    )
    assert packages(draft) == [
        "opencv-python-headless",
        "scikit-learn",
        "pyyaml",
        "numpy==1.23.5",
        "pillow",
        "matplotlib",
    ]
    assert [line.text for line in draft.left_out] == ["my_helpers"]
    assert draft.packages[3].why == "cell 1 imports it; this version is shown in the output of cell 1"


def test_module_removed_in_later_releases_limits_the_version() -> None:
    assert packages(from_notebook("import kerastuner as kt"))[0] == "keras-tuner<1.0.3"
    assert packages(from_notebook("!pip install keras-tuner\nimport kerastuner"))[0] == "keras-tuner<1.0.3"
    assert packages(from_notebook("import keras_tuner"))[0] == "keras-tuner"


def test_modules_beside_the_notebook_are_not_packages() -> None:
    evidence = read_notebook_evidence(Notebook("n", (Cell(1, "code", "import helpers, pandas"),)))
    draft = infer_profile(evidence, "n", load_table(), local=frozenset({"helpers"}), today=TODAY)
    assert (packages(draft), draft.left_out) == (["pandas"], [])
    assert draft.remarks == ["Left out, because the source's folder has modules of these names: helpers."]


def test_only_folders_with_modules_hide_packages(tmp_path: Path) -> None:
    for name in (
        "wandb/run.log",
        "datasets/load.py",
        "tensorflow/model.pb",
        "helpers/a.py",
        "keras/__init__.py",
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "utils.py").touch()
    # Python prefers the package datasets to a folder without __init__.py.
    assert find_local_modules(tmp_path) == {"helpers", "keras", "utils"}


def test_inferred_version_without_wheels_is_dropped() -> None:
    cell = "!pip install tensorflow==2.15.1\nimport numpy as np, sklearn\nprint(np.__version__, sklearn.__version__)"
    draft = from_notebook(cell, "1.19.5 0.22.2", python="3.10.12")
    assert packages(draft) == ["numpy", "scikit-learn"]
    assert "1.19.5 has no wheels for Python 3.10" in draft.packages[0].why


def test_run_day_sets_as_of_unless_all_versions_are_known() -> None:
    times = ("2022-03-04T09:00:00Z",)
    assert from_notebook("import pandas", times=times).as_of is not None
    assert from_notebook("!pip install pandas==1.4.0", times=times).as_of is None
    early = from_notebook("import pandas", times=("2018-03-04T09:00:00Z",)).as_of
    assert early is not None
    assert early.text == "2019-06-27"  # the first with wheels for Python 3.7
    printed = from_notebook("import tensorflow as tf, pandas\nprint(tf.__version__)", "2.20.0", times=times)
    assert printed.as_of is None  # TensorFlow 2.20 was released later
    assert from_notebook("import pandas", times=("2027-03-04T09:00:00Z",)).as_of is None


def test_unsupported_requirements_become_comments() -> None:
    draft = from_lines(
        "-e .\ngit+https://github.com/x/y\npip==21\nipykernel==6.29\npywin32==300\npkg-resources==0.0.0\n"
        "numpy @ file:///tmp/build/numpy\nsklearn\nsix ; os_name == 'nt'\nsome-tool===1.4-unknown\n"
        "google-colab @ file:///colabtools/dist/google_colab-1.0.0.tar.gz\n"
        "torch @ https://example.com/torch-2.6.0%2Bcu124-cp311-cp311-linux_x86_64.whl"
    )
    assert packages(draft) == ["numpy", "scikit-learn", 'six; os_name == "nt"']
    assert stack(draft) == {"torch": "2.6.0"}
    assert [line.text for line in draft.left_out] == [
        ".",
        "git+https://github.com/x/y",
        "pywin32==300",
        "pkg-resources==0.0.0",
        "some-tool===1.4-unknown",
        "google-colab",
    ]
    assert all(line.why for line in draft.left_out)
    assert draft.remarks == ["Left out, because every environment has its own: ipykernel, pip."]


def test_cuda_packages_are_dropped_beside_a_framework() -> None:
    assert packages(from_lines("tensorflow==2.15.1\nnvidia-cudnn-cu12==8.9.4.25\ntriton==2.1\nsix")) == [
        "six"
    ]
    assert packages(from_lines("nvidia-cudnn-cu12==8.9.4.25")) == ["nvidia-cudnn-cu12==8.9.4.25"]


def test_passwords_of_indexes_are_replaced_by_variables() -> None:
    draft = from_lines(
        "--index-url https://user:hunter2@my-host.example.com/simple\n--extra-index-url https://token@b.example.com/s\n"
        "--extra-index-url https://c.example.com/simple\n-f https://download.pytorch.org/whl/torch_stable.html\n"
        "-f ./wheels\nsix"
    )
    assert [line.text for _, line in draft.indexes] == [
        "https://user:${MY_HOST_TOKEN}@my-host.example.com/simple",
        "https://${B_TOKEN}@b.example.com/s",
        "https://c.example.com/simple",
    ]
    assert "hunter2" not in draft.text()
    assert "token@" not in draft.text()


def test_default_index_is_left_out() -> None:
    assert from_lines("-i https://py" + "pi.org/simple\nsix").indexes == []


def test_constraints_restrict_requested_packages() -> None:
    evidence = Evidence(
        "r",
        targets=(
            InstallTarget("package", "matplotlib", CellLocation(0, 1)),
            InstallTarget("package", "six>=1", CellLocation(0, 2)),
        ),
        constraints=(
            InstallTarget("package", "matplotlib<3.6", CellLocation(0, 1, "c.txt")),
            InstallTarget("package", "six<2", CellLocation(0, 2, "c.txt")),
            InstallTarget("package", "other==1", CellLocation(0, 3, "c.txt")),
        ),
    )
    draft = infer_profile(evidence, "n", load_table(), today=TODAY)
    assert packages(draft) == ["matplotlib<3.6", "six<2,>=1"]
    assert draft.remarks == ["Left out: constraints on packages that nothing here requests: other==1."]


def test_packages_without_wheels_are_built_from_source() -> None:
    assert [line.text for line in from_lines("wget\nsix", no_binary=("six",)).source_builds] == [
        "six",
        "wget",
    ]


def test_releases_that_cannot_be_built_are_replaced() -> None:
    draft = from_lines("tensorflow==2.9.0\ngym==0.21.0")
    assert packages(draft) == ["gym==0.17.3"]
    assert "gym 0.21.0 cannot be built" in draft.notes[-1]
    assert packages(from_lines("gym==0.26.2")) == ["gym==0.26.2"]
    assert packages(from_notebook("import gym", times=("2021-06-01T00:00:00Z",))) == ["gym<0.18"]
    assert packages(from_notebook("import gym")) == ["gym"]
    builds = from_lines("tf-models-official==2.8.0").source_builds
    assert [line.text for line in builds] == ["promise", "seqeval"]


def test_suggested_profile_name_is_valid() -> None:
    names = {
        "Leaf_Classifier": "leaf-classifier",
        "base": "base-env",
        "con": "con-env",
        "con.x": "con-x",
        "Woche 3: Übung": "woche-3-bung",
        "": "",
        "日本": "",
        "x" * 100: "x" * 60,
    }
    assert {text: suggest_profile_name(text) for text in names} == names


def test_run_day_alone_adds_no_frameworks() -> None:
    evidence = Evidence("n", day=RunDay("2022-01-01", "x"))
    assert infer_profile(evidence, "", load_table(), today=TODAY).name == "my-environment"
    assert stack(infer_profile(evidence, "", load_table(), today=TODAY)) == {}
