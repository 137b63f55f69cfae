"""The word before the slash in LiteLLM's `model`: which upstream that is here, or why it is none."""

from __future__ import annotations

from msgspec import Struct

from proxy.policy.values import Kind


class Host(Struct, frozen=True):
    """`base_url` "" is the kind's own. `variable` is what LiteLLM reads the key from where the file names none.

    `below` is what LiteLLM itself appends to an `api_base`. `own`: a server of one's own, free and without a key.
    """

    kind: Kind
    base_url: str = ""
    variable: str = ""
    below: str = ""
    own: bool = False


def _hosted(base_url: str, variable: str) -> Host:
    return Host("openai", base_url, variable)


_OPENAI = Host("openai", variable="OPENAI_API_KEY")
_OLLAMA = Host("openai", "http://127.0.0.1:11434/v1", below="/v1", own=True)

HOSTS = {
    "openai": _OPENAI,
    "custom_openai": _OPENAI,
    "openai_like": _OPENAI,
    "text-completion-openai": _OPENAI,
    "anthropic": Host("anthropic", variable="ANTHROPIC_API_KEY", below="/v1"),
    "openrouter": Host("openrouter", variable="OPENROUTER_API_KEY"),
    "cerebras": _hosted("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "codestral": _hosted("https://codestral.mistral.ai/v1", "CODESTRAL_API_KEY"),
    "dashscope": _hosted("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
    "deepinfra": _hosted("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "deepseek": _hosted("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "fireworks_ai": _hosted("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "gemini": _hosted("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    "groq": _hosted("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "hyperbolic": _hosted("https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY"),
    "minimax": _hosted("https://api.minimax.io/v1", "MINIMAX_API_KEY"),
    "mistral": _hosted("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "moonshot": _hosted("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "nebius": _hosted("https://api.studio.nebius.com/v1", "NEBIUS_API_KEY"),
    "novita": _hosted("https://api.novita.ai/v3/openai", "NOVITA_API_KEY"),
    "nvidia_nim": _hosted("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    "perplexity": _hosted("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "sambanova": _hosted("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    "together_ai": _hosted("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    "voyage": _hosted("https://api.voyageai.com/v1", "VOYAGE_API_KEY"),
    "xai": _hosted("https://api.x.ai/v1", "XAI_API_KEY"),
    "zai": _hosted("https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    "ollama": _OLLAMA,
    "ollama_chat": _OLLAMA,
    "hosted_vllm": Host("openai", own=True),
    "lm_studio": Host("openai", "http://127.0.0.1:1234/v1", own=True),
    "llamafile": Host("openai", "http://127.0.0.1:8080/v1", own=True),
    "litellm_proxy": Host("openai", variable="LITELLM_PROXY_API_KEY"),
}

SAME_AS = {
    "ollama_chat": "ollama",
    "text-completion-openai": "openai",
    "custom_openai": "openai",
    "openai_like": "openai",
}
NEEDS_ADDRESS = frozenset(("custom_openai", "openai_like", "hosted_vllm", "litellm_proxy"))
NATIVE_IF_MOVED = frozenset(("gemini",))  # with an api_base of its own LiteLLM speaks Google's protocol

_AZURE = "Azure OpenAI names a deployment and an api-version in every address, which is not spoken here"
_AWS = "AWS wants every request signed with its own keys, which is not spoken here"
_GOOGLE = "Vertex AI wants a token that changes by the hour, which is not spoken here"
_NOT_SPOKEN = {
    "azure": _AZURE, "azure_ai": _AZURE, "azure_text": _AZURE, "bedrock": _AWS, "bedrock_mantle": _AWS,
    "sagemaker": _AWS, "sagemaker_chat": _AWS, "vertex_ai": _GOOGLE, "vertex_ai_beta": _GOOGLE,
    "auto_router": "which model serves a call is not chosen by its text here",
}  # fmt: skip


def why_not(vendor: str) -> str:
    """Why the models of a LiteLLM provider are left out."""
    unknown = "neither its address nor its protocol is known here; if it speaks OpenAI's, it can stand under providers:"
    return _NOT_SPOKEN.get(vendor, unknown)
