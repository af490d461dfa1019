"""JSON schemas as masks over tokens, by llguidance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from magpie_hub.errors import EngineError
from magpie_hub.models import Model

if TYPE_CHECKING:
    import numpy.typing as npt


class Grammars:
    """Of one model's tokenizer; ``stop_ids`` are the tokens by which a text may end."""

    def __init__(self, source: Model, stop_ids: list[int]) -> None:
        import llguidance
        import llguidance.hf
        from transformers import AutoTokenizer

        self._matchers = llguidance.LLMatcher
        tokenizer = AutoTokenizer.from_pretrained(source.path)
        self._tokenizer = llguidance.hf.from_tokenizer(tokenizer, eos_token=stop_ids)
        self._compiled: dict[str, Any] = {}

    def matcher(self, schema: str) -> Any:  # noqa: ANN401
        if schema not in self._compiled:
            # One way to write each value: a small model would otherwise pad with white space.
            grammar = self._matchers.grammar_from_json_schema(
                schema,
                defaults={
                    "whitespace_flexible": False,
                    "item_separator": ", ",
                    "key_separator": ": ",
                },
            )
            matcher = self._matchers(self._tokenizer, grammar)
            if matcher.is_error():
                raise EngineError(f"the judge's JSON schema is refused: {matcher.get_error()}.")
            self._compiled[schema] = matcher
        return self._compiled[schema].deep_copy()

    def allowed(self, matchers: Sequence[Any], vocabulary: int) -> npt.NDArray[np.bool_]:
        """(len(matchers), vocabulary): which tokens each grammar lets through."""
        masks = np.stack([np.frombuffer(m.compute_bitmask(), dtype=np.uint8) for m in matchers])
        bits = np.unpackbits(masks, axis=1, bitorder="little")[:, :vocabulary].astype(np.bool_)
        # Models pad their vocabulary beyond the tokenizer's; those tokens are never allowed.
        return np.pad(bits, ((0, 0), (0, vocabulary - bits.shape[1])))
