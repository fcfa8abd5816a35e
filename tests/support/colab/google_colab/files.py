"""Files from the person's own computer."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path

from google.colab import output


def upload(target_dir: str = "") -> dict[str, bytes]:
    """Let the person pick files, write them to the folder, and return them by the name written."""
    number = uuid.uuid4()
    chosen: dict[str, bytes] = {}
    step = output.eval_js(f'google.colab._files._uploadFiles("files-{number}", "result-{number}")')
    while step["action"] != "complete":
        step = output.eval_js(f'google.colab._files._uploadFilesContinue("result-{number}")')
        if step["action"] == "append":
            chosen[step["file"]] = chosen.get(step["file"], b"") + base64.b64decode(step["data"])
    folder = Path(target_dir)
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, data in chosen.items():
        path = _free(folder / name)
        print(f"Saving {name} to {path}")  # noqa: T201 - what a cell shows
        path.write_bytes(data)
        written[str(path)] = data
    return written


def _free(path: Path) -> Path:
    """The path, or with a number added the first that is not taken."""
    number = 0
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return free
