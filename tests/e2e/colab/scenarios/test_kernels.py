"""Which kernel a profile gets, what `up` prints about it, and what happens if its check fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.colab import steps
from support.colab.machine import ColabMachine
from support.colab.page import Page

pytestmark = [pytest.mark.slow, pytest.mark.network]

PINS = 'python: "3.11"\npackages: [six==1.16.0]\nverify: {imports: [six]}\n'


def test_second_up_changes_nothing(machine: ColabMachine, notebook: Page, small: str) -> None:
    done = steps.up(notebook, f"{small}.yaml")
    steps.assert_clean(done)
    lines = steps.result_lines(done)
    assert lines[0].startswith(f"✓ {small} is ready: nothing has changed since the last check")
    assert "Runtime > Change runtime type" in lines[1]
    assert "\r" not in done.text.replace("\r\n", "\n"), "up has shown progress"
    notebook.reload(f"colabenv-{small}")
    lines = steps.result_lines(steps.up(notebook, f"{small}.yaml"))
    assert lines[0].startswith(f"✓ {small} is ready: nothing has changed")
    assert lines[1:] == ["This notebook already runs in it."]


def test_google_colab_off_gives_a_plain_kernel(machine: ColabMachine, notebook: Page) -> None:
    # Colab's configuration sets its kernel class for every IPython on the machine, including this one.
    with steps.base_unchanged(machine):
        profile = steps.write_profile(machine, "plain", f"{PINS}kernel: {{google_colab: off}}\n")
        done = steps.up(notebook, profile)
        assert "own class" not in done.screen, "the profile asks for it"
        notebook.reload("colabenv-plain")
        assert notebook.kernel_name == "colabenv-plain"
        assert steps.run_and_read(notebook, steps.KERNEL_CLASS) == steps.PLAIN_KERNEL
        failed = notebook.run("import google.colab")
        assert failed.error is not None
        assert failed.error.ename == "ModuleNotFoundError"
        prefix = steps.path_inside(machine, steps.environment_folder(machine, "plain"))
        assert steps.run_and_read(notebook, "!python -c 'import sys; print(sys.prefix)'") == prefix
        assert f" from {prefix}/lib/" in steps.run_and_read(notebook, "%pip --version")


DRIVE = "from google.colab import drive\ndrive.mount('/content/drive')"
SECRET = "from google.colab import userdata\nprint(userdata.get('TOKEN'))"
UPLOAD = "from google.colab import files\nprint(files.upload())"
IDIOMS = "import sys\nprint('google.colab' in str(get_ipython()), 'google.colab' in sys.modules)"


def test_google_colab_works_with_an_ipython_that_excludes_colabs_kernel_class(
    machine: ColabMachine, notebook: Page
) -> None:
    profile = steps.write_profile(machine, "modern", 'python: "3.11"\npackages: ["ipython==9.0.2"]\n')
    done = steps.up(notebook, profile)
    steps.assert_clean(done)
    (notice,) = [line for line in done.screen.splitlines() if "ipykernel's own class" in line]
    assert "ipython 7.34.0" in notice
    assert "ipython==9.0.2" in notice, "the notice names the pin"
    assert "Drive, secrets, files and forms still work" in notice
    for kernel in ("attached", "colabenv-modern"):
        if kernel == "attached":
            steps.run_and_read(notebook, "%load_ext colabenv\n%colabenv attach modern")
        else:
            notebook.reload(kernel)
        assert steps.run_and_read(notebook, steps.KERNEL_CLASS) == steps.PLAIN_KERNEL, kernel
        assert steps.run_and_read(notebook, "import IPython\nprint(IPython.__version__)") == "9.0.2", kernel
        assert steps.run_and_read(notebook, IDIOMS) == "True True", kernel
        notebook.requests.clear()
        assert "ounted at /content/drive" in steps.run_and_read(notebook, DRIVE), kernel
        assert notebook.requests == [("request_auth", {"authType": "dfs_ephemeral"})], kernel
        notebook.secrets = {"TOKEN": f"secret of {kernel}"}
        assert steps.run_and_read(notebook, SECRET) == f"secret of {kernel}"
        failed = notebook.run("userdata.get('OTHER')")
        assert failed.error is not None, kernel
        assert failed.error.ename == "SecretNotFoundError", kernel
        notebook.uploads = {f"{kernel}.bin": bytes(range(256))}
        assert f"Saving {kernel}.bin" in steps.run_and_read(notebook, UPLOAD), kernel
        assert (machine.content / f"{kernel}.bin").read_bytes() == bytes(range(256)), kernel
    command = "!python -c 'from google.colab import drive'"
    assert "move this line into a cell" in steps.run_and_read(notebook, command)
    # The second `up` has nothing to do for such a kernel either.
    again = steps.up(notebook, profile)
    assert steps.result_lines(again)[0].startswith("✓ modern is ready: nothing has changed")


@pytest.fixture(scope="module")
def jupyter() -> Iterator[ColabMachine]:
    """A plain Jupyter server, without google.colab and Colab's environment variables."""
    variables = ("COLAB_RELEASE_TAG", "COLAB_JUPYTER_TRANSPORT", "COLAB_JUPYTER_IP", "KMP_TARGET_PORT")
    with ColabMachine(google_colab=False, pythons=["3.11"], env=dict.fromkeys(variables)) as machine:
        yield machine


