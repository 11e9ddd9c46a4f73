"""What a reviewer reads of a version, also where parts of it were deleted."""

from __future__ import annotations

from pipeline.contracts.evaluation import Figure
from pipeline.registry.dossier import figures, read_dossier
from pipeline.registry.store import Registry


def test_a_figure_and_its_interval_are_one() -> None:
    metrics = {"auroc": 0.9, "auroc_ci95_low": 0.8, "auroc_ci95_high": 0.95, "accuracy": 0.7}
    assert figures(metrics) == {"accuracy": Figure(0.7), "auroc": Figure(0.9, 0.8, 0.95)}


def test_a_dossier_shows_figures_settings_and_files_of_the_run(two_versions: Registry) -> None:
    dossier = read_dossier(two_versions, two_versions.version("cells", 1))
    assert dossier.figures == {"auroc": Figure(0.9)}
    assert dossier.params == {"method": "probe"}
    assert {"evaluate", "plots"} <= set(dossier.files)
    assert (dossier.page, dossier.missing) == ("", "")


def test_a_deleted_run_is_noted(two_versions: Registry) -> None:
    version = two_versions.version("cells", 1)
    two_versions.client.delete_run(version.run_id)
    assert read_dossier(two_versions, version).missing == "its run was deleted in MLflow"


def test_without_a_run_the_figures_are_those_of_the_tags(two_versions: Registry) -> None:
    two_versions.client.set_model_version_tag("cells", "1", "escape_rate", "0.0100")
    found = two_versions.version("cells", 1)
    for run_id, why in (("", "it has no run"), ("f" * 32, "its run cannot be read")):
        gone = type(found)(found.recipe, 1, found.bundle_sha256, run_id, tags=found.tags)
        dossier = read_dossier(two_versions, gone)
        assert dossier.figures == {"escape_rate": Figure(0.01)}
        assert dossier.missing.startswith(why)
