"""What each command does: one function a command, from its options to its result as JSON.

Nothing heavy is imported until a function needs it, so that ``--help`` is immediate.
"""

from magpie_hub.verbs.judging import compare, evaluate, train
from magpie_hub.verbs.releasing import (
    build,
    diff,
    export,
    push,
    releases,
    report,
    verify,
    withdraw,
)
from magpie_hub.verbs.running import demo, init, preview, probe, run, status

__all__ = [
    "build",
    "compare",
    "demo",
    "diff",
    "evaluate",
    "export",
    "init",
    "preview",
    "probe",
    "push",
    "releases",
    "report",
    "run",
    "status",
    "train",
    "verify",
    "withdraw",
]
