"""train.yaml: what it may say, and what does not go together."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.training.settings import Settings

TWO = {"architecture": "resnet18", "beside": [{"architecture": "tf_efficientnet_lite0"}]}


def test_the_first_network_stands_before_those_beside_it() -> None:
    assert [n.architecture for n in Settings.model_validate(TWO).networks] == [
        "resnet18",
        "tf_efficientnet_lite0",
    ]


@pytest.mark.parametrize("method", ["finetune", "auto"])
def test_only_the_probe_takes_networks_side_by_side(method: str) -> None:
    with pytest.raises(ValidationError, match=f"beside goes with method probe; {method} trains"):
        Settings.model_validate({**TWO, "method": method})


@pytest.mark.parametrize("weights", ["auto", "packaged", "hub", "none", "file:weights.safetensors"])
def test_weights_come_from_where_the_settings_name(weights: str) -> None:
    assert Settings(weights=weights).weights == weights


@pytest.mark.parametrize("weights", ["random", "file:", "Hub"])
def test_other_weights_are_refused(weights: str) -> None:
    with pytest.raises(ValidationError, match="weights"):
        Settings(weights=weights)


def test_a_misspelt_network_beside_names_the_nearest() -> None:
    with pytest.raises(ValidationError, match=r'did you mean "resnet18"'):
        Settings.model_validate({"beside": [{"architecture": "resnet81"}]})
