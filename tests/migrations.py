"""Opening many MLflow databases in one process.

MLflow compares the schema of each that it opens with the newest of its migrations, for which it
reads all of them from disk: half of the time that opening takes.
"""

from __future__ import annotations

from functools import cache


@cache
def read_migrations_once() -> None:
    """Have the migrations of a folder read once in this process; each database is compared."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    read = ScriptDirectory.from_config
    known: dict[str | None, ScriptDirectory] = {}

    def read_once(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = read(config)
        return known[place]

    ScriptDirectory.from_config = read_once  # type: ignore[method-assign]
