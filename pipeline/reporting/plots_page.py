"""The page of `dvc plots show` for a factory without internet: it carries Vega, which draws it.

DVC's own page loads Vega from a server. `python -m pipeline.reporting.plots_page`, run by `make
repro` after each install, writes DVC a page of ours with Vega inside and names it in DVC's settings
of this clone (`.dvc/config.local`). Neither is in git, so a clone without them has DVC's own page.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from markupsafe import Markup

from pipeline.errors import DataError, LinesideError, MissingExtra
from pipeline.files import project, write_whole
from pipeline.reporting.template import fill_html

PAGE = "plots/page.html"  # below .dvc, in the folder where DVC looks for templates of a project
SETTING = "plots.html_template"
VEGA_LITE = "5."  # the language in which DVC writes its plots
# What DVC's page calls for each plot. SVG prints sharply; the editor is a web site.
DRAW = """
window.vegaEmbed = (place, plot) =>
  vegaEmbed(place, plot, { renderer: "svg", actions: { editor: false } });
"""


def write_page(home: Path) -> Path:
    """Write the page into the DVC project in `home`; where it lies.

    Raises DataError where `home` has no `.dvc`.
    """
    if not (home / ".dvc").is_dir():
        raise DataError(f"{home} has no .dvc: run this in the folder of your copy of Lineside")
    page = home / ".dvc" / PAGE
    write_whole(page, fill_html("plots_page.html.j2", vega=Markup(vega())))
    return page


def choose_page(home: Path) -> str:
    """Have DVC use the page, unless its settings name another; the one that they name now.

    Only after `write_page`: `dvc plots` fails where the page is missing. Raises DataError.
    """
    chosen = _dvc_config(home, SETTING)
    if not chosen:
        _dvc_config(home, "--local", SETTING, PAGE)
    return chosen or PAGE


def vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script (0.9 MB), fit to stand in a page.

    The newest Vega-Lite that reads what DVC writes. Raises MissingExtra.
    """
    try:
        import vl_convert
    except ModuleNotFoundError as error:
        raise MissingExtra("vl-convert-python", "The page of `dvc plots`", "train") from error
    reads = [v for v in vl_convert.get_vegalite_versions() if v.startswith(VEGA_LITE)]
    newest = max(reads, key=lambda version: [int(part) for part in version.split(".")])
    script = vl_convert.javascript_bundle(DRAW, vl_version=newest)
    return script.replace("</script", r"<\/script")  # would end the element it stands in


def _dvc_config(home: Path, *argv: str) -> str:
    """What `dvc config` prints."""
    command = [sys.executable, "-m", "dvc", "config", *argv]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"{' '.join(command[2:])} failed in {home}: {done.stderr.strip()}")
    return done.stdout.strip()


def main() -> None:
    """Write the page for the project in the working directory, and have DVC use it."""
    home = project()
    try:
        page = write_page(home)
        chosen = choose_page(home)
    except LinesideError as error:
        sys.exit(f"error: {error}")
    if chosen == PAGE:
        print(f"dvc plots show: draws without a network, by {page}")
    else:
        print(
            f"dvc plots show: your own page {chosen} stays; to have the one that draws without a "
            f"network, run: dvc config --local {SETTING} {PAGE}"
        )


if __name__ == "__main__":
    main()
