"""The output of a cell that the check runs in a kernel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from colabenv.embedded.check_cell import STEP_PREFIX

#: MIME type of the cell's report.
REPORT_MIME = "application/vnd.colabenv.check+json"
_WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


@dataclass
class CellOutput:
    """What a cell has sent so far.

    Attributes:
        text: what it printed.
        report: the result of its function.
        step: what it does now.
        images: the number of images that it displayed.
        models: identifiers of the widget models that it opened.
        views: identifiers of the widget models that it displayed.
    """

    text: str = ""
    report: dict[str, Any] | None = None
    step: str = "the check starts"
    images: int = 0
    models: set[str] = field(default_factory=set)
    views: set[str] = field(default_factory=set)

    def add(self, message: dict[str, Any]) -> None:
        """Add an iopub message."""
        content = message["content"]
        if message["msg_type"] == "stream":
            for line in content["text"].splitlines(keepends=True):
                if line.startswith(STEP_PREFIX):
                    self.step = line.removeprefix(STEP_PREFIX).strip()
                else:
                    self.text += line
        elif message["msg_type"] == "comm_open" and content["target_name"] == "jupyter.widget":
            self.models.add(content["comm_id"])
        elif message["msg_type"] == "display_data":
            self.report = content["data"].get(REPORT_MIME, self.report)
            self.images += "image/png" in content["data"]
            if _WIDGET_MIME in content["data"]:
                self.views.add(content["data"][_WIDGET_MIME]["model_id"])
