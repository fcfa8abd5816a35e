# Shared by the scripts: find a Python, make a virtual environment, install what the lock pins. Source it from the root
# of the clone; it runs nothing.

# Exact versions and hashes of everything that the scripts install. scripts/refresh-dev-lock writes this file.
LOCK=requirements-dev.lock

# Unset variables that would redirect an installation or add other packages. Colab sets the first four. Settings of the
# package index, the proxy and certificates stay.
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

# make_venv PYTHON FOLDER: create a virtual environment with the locked uv, unless it exists.
make_venv() {
  local python=$1 folder=$2
  [[ -x $folder/bin/uv ]] && "$folder/bin/python" -c '' 2>/dev/null && return
  rm -rf "$folder"
  # Debian and Ubuntu ship venv without ensurepip; there Python's own pip installs into the folder.
  if "$python" -I -c 'import ensurepip' 2>/dev/null; then
    "$python" -I -m venv "$folder"
    install_uv "$folder" "$folder/bin/python" -m pip
  elif "$python" -I -m pip --version >/dev/null 2>&1; then
    "$python" -I -m venv --without-pip "$folder"
    install_uv "$folder" "$python" -I -m pip --python "$folder/bin/python"
  else
    echo "$python has neither ensurepip nor pip. On Debian and Ubuntu: apt-get install python3-venv" >&2
    return 3
  fi
}

# install_uv FOLDER PIP...: install the locked uv with this pip. Older pips trust only the certificates they ship. If
# those do not suffice, as behind a proxy with its own certificate, the machine's certificates are used.
install_uv() {
  local folder=$1 bundle
  shift
  # The pin of uv with its hashes: up to the first line without a continuation.
  awk '/^uv==/ { found = 1 } found { print; if (!/\\$/) exit }' "$LOCK" >"$folder/uv.txt"
  set -- "$@" install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement "$folder/uv.txt"
  "$@" 2>"$folder/pip.txt" && return
  if grep -q CERTIFICATE_VERIFY_FAILED "$folder/pip.txt"; then
    for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
      [[ -e $bundle ]] || continue
      echo "pip does not trust the package index with the certificates it ships. Trying those in $bundle."
      "$@" --cert "$bundle"
      return
    done
  fi
  cat "$folder/pip.txt" >&2
  return 1
}

# trust_system_certs FOLDER: query the package index with the uv of a virtual environment. If the certificates that uv
# ships do not suffice, as behind a proxy with its own certificate, set UV_SYSTEM_CERTS. Existing settings take
# precedence. Other failures are left to the command that needs the index.
trust_system_certs() {
  local answer
  [[ -z ${UV_SYSTEM_CERTS:-}${UV_NATIVE_TLS:-}${SSL_CERT_FILE:-}${SSL_CERT_DIR:-} ]] || return 0
  answer=$(UV_HTTP_RETRIES=0 "$1/bin/uv" pip install --quiet --python "$1/bin/python" --dry-run --no-deps --no-cache \
    --reinstall uv 2>&1) && return
  if [[ $answer == *'invalid peer certificate'* ]]; then
    echo "uv does not trust the package index with the certificates it ships. Using this machine's (UV_SYSTEM_CERTS)."
    export UV_SYSTEM_CERTS=true
  fi
}

# install_locked FOLDER: sync a virtual environment with the lock, checking hashes, and install the clone in editable mode.
# Does nothing if neither the lock nor pyproject.toml has changed since the last time.
install_locked() {
  local folder=$1 stamp=$1/.installed
  cat pyproject.toml "$LOCK" | cmp --silent - "$stamp" && return
  "$folder/bin/uv" pip sync --quiet --python "$folder/bin/python" --require-hashes --no-build "$LOCK"
  # The lock contains hatchling, so building the clone downloads nothing.
  "$folder/bin/uv" pip install --quiet --python "$folder/bin/python" --no-deps --no-build-isolation --editable .
  cat pyproject.toml "$LOCK" >"$stamp"
}
