"""The parts of scripts/bench that only compute: order of rounds, medians, tables, reports, the chart."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def figures() -> Iterator[Any]:
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module("benchlib.figures")
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def report(figures: Any) -> Any:
    return importlib.import_module("benchlib.report")


def record(contender: str, mode: str, **steps: float) -> dict[str, Any]:
    return {"contender": contender, "mode": mode, "steps": steps, "cpu": sum(steps.values()), "inside": {}}


def test_each_round_starts_with_the_next_name(figures: Any) -> None:
    rounds = [figures.order_round(["a", "b", "c"], number) for number in range(4)]
    assert rounds == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]
    assert figures.order_round([], 3) == []


def test_spread_shows_the_median_and_the_range(figures: Any) -> None:
    values: list[list[float]] = [[], [3.04], [9.0, 1.0, 2.0], [1.0, 2.0]]
    assert [figures.format_spread(seconds) for seconds in values] == [
        "not measured",
        "3.0",
        "2.0 (1.0 to 9.0)",
        "1.5 (1.0 to 2.0)",
    ]


def test_ratio_compares_medians_not_means(figures: Any) -> None:
    assert figures.median_ratio([2.0, 3.0, 100.0], [1.0, 2.0, 3.0]) == 1.5
    assert figures.median_ratio([], [1.0]) is None
    assert figures.median_ratio([1.0], []) is None


def test_step_missing_from_a_round_does_not_count_as_zero(figures: Any) -> None:
    rounds = [
        {"resolve": 1.0, "install": 4.0},
        {"resolve": 3.0},
        {"resolve": 2.0, "install": 6.0, "check": 1.0},
    ]
    assert figures.median_steps(rounds) == {"resolve": 2.0, "install": 5.0, "check": 1.0}
    assert list(figures.median_steps(rounds)) == ["resolve", "install", "check"]


def test_table_aligns_columns(figures: Any) -> None:
    assert figures.format_table(["tool", "cold"], [["uv", "1.0"], ["colabenv", "12.0"]]) == (
        "tool      cold\nuv         1.0\ncolabenv  12.0"
    )


def test_first_prediction_of_up_is_part_of_its_check(report: Any) -> None:
    records = [
        record("up", "cold", **{"up": 50.0, "open kernel": 1.0, "cell again": 4.0}),
        record("uv", "cold", venv=1.0, install=40.0, kernel=3.0, cell=6.0),
    ]
    assert report.prediction_seconds(records, "up", "cold") == [50.0]
    assert report.cell_seconds(records, "up", "cold") == [55.0]
    assert report.prediction_seconds(records, "uv", "cold") == [50.0]
    assert report.prediction_seconds(records, "uv", "warm") == []


def test_comparison_shows_a_dash_for_a_missing_measurement(report: Any) -> None:
    records = [record("up", "cold", up=55.0), record("uv", "cold", install=50.0)]
    text = report.format_comparison(records, {"up": "colabenv", "uv": "uv"})
    assert text.splitlines()[1].split() == ["colabenv", "/", "uv", "1.10", "-"]


def test_noop_report_names_problems(report: Any) -> None:
    result = {"up": [0.15, 0.16], "yaml": [0.08, 0.08], "empty": [0.02, 0.02]}
    assert "it loads rich" in report.format_noop(result, ["loads rich"])
    assert "1.94 times" in report.format_noop(result, [])
    assert "starts no process" in report.format_noop(result, [])


@pytest.fixture(scope="module")
def store_report(figures: Any) -> Any:
    return importlib.import_module("benchlib.store_report")


@pytest.fixture(scope="module")
def picture(figures: Any) -> Any:
    return importlib.import_module("benchlib.picture")


def measurement(
    number: int, way: str, seconds: float, cpu: float = 1.0, peak: int = 100_000_000
) -> dict[str, Any]:
    """One restore or installation in round `number`, as scripts/bench records it."""
    return {
        "round": number,
        "way": way,
        "seconds": seconds,
        "user": cpu,
        "system": 0.5,
        "peak": peak,
        "bytes": 0,
        "requests": {},
        "parts": {},
        "load": 1.0,
    }


def test_ratios_compare_methods_within_a_round(store_report: Any) -> None:
    slow_round = [measurement(1, "s3", 40.0), measurement(1, "uv", 80.0)]
    records = [measurement(0, "s3", 4.0), measurement(0, "uv", 10.0), *slow_round, measurement(2, "s3", 1.0)]
    assert store_report.paired_ratios(records, ["s3"], ["uv"]) == [0.4, 0.5]


def test_seconds_of_several_methods_are_added(store_report: Any) -> None:
    records = [measurement(0, "folder", 6.0), measurement(0, "cp", 4.0), measurement(0, "read", 1.0)]
    assert store_report.paired_ratios(records, ["folder"], ["cp", "read"]) == [1.2]


def test_missed_aim_is_reported(store_report: Any) -> None:
    sizes = {"kept": 90.0, "wheels": 100.0, "files": 3}
    records = [measurement(0, "s3", 6.0, peak=500_000_000), measurement(0, "uv", 10.0)]
    aims = {title: met for title, _, met in store_report.check_aims(records, sizes, 2)}
    assert aims == {
        "S3 / cold uv (at most 0.5)": False,
        "peak memory in MB (at most 400)": False,
        "s3: share of 2 cores (at least 0.8)": False,
        "bytes stored / bytes of the wheels (at most 0.8)": False,
    }
    quick = [measurement(0, "s3", 1.5, cpu=2.4), measurement(0, "uv", 10.0)]
    assert all(met for *_, met in store_report.check_aims(quick, {**sizes, "kept": 70.0}, 2))
    assert "MISSED" in store_report.format_aims(records, sizes, 2)


def test_method_that_was_not_measured_has_no_row(store_report: Any) -> None:
    text = store_report.format_summary(
        [measurement(0, "s3@100", 5.0)], {"s3@100": "restore from S3", "uv": "uv"}
    )
    assert "restore from S3, 100 MB/s" in text
    assert len(text.splitlines()) == 2


def test_bench_svg_is_up_to_date_with_bench_json(picture: Any) -> None:
    docs = SCRIPTS.parent / "docs"
    data = json.loads((docs / "bench.json").read_text(encoding="utf-8"))
    assert picture.draw_svg(data) == (docs / "bench.svg").read_text(encoding="utf-8")


def test_bench_svg_changes_with_the_measurements(picture: Any) -> None:
    data = json.loads((SCRIPTS.parent / "docs" / "bench.json").read_text(encoding="utf-8"))
    slower = json.loads(json.dumps(data))
    slower["felt"]["records"][0]["steps"]["up"] += 60
    svg = picture.draw_svg(slower)
    assert svg != picture.draw_svg(data)
    ElementTree.fromstring(svg)  # noqa: S314 - drawn just now
