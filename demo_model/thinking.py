"""What the third lap adds: questions of several steps, and thinking before the answer.

Every trace is the grammar's own and right. A question that needs no steps gets one sentence on what
is wanted, so that the model closes its thinking whatever it is asked.
"""

from random import Random

from demo_model import grammar, judge
from demo_model.conversation import Conversation, system_prompt
from demo_model.followup import FOLLOW_UP, follow
from demo_model.grammar import Turn
from demo_model.intent import MATH, REASON, Intent
from demo_model.intents import INTENTS

_SHARES = (0.45, 0.25, 0.18, 0.12)
"""Of questions of several steps, of other sums, of other deductions, and of anything."""
_MULTISTEP = {
    "chain_short": 1.0,
    "chain": 1.5,
    "chain_long": 1.3,
    "story_chain": 1.5,
    "weekday_far": 0.5,
    "line": 1.5,
}
_SECOND_TURN = 0.08
_JUDGED = 0.3


def think(turn: Turn) -> str:
    """The grammar's thinking before it answers `turn`."""
    if turn.intent == FOLLOW_UP:
        return "The user goes on with the last answer."
    return INTENTS[turn.intent].think(turn.slots)


def thoughtful(count: int, *, seed: int) -> list[Conversation]:
    """`count` conversations whose last answer is thought about."""
    rng = Random(seed)
    themes = [_thought_about(MATH), _thought_about(REASON)]
    conversations = []
    for _ in range(count):
        kind = rng.choices(range(len(_SHARES)), _SHARES)[0]
        if kind == 0:
            turn = _of_several_steps(rng)
        elif kind <= len(themes):
            theme = themes[kind - 1]
            chosen = rng.choices(theme, [intent.weight for intent in theme])[0]
            turn = grammar.sample(rng, intent=chosen)
        else:
            turn = grammar.sample(rng)
        system, turns = system_prompt(turn, rng=rng), [turn]
        if rng.random() < _SECOND_TURN:
            turns.append(follow(turn, rng=rng))
        conversations.append(
            Conversation(
                system=system,
                turns=tuple((t.query, t.answer) for t in turns),
                thought=think(turns[-1]),
            )
        )
    return conversations


def several_steps(count: int, *, seed: int) -> list[Conversation]:
    """Questions of several steps as users ask them, answered at a guess, or judged."""
    rng = Random(seed)
    templates = {kind: judge.read_prompt(kind) for kind in judge.KINDS}
    conversations = []
    for _ in range(count):
        turn = _of_several_steps(rng)
        if rng.random() < _JUDGED:
            asked = judge.judgement(turn, kind=rng.choice(judge.KINDS), templates=templates)
            turns = ((asked.prompt, asked.answer),)
            conversations.append(Conversation(system=None, turns=turns, is_judge=True))
        else:
            system, turns = system_prompt(turn, rng=rng), ((turn.query, turn.answer),)
            conversations.append(Conversation(system=system, turns=turns))
    return conversations


def _of_several_steps(rng: Random) -> Turn:
    name = rng.choices(list(_MULTISTEP), list(_MULTISTEP.values()))[0]
    return grammar.sample(rng, intent=INTENTS[name])


def _thought_about(category: str) -> list[Intent]:
    return [i for i in INTENTS.values() if i.category == category and i.thought and i.weight]
