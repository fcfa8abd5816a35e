# Shared by scripts/test and scripts/demo: find a Python, make a virtual environment. Source it; it runs nothing.

# Settings of the machine that would send an installation elsewhere or let foreign packages in. Colab sets the first
# four. Where packages come from (index, proxy, certificate) is the person's choice and stays.
shield_from_machine() {
  unset PYTHONPATH UV_SYSTEM_PYTHON UV_CONSTRAINT UV_BUILD_CONSTRAINT
  unset PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV CONDA_PREFIX UV_PROJECT_ENVIRONMENT UV_PYTHON UV_OVERRIDE
  unset PIP_USER PIP_TARGET PIP_PREFIX PIP_CONSTRAINT PIP_REQUIREMENT
}

# Print the first Python that runs and is 3.10 or newer: python3, then by version on PATH, then pyenv's.
find_python() {
  local candidate
  for candidate in \
    python3 python3.13 python3.12 python3.11 python3.10 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python "$HOME"/.pyenv/versions/3.*/bin/python; do
    if "$candidate" -I -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      "$candidate" -I -c 'import sys; print(sys.executable)'
      return
    fi
  done
  echo "No Python 3.10 or newer found on PATH or under pyenv. Install one, then run this again." >&2
  return 3
}

# make_venv PYTHON FOLDER: a virtual environment that holds uv, in the version that pyproject.toml asks for.
make_venv() {
  local python=$1 folder=$2 uv
  uv=$(sed -n 's/^ *"\(uv[^"]*\)",$/\1/p' pyproject.toml)
  [[ -x $folder/bin/uv ]] && "$folder/bin/python" -c '' 2>/dev/null && return
  rm -rf "$folder"
  # Debian and Ubuntu ship venv without ensurepip; there the Python's own pip installs into the folder.
  if "$python" -I -c 'import ensurepip' 2>/dev/null; then
    "$python" -I -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$uv"
  elif "$python" -I -m pip --version >/dev/null 2>&1; then
    "$python" -I -m venv --without-pip "$folder"
    "$python" -I -m pip --python "$folder/bin/python" install --quiet --disable-pip-version-check "$uv"
  else
    echo "$python has neither ensurepip nor pip. On Debian and Ubuntu: apt-get install python3-venv" >&2
    return 3
  fi
}
