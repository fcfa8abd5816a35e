"""The environment variables of a process on Colab, and those that this machine needs to reach the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# As child processes of a notebook on Colab inherit them (summer 2026). The addresses of Google's own
# services are closed ports here.
COLAB = {
    "PYTHONUTF8": "1",
    "PYTHONWARNINGS": "ignore:::pip._internal.cli.base_command",
    "UV_SYSTEM_PYTHON": "true",
    "UV_CONSTRAINT": "",
    "UV_BUILD_CONSTRAINT": "",
    "UV_INSTALL_DIR": "/usr/local/bin",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "LD_LIBRARY_PATH": "/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
    "LIBRARY_PATH": "/usr/local/cuda/lib64/stubs",
    "CUDA_VERSION": "12.8.1",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "CLOUDSDK_PYTHON": "python3",
    "DEBIAN_FRONTEND": "noninteractive",
    "TBE_RUNTIME_ADDR": "127.0.0.1:8011",
    "TBE_CREDS_ADDR": "127.0.0.1:8008",
    "TBE_EPHEM_CREDS_ADDR": "127.0.0.1:8009",
    "COLAB_JUPYTER_TRANSPORT": "ipc",
    "COLAB_JUPYTER_IP": "127.0.0.1",
    "COLAB_RELEASE_TAG": "release-colab-external_20260708-060045_RC00",
    "KMP_TARGET_PORT": "9000",
    "TERM": "xterm-color",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "CLICOLOR": "1",
}

# Settings of proxies, mirrors and certificates, which may be needed to reach the package index.
NETWORK = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "PIP_INDEX_URL",
)


def network(outside: Mapping[str, str]) -> dict[str, str]:
    """The given variables that may be needed to reach the package index."""
    return {name: outside[name] for name in NETWORK if name in outside}


def variables(
    *, base: Path, home: str, content: str, env_python: str, uv_cache: str, outside: Mapping[str, str]
) -> dict[str, str]:
    """All environment variables of the machine's server; the paths are as seen inside the machine."""
    path = [str(base / "bin"), "/usr/local/nvidia/bin", "/usr/local/cuda/bin"]
    path += ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    return {
        **COLAB,
        **network(outside),
        "PATH": ":".join(path),
        "HOME": home,
        "SHELL": "/bin/bash",
        "PYTHONPATH": env_python,
        "CLOUDSDK_CONFIG": f"{content}/.config",
        "UV_CACHE_DIR": uv_cache,
    }
