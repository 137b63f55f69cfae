"""A LiteLLM configuration as one of ours: what can be said here is moved, everything else is told with its line.

Facts of LiteLLM's format are those of its package 1.110 (`litellm/types/router.py`, `litellm/proxy/_types.py`,
`litellm/litellm_core_utils/get_llm_provider_logic.py`). Nothing here reads the environment or writes a file.
"""