def test_up_on_a_plain_jupyter_server(jupyter: ColabMachine) -> None:
    page = jupyter.open("plain.ipynb")
    with steps.base_unchanged(jupyter):
        done = steps.up(page, steps.write_profile(jupyter, "course", PINS))
        steps.assert_clean(done)
        closing = steps.result_lines(done)[-1]
        assert closing.startswith("To switch: Kernel > Change Kernel… > course (Python 3.11).")
        assert "Runtime" not in done.screen
        page.reload("colabenv-course")
        assert page.kernel_name == "colabenv-course"
        assert steps.run_and_read(page, steps.KERNEL_CLASS) == steps.PLAIN_KERNEL
        prefix = steps.path_inside(jupyter, steps.environment_folder(jupyter, "course"))
        assert steps.run_and_read(page, steps.WHERE) == prefix
        assert steps.run_and_read(page, "!python -c 'import six; print(six.__version__)'") == "1.16.0"
    page.shut_down()


FAILING = """\
python: "3.11"
packages: [six==1.17.0]
verify:
  imports: [six]
  code: |
    import six
    raise ValueError("six " + six.__version__ + " is not what this course needs")
"""


def test_failed_check_registers_no_kernel(machine: ColabMachine, notebook: Page) -> None:
    profile = steps.write_profile(machine, "never", FAILING)
    done = notebook.run(f"!python -m colabenv up {profile}")
    assert notebook.run("_exit_code").result == "5"
    assert "ValueError: six 1.17.0 is not what this course needs" in done.screen
    assert "----> 2 raise ValueError(" in done.screen, "the cell's own error"
    assert "verify.code failed in its kernel: ValueError: six 1.17.0 is not what" in done.screen
    assert any(line.startswith("✗ ") for line in done.screen.splitlines())
    assert "✓" not in done.screen
    assert "colabenv-never" not in notebook.kernelspecs()


def test_older_kernel_works_after_a_failed_check(machine: ColabMachine, notebook: Page, small: str) -> None:
    spec = notebook.kernelspecs()[f"colabenv-{small}"]
    (machine.content / "newer").mkdir()
    (machine.content / "newer" / "small.yaml").write_text(f"name: {small}\n{FAILING}")
    done = notebook.run("!python -m colabenv up newer/small.yaml")
    assert notebook.run("_exit_code").result == "5", done.screen
    assert "the older kernel of this name still works" in done.screen
    assert notebook.kernelspecs()[f"colabenv-{small}"] == spec
    notebook.reload(f"colabenv-{small}")
    assert notebook.messages == []
    assert steps.run_and_read(notebook, "import six\nprint(six.__version__)") == "1.16.0"
