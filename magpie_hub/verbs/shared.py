"""What several verbs need."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from rich.console import Console

    from magpie_hub.engines import EngineSpec


def console() -> Console:
    from magpie_hub import terminal

    return terminal.console()


def engine_of(options: Namespace) -> EngineSpec:
    from magpie_hub.runfile import engine_spec

    return engine_spec(options.engine, options.engine_arg, options.run_file)
