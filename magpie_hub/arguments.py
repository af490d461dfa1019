"""The commands and their options."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable

from magpie_hub import __version__, verbs

Verb = Callable[[str, str], ArgumentParser]
"""Adds a command by its name and what it does."""


def parser() -> ArgumentParser:
    """``options.verb(options)`` does what was asked for."""
    parser = ArgumentParser(
        prog="magpie-hub",
        description="From any open-weight chat model to a versioned dataset on the Hugging Face "
        "Hub, by the Magpie method.",
    )
    parser.add_argument("--version", action="version", version=f"magpie-hub {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def verb(name: str, summary: str) -> ArgumentParser:
        command = commands.add_parser(name, help=summary, description=f"{summary}.")
        command.add_argument("--json", action="store_true", help="the result as JSON on stdout")
        command.set_defaults(verb=getattr(verbs, name))
        return command

    _running(verb)
    _releasing(verb)
    _judging(verb)
    return parser


def _running(verb: Verb) -> None:
    """From a recipe to rows."""
    demo = verb("demo", "the whole line on the bundled model, offline")
    demo.add_argument("--out", default="magpie-demo", metavar="DIR", help="default: %(default)s")
    demo.add_argument("--rows", type=int, metavar="N", help="queries to sample; default: 500")
    _recipe(demo)

    probe = verb("probe", "is this model a source: its derived template, sample queries, health")
    probe.add_argument("model", metavar="MODEL", help="a Hub id or a folder")
    probe.add_argument("-n", type=int, default=64, metavar="N", help="queries; default: 64")
    _engine(probe)
    probe.add_argument("--revision", metavar="REV", help="of a model on the Hub")
    probe.add_argument("--temperature", type=float, default=1.0, metavar="T")
    probe.add_argument("--top-p", type=float, default=1.0, metavar="P")
    probe.add_argument("--system", metavar="TEXT", help="a system prompt to steer the queries")
    probe.add_argument(
        "--no-judge", action="store_false", dest="judge", help="do not have it label its queries"
    )

    preview = verb("preview", "a few rows of a recipe, nothing written")
    preview.add_argument("recipe", metavar="RECIPE")
    preview.add_argument("-n", type=int, default=8, metavar="N", help="queries; default: 8")
    _price(preview)
    _recipe(preview)

    run = verb("run", "sample, label, screen, answer and score, resuming what is there")
    run.add_argument("recipe", metavar="RECIPE")
    run.add_argument("--out", metavar="RUN", help="the run's folder; default: the recipe's name")
    run.add_argument("--until", default="annotate", metavar="STAGE", help="stop after this stage")
    sharing = run.add_mutually_exclusive_group()
    sharing.add_argument(
        "--join", action="store_true", help="beside other processes that work on the same run"
    )
    sharing.add_argument(
        "--shards", metavar="I/N", help="only the shards of part I, 0 to N-1: for job arrays"
    )
    sharing.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="on a Ray cluster, or on one that is started here",
    )
    run.add_argument("--workers", type=int, default=1, metavar="N", help="of --ray; default: 1")
    run.add_argument(
        "--gpus-per-worker", type=float, default=0.0, metavar="M", help="of --ray; default: 0"
    )
    run.add_argument(
        "--retry-failed", action="store_true", help="try rows again that the engine gave up"
    )
    _recipe(run)

    status = verb("status", "how far a run is")
    status.add_argument("run", metavar="RUN")
    _price(status)

    init = verb("init", "a commented recipe to start from")
    init.add_argument("name", metavar="NAME", help="of the data set; the recipe is NAME.yaml")
    init.add_argument(
        "--builder",
        action="store_true",
        help="and a builder of your own beside it, to change: NAME_builder.py",
    )


def _releasing(verb: Verb) -> None:
    """From rows to a release, on the Hub too."""
    build = verb("build", "validate a run and write a release with its configs and card")
    build.add_argument("run", metavar="RUN", nargs="+", help="several are built as one pool")
    build.add_argument(
        "--recipe",
        metavar="FILE",
        help="whose configs and builder count in the place of the run's own",
    )
    build.add_argument(
        "--version", required=True, dest="release_version", metavar="X.Y.Z", help="of the release"
    )
    build.add_argument(
        "--any-version",
        action="store_true",
        help="even one that is lower than what changed since the release before calls for",
    )
    build.add_argument(
        "--evidence",
        action="append",
        default=[],
        metavar="DIR",
        help="what train, evaluate or compare left there goes on the card; may be repeated",
    )

    export = verb("export", "a config of a release as a file in the form that a trainer reads")
    export.add_argument("release", metavar="RELEASE", help="a release folder")
    export.add_argument("config", metavar="CONFIG")
    export.add_argument(
        "--as",
        dest="form",
        default="messages",
        metavar="FORMAT",
        help="messages (default), prompt-completion, sharegpt, alpaca, openai or kto",
    )
    export.add_argument("--split", metavar="NAME", help="default: train")
    export.add_argument(
        "-o",
        dest="out",
        metavar="FILE",
        help="ends with .jsonl or .parquet; default: NAME-CONFIG-FORMAT",
    )
    export.add_argument(
        "--magpie-columns",
        action="store_true",
        help="all other columns too, by the names that Magpie's datasets have for them",
    )
    export.add_argument(
        "--without-thinking",
        action="store_false",
        dest="thinking",
        help="leave out what the model thought before it answered",
    )

    report = verb("report", "a run or a release as one HTML file, to decide on publishing it")
    report.add_argument("place", metavar="RUN|RELEASE", help="a run's or a release's folder")
    report.add_argument(
        "-o", dest="out", default="report.html", metavar="FILE", help="default: %(default)s"
    )
    report.add_argument(
        "--over",
        action="append",
        default=[],
        metavar="SOURCE",
        help="another set, as of compare: one map of both, and what they share; may be repeated",
    )

    diff = verb("diff", "what changed between two releases, and the version that it calls for")
    place = "a release folder, ORG/NAME@vX.Y.Z or ORG/NAME: its newest"
    diff.add_argument("old", metavar="OLD", help=place)
    diff.add_argument("new", metavar="NEW", help=place)

    push = verb("push", "put a release on the Hub as one commit and one tag")
    push.add_argument("release", metavar="RELEASE", help="a release folder")
    push.add_argument("repo", metavar="ORG/NAME")
    push.add_argument("--dry-run", action="store_true", help="ask the Hub, change nothing")
    push.add_argument(
        "--private", action="store_true", help="if the dataset is created, make it so"
    )
    push.add_argument("--create-pr", action="store_true", help="as a pull request, without a tag")

    verify = verb("verify", "does a reader of the Hub get what was released")
    verify.add_argument("repo", metavar="ORG/NAME")
    verify.add_argument("--version", required=True, dest="release_version", metavar="X.Y.Z")

    releases = verb("releases", "the versions on the Hub: dates, rows, commits")
    releases.add_argument("repo", metavar="ORG/NAME")

    withdraw = verb("withdraw", "take rows down in the next version on the Hub")
    withdraw.add_argument("repo", metavar="ORG/NAME")
    withdraw.add_argument(
        "--ids", required=True, metavar="FILE", help="an id a line, or JSONL with id and reason"
    )
    withdraw.add_argument(
        "--reason", required=True, metavar="TEXT", help="why; it is published with the ids"
    )
    withdraw.add_argument(
        "--version", dest="release_version", metavar="X.Y.Z", help="default: the next minor one"
    )
    where = withdraw.add_mutually_exclusive_group()
    where.add_argument("--out", metavar="DIR", help="of the release; default: NAME-withdrawn")
    where.add_argument(
        "--run", metavar="RUN", help="into its releases/, so that later builds leave the rows out"
    )
    withdraw.add_argument("--dry-run", action="store_true", help="say all, write and push nothing")


def _judging(verb: Verb) -> None:
    """Is the data good."""
    compare = verb("compare", "the same analysis of several sets, side by side")
    compare.add_argument(
        "source",
        metavar="SOURCE",
        nargs="+",
        help="a run, a release, files, or ORG/NAME[@REVISION][:CONFIG]; see docs/compare.md",
    )
    compare.add_argument("--where", metavar="EXPR", help="only rows for which this holds")
    compare.add_argument(
        "--rows", type=int, default=10_000, metavar="N", help="sampled of each; default: 10000"
    )
    compare.add_argument("--scan", type=int, metavar="N", help="read only the first N rows of each")
    compare.add_argument("--seed", type=int, default=0, metavar="S", help="default: %(default)s")
    compare.add_argument("-o", dest="out", metavar="FILE.html", help="a page with all of it")
    compare.add_argument(
        "--evidence", metavar="DIR", help="leave there what a card can show; see `build`"
    )
    compare.add_argument("--tokenizer", metavar="MODEL", help="lengths in its tokens, not words")
    compare.add_argument("--embedder", metavar="MODEL", help="of questions, by meaning")
    compare.add_argument(
        "--benchmark",
        action="append",
        default=[],
        metavar="FILE#FIELD",
        help="whose items no question should hold; may be repeated",
    )
    compare.add_argument("--judge", metavar="MODEL", help="labels the questions of all sources")
    compare.add_argument(
        "--passes", choices=("one", "three"), default="one", help="questions to the judge a row"
    )
    compare.add_argument("--reward", metavar="MODEL", help="scores the answers of all sources")
    _engine(compare)

    train = verb("train", "fine-tune a base model on a config of a release, or on another set")
    train.add_argument(
        "source",
        metavar="SOURCE",
        help="a release with :CONFIG, or a set of another shape; see docs/train.md",
    )
    train.add_argument("--base", required=True, metavar="MODEL", help="a Hub id or a folder")
    train.add_argument("--method", required=True, metavar="METHOD", help="sft or dpo")
    train.add_argument(
        "--preset", default="paper", metavar="NAME", help="of settings; default: %(default)s"
    )
    train.add_argument("--config", metavar="NAME", help="default: the release's own default")
    train.add_argument(
        "--out", metavar="DIR", help="goes on with what is there; default: BASE-CONFIG-METHOD"
    )
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting, such as epochs=1; may be repeated; see docs/train.md",
    )
    train.add_argument("--lora", action="store_true", help="train an adapter and merge it")
    train.add_argument(
        "--chat-template",
        metavar="FILE|NAME",
        help="a Jinja file or a ready one's name; see docs/train.md; default: the base's own",
    )

    evaluate = verb("evaluate", "judge a model's answers to a benchmark's prompts")
    evaluate.add_argument("model", metavar="MODEL", help="a Hub id or a folder")
    evaluate.add_argument(
        "--against",
        metavar="MODEL|FILE",
        help="an opponent, or a file of its answers; default: those that came with the prompts",
    )
    evaluate.add_argument(
        "--prompts",
        required=True,
        metavar="FILE|NAME",
        help="a file, or alpaca-eval, arena-hard, wildbench or mt-bench; see docs/evaluate.md",
    )
    evaluate.add_argument("--judge", metavar="MODEL", help="compares the answers of both sides")
    evaluate.add_argument("--second-judge", metavar="MODEL", help="to see how far two agree")
    evaluate.add_argument(
        "--out", default="magpie-evaluate", metavar="DIR", help="default: %(default)s"
    )
    evaluate.add_argument(
        "--max-tokens", type=int, default=2048, metavar="N", help="of a turn; default: 2048"
    )
    evaluate.add_argument(
        "--repetition-penalty",
        type=float,
        metavar="X",
        help="of the answers; default: 1.2 for AlpacaEval, as in the paper, and 1 (none) otherwise",
    )
    evaluate.add_argument(
        "--chat-template",
        metavar="FILE|NAME",
        help="as of train, for MODEL and an opponent that has none; default: their own",
    )
    evaluate.add_argument("--seed", type=int, default=0, metavar="S", help="of the intervals")
    evaluate.add_argument(
        "--gamed", metavar="FILE", help="AlpacaEval's df_gamed.csv, with the difficulties"
    )
    evaluate.add_argument(
        "--truth",
        metavar="MODULE:FUNCTION",
        help="of (question, answer): whether it is right, None where that cannot be told",
    )
    _engine(evaluate)


def _recipe(command: ArgumentParser) -> None:
    _engine(command)
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a key of the recipe, such as sample.max_tokens=200; may be repeated",
    )


def _engine(command: ArgumentParser) -> None:
    command.add_argument("--engine", metavar="E", help="transformers (default), vllm or server")
    command.add_argument(
        "--engine-arg",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the engine, such as tensor_parallel_size=2; may be repeated",
    )
    command.add_argument("--run-file", metavar="FILE", help="YAML with the engine's options")


def _price(command: ArgumentParser) -> None:
    command.add_argument(
        "--usd-per-hour", type=float, metavar="X", help="of one device, to tell costs"
    )
