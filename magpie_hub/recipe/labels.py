"""The annotators: what each needs to know."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from magpie_hub.recipe.part import Part, Penalty

Passes = Literal["one", "three"]


class Judge(Part):
    """The chat model that labels queries; without ``model``, the asker judges itself. ``passes``:
    all labels in one answer, or three questions, for small models."""

    model: str | None = None
    revision: str | None = None
    passes: Passes = "one"


class Against(Part):
    """A second responder whose answers the reward model scores too."""

    model: str
    revision: str | None = None
    temperature: float = Field(0.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    repetition_penalty: Penalty = 1.0
    max_tokens: int = Field(2048, ge=1)


class RewardModel(Part):
    model: str
    revision: str | None = None


class Reward(RewardModel):
    """A sequence-classification reward model that scores each answer; ``also`` are others, whose
    scores stand beside its own in ``rewards``. With ``against``, ``reward_difference`` says how
    much better the answer is than a second responder's."""

    also: tuple[RewardModel, ...] = ()
    against: Against | None = None


class Safety(Part):
    """A guard model that calls each exchange safe or not; what it does not call safe is not
    published, unless ``keep``."""

    model: str
    revision: str | None = None
    keep: bool = False


class Language(Part):
    """Below ``confidence`` a query's language is ``und``; ``among`` narrows the candidates to the
    languages that the source model is known to write, which is what saves short queries."""

    identifier: Literal["lid.176", "lingua"] = "lid.176"
    confidence: float = Field(0.4, ge=0, le=1)
    among: tuple[str, ...] = ()


class Text(Part):
    """Lengths, loops, refusals, the answer's language and format, leaks."""


class Pii(Part):
    """Secrets and personal data. Rows with any ``block`` a release, are left out (``drop``) or are
    published with their label (``keep``)."""

    action: Literal["block", "drop", "keep"] = "block"


class Items(Part):
    """Texts from elsewhere: a ``file`` (.jsonl, .json, .csv, .parquet, .txt) or a dataset on the
    ``hub``; of the ``fields`` named."""

    name: str = Field(min_length=1)
    file: str | None = None
    hub: str | None = None
    config: str | None = None
    split: str = "test"
    revision: str | None = None
    fields: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_source(self) -> Items:
        if (self.file is None) == (self.hub is None):
            raise ValueError("give a file or a hub, one of them")
        return self


class Benchmark(Items):
    """Of whose items no query should hold the words, or the meaning."""


class Published(Items):
    """Another dataset, whose queries ours should not repeat."""

    split: str = "train"


class Contamination(Part):
    """A query that shares a run of ``words`` with a benchmark's item is turned away, and one that
    is less than ``nearest`` from it by the embeddings of ``neighbors``."""

    against: tuple[Benchmark, ...] = Field(min_length=1)
    words: int = Field(13, ge=3)
    nearest: float | None = Field(None, ge=0, le=4)


class Neighbors(Part):
    """The nearest other query of each, by embeddings; below ``threshold`` (squared L2; 0.05 is a
    cosine of 0.975) a neighbour counts as a repetition."""

    model: str = "sentence-transformers/all-mpnet-base-v2"
    revision: str | None = None
    threshold: float = Field(0.05, ge=0, le=4)


class Map(Part):
    """Every query's place on a map of all of them, by the embeddings of ``model``; without one, by
    those of ``neighbors``."""

    model: str | None = None
    revision: str | None = None
    seed: int = 0


class Duplicates(Part):
    """Queries that nearly repeat another are turned away: from a Jaccard similarity of ``jaccard``
    of their words on, and from neighbours less than ``neighbors`` apart. ``against`` are other
    datasets, whose words they shall not repeat either."""

    jaccard: float = Field(0.8, gt=0, le=1)
    neighbors: float | None = Field(None, ge=0, le=4)
    against: tuple[Published, ...] = ()


class Annotate(Part):
    language: Language | None = None
    contamination: Contamination | None = None
    judge: Judge | None = None
    neighbors: Neighbors | None = None
    map: Map | None = None
    duplicates: Duplicates | None = None
    text: Text | None = None
    pii: Pii | None = None
    safety: Safety | None = None
    reward: Reward | None = None
