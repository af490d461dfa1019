"""Import it before all else: one thread, nothing asked or told over the network, vLLM within the
process. Children have it from here."""

from __future__ import annotations

import os

os.environ.update(
    HF_HUB_OFFLINE="1",
    OMP_NUM_THREADS="1",
    PYTHONWARNINGS="ignore",
    TOKENIZERS_PARALLELISM="false",
    VLLM_CPU_OMP_THREADS_BIND="nobind",
    VLLM_DO_NOT_TRACK="1",
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    VLLM_LOGGING_LEVEL="ERROR",
    VLLM_NO_USAGE_STATS="1",
)
