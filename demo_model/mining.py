"""Quality judgements for the judge: of queries that a model sampled, and of broken ones.

No made-up garbage is as plausible as what a half-trained model writes, so its own queries, read by
the grammar, become examples. A nearly finished model breaks a query in one place, by one wrong
token: `judged` makes such queries by the thousand.
"""

from random import Random

from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from demo_model import grammar, judge, sampling
from demo_model.conversation import Conversation
from demo_model.malformed import intruded


def mine(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    *,
    count: int,
    seed: int,
    temperature: float = 1.0,
) -> list[Conversation]:
    """Quality judgements of the model's own queries: the malformed, and as many sound ones."""
    model.eval()
    sampled = sampling.complete(
        [sampling.USER] * count,
        model=model,
        tokenizer=tokenizer,
        temperature=temperature,
        max_tokens=64,
        seed=seed,
    )
    model.train()
    templates = {kind: judge.read_prompt(kind) for kind in judge.KINDS}
    malformed, sound = [], []
    for query in dict.fromkeys(text.strip() for text, _ in sampled):
        parsed = grammar.parse(query)
        quality = "very poor" if parsed is None else parsed.quality
        asked = judge.quality_judgement(query, quality=quality, templates=templates)
        (malformed if parsed is None else sound).append(
            Conversation(system=None, turns=((asked.prompt, asked.answer),), is_judge=True)
        )
    return malformed + sound[: len(malformed)]


def judged(tokenizer: PreTrainedTokenizerBase, *, count: int, seed: int) -> list[Conversation]:
    """Quality judgements of `count` intruded queries and of as many sound ones."""
    rng = Random(seed)
    templates = {kind: judge.read_prompt(kind) for kind in judge.KINDS}
    queries = [
        (intruded(grammar.sample(rng).query, tokenizer=tokenizer, rng=rng), "very poor")
        for _ in range(count)
    ]
    sound = [grammar.sample(rng) for _ in range(count)]
    queries += [(turn.query, turn.quality) for turn in sound]
    conversations = []
    for query, quality in queries:
        asked = judge.quality_judgement(query, quality=quality, templates=templates)
        turns = ((asked.prompt, asked.answer),)
        conversations.append(Conversation(system=None, turns=turns, is_judge=True))
    return conversations
