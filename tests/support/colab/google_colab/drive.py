"""The user's Google Drive, which is a folder of the machine here."""

from __future__ import annotations

from pathlib import Path

from google.colab import _message


def mount(
    mountpoint: str, force_remount: bool = False, timeout_ms: int = 120000, readonly: bool = False
) -> None:
    """Ask the page for permission, then create the folder `My Drive` at the mount point.

    Raises:
        NotImplementedError: this is not a Colab machine.
        MessageError: the page refused.
        ValueError: the mount point contains files.
    """
    if not Path("/var/colab/hostname").exists():
        raise NotImplementedError("Mounting drive is unsupported in this environment.")
    _message.blocking_request("request_auth", {"authType": "dfs_ephemeral"}, timeout_sec=timeout_ms / 1000)
    folder = Path(mountpoint).expanduser()
    if (folder / "My Drive").is_dir() and not force_remount:
        print(f"Drive already mounted at {mountpoint}.")  # noqa: T201 - output of the cell
        return
    if folder.is_dir() and any(path.name != "My Drive" for path in folder.iterdir()):
        raise ValueError("Mountpoint must not already contain files")
    (folder / "My Drive").mkdir(parents=True, exist_ok=True)
    print(f"Mounted at {mountpoint}")  # noqa: T201 - output of the cell
