"""Files from the user's own computer."""

from __future__ import annotations

import base64
import uuid
from pathlib import Path

from google.colab import output


def upload(target_dir: str = "") -> dict[str, bytes]:
    """Let the user choose files and write them to a folder; returns the content of each written file."""
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
        print(f"Saving {name} to {path}")  # noqa: T201 - output of the cell
        path.write_bytes(data)
        written[str(path)] = data
    return written


def _free(path: Path) -> Path:
    """The path, or if it exists, the first free one with a number added."""
    number = 0
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return free
