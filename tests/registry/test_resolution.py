"""Which version a line wants: by alias, or by the sign-offs."""

from __future__ import annotations

import pytest

from pipeline.errors import ModelWithdrawn, NoChampion, SignoffError
from pipeline.registry.decisions.chain import HEAD
from pipeline.registry.decisions.review import Review
from pipeline.registry.resolution import REASON_LENGTH, Resolution, resolve
from pipeline.registry.store import Registry


def test_recipe_without_champion_names_the_command_that_makes_one(two_versions: Registry) -> None:
    with pytest.raises(NoChampion, match="lineside models promote cells --version 2"):
        resolve(two_versions, "cells")


def test_unregistered_recipe_is_to_be_registered_first(registry: Registry) -> None:
    with pytest.raises(NoChampion, match="make repro"):
        resolve(registry, "cells")


def test_another_alias_that_nobody_bears_names_the_versions_there_are(
    two_versions: Registry,
) -> None:
    with pytest.raises(NoChampion, match=r'alias "trial" at .*; versions there: 1, 2'):
        resolve(two_versions, "cells", "trial")


def test_an_alias_is_enough_where_no_sign_off_is_required(two_versions: Registry) -> None:
    found = resolve(two_versions, "cells", "challenger")
    assert (found.version.version, found.approval, found.warning) == (2, None, "")


def test_the_sign_offs_name_the_champion_wherever_the_alias_was_moved(
    three_versions: Registry,
) -> None:
    three_versions.client.set_registered_model_alias("cells", "champion", "1")
    assert resolve(three_versions, "cells").version.version == 1
    found = resolve(three_versions, "cells", require_signoff=True)
    assert found.version.version == 3
    assert found.approval is not None
    assert found.approval.version == 3
    assert "the alias champion points to cells/1" in found.warning


def test_an_alias_without_a_sign_off_is_refused_where_one_is_required(
    two_versions: Registry,
) -> None:
    two_versions.client.set_registered_model_alias("cells", "champion", "1")
    with pytest.raises(SignoffError, match="cells/1 bears the alias champion without a sign-off"):
        resolve(two_versions, "cells", require_signoff=True)


def test_a_champion_that_was_deleted_names_the_way_back(three_versions: Registry) -> None:
    three_versions.client.delete_model_version("cells", "3")
    with pytest.raises(NoChampion, match=r"cells/3, which was signed off, was deleted .*rollback"):
        resolve(three_versions, "cells", require_signoff=True)


def test_a_withdrawn_champion_is_named_with_who_why_and_what_helps(
    two_versions: Registry,
) -> None:
    Review(two_versions, "cells").promote(1, "A. Weber", "first release")
    Review(two_versions, "cells").withdraw(1, "B. Sato", "misses cracks " * 30)
    said = r"cells/1 was withdrawn by B. Sato \(.*, record 0002\..*\): misses cracks"
    with pytest.raises(ModelWithdrawn, match=rf"{said}.*lineside models promote cells") as found:
        resolve(two_versions, "cells", require_signoff=True)
    assert found.value.reason.startswith("cells/1 was withdrawn by B. Sato")
    assert len(found.value.reason) <= REASON_LENGTH
    with pytest.raises(NoChampion, match=said):
        resolve(two_versions, "cells")


@pytest.mark.parametrize("require_signoff", [True, False])
def test_a_version_that_was_withdrawn_may_not_stay(
    three_versions: Registry, require_signoff: bool
) -> None:
    kept = three_versions.version("cells", 3)
    look = Resolution(three_versions, "cells", require_signoff=require_signoff)
    look.resolve()
    assert look.revocation(kept) == ""
    Review(three_versions, "cells").rollback("B. Sato", "misses cracks")
    look.resolve()
    assert look.revocation(kept).startswith("withdrawn")
    assert look.revocation(three_versions.version("cells", 2)) == ""


def test_where_no_sign_off_is_required_only_ones_that_verify_withdraw(
    three_versions: Registry,
) -> None:
    kept = three_versions.version("cells", 3)
    Review(three_versions, "cells").rollback("B. Sato", "misses cracks")
    three_versions.client.set_registered_model_tag("cells", HEAD, "altered")
    assert Resolution(three_versions, "cells").revocation(kept) == ""
