"""A run on a Ray cluster: one engine an actor, and shards go to whoever asks for the next.

The files of the run say what is done, as everywhere; Ray only says who does what at the moment. So
a lost node costs the shards that it had in flight, and where the driver is lost, any other run of
the recipe goes on, with Ray or without.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from magpie_hub.cluster.crew import Crew
from magpie_hub.engines import EngineSpec
from magpie_hub.errors import EngineError, Interrupted, MissingExtra
from magpie_hub.recipe import Recipe
from magpie_hub.run import Run
from magpie_hub.stages import Progress
from magpie_hub.storage import open_folder
from magpie_hub.storage.locks import locked


def run_on_ray(
    recipe: Recipe,
    out: str | Path,
    *,
    address: str | None = None,
    workers: int = 1,
    gpus_per_worker: float = 0.0,
    engine: EngineSpec,
    progress: Progress,
    until: str = "annotate",
) -> Run:
    """Do what is left of ``recipe`` in ``out``, a folder or URL that every node reaches.

    ``address`` is a cluster's; "auto" finds the one of this machine, and None or "local" starts one
    that lives as long as this call. ``EngineError`` where no worker can be kept alive.
    """
    folder = open_folder(out)
    place = str(folder) if folder.remote else str(folder.path.resolve())
    # Our own lock keeps a second driver out; the workers share the run's with us.
    with (
        locked(folder.child(".ray")),
        locked(folder, shared=True),
        contextlib.redirect_stdout(sys.stderr),  # where Ray's own messages belong
        _connected(address, workers),
    ):
        crew = Crew(gpus_per_worker, (recipe, place, engine, until), progress)
        try:
            crew.work(workers)
        except KeyboardInterrupt as error:
            raise Interrupted(
                f"stopped; what was finished is in {out}, and the same command goes on from there."
            ) from error
        finally:
            crew.close()
    return Run.open(place)


@contextlib.contextmanager
def _connected(address: str | None, workers: int) -> Iterator[None]:
    """A connection that was there before stays."""
    # For good: Ray's own defaults are a report to its makers and no GPU for whoever asks for none.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address in (None, "local") and "RAY_AUTH_MODE" not in os.environ:
        # A cluster of our own has a secret of its own, where Ray would leave one in the home folder
        # that clusters of later days then ask for.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("ray", "ray") from error
    if ray.is_initialized():
        yield
        return
    try:
        _connect(address, workers)
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None, workers: int) -> None:
    import ray
    from ray.exceptions import AuthenticationError

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address in (None, "local"):
        ray.init(
            address="local",
            num_cpus=max(workers, os.cpu_count() or 1),
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            **quiet,
        )
        return
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, AuthenticationError) as error:
        raise EngineError(
            f"no Ray cluster at {address} lets us in; check the address, and RAY_AUTH_MODE and the "
            "token where it asks for one."
        ) from error
