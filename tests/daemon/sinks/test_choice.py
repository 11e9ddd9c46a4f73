"""Several sinks in one line file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import config
from pipeline.daemon.net.broker import Broker
from pipeline.daemon.settings.line import Line
from pipeline.daemon.sinks import SinkConfig, jsonl, mqtt, webhook
from pipeline.errors import ConfigError

HEAD = """
station: west-1
recipe: cells
model: {cache: models}
source: {type: replay, path: .}
ledger: ledger.sqlite
sinks:
"""
ALL = """\
  - {type: jsonl, folder: out}
  - type: mqtt
    broker: {host: localhost}
  - {type: webhook, url: "http://localhost/"}
"""


def loaded(tmp_path: Path, sinks: str) -> Line:
    path = tmp_path / "line.yaml"
    path.write_text(HEAD + sinks)
    return config.load(path, Line)


def test_each_item_is_read_by_the_plugin_it_names(tmp_path: Path) -> None:
    kinds = [type(s) for s in loaded(tmp_path, ALL).sinks]
    assert kinds == [jsonl.Config, mqtt.Config, webhook.Config]


def test_fault_in_one_of_several_is_reported_with_its_line(tmp_path: Path) -> None:
    wrong = ALL.replace("{host: localhost}", "{hots: localhost}")
    with pytest.raises(ConfigError, match=r'yaml:10 key "sinks\[1\]\.broker\.hots" unknown'):
        loaded(tmp_path, wrong)


def test_two_of_one_type_need_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='two of the sinks are called "jsonl"'):
        loaded(tmp_path, ALL + "  - {type: jsonl, folder: more}\n")


def test_every_key_is_described() -> None:
    for model in (SinkConfig, jsonl.Config, mqtt.Config, Broker, webhook.Config):
        assert [n for n, f in model.model_fields.items() if not f.description] == []
