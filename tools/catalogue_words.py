"""The words of litellm's model table, and ours for them."""

from __future__ import annotations

from decimal import Decimal

from tools.catalogue_rows import Prices

# litellm's name of a provider -> our vendor, and the prefix its ids have there.
VENDORS = {
    "openai": ("openai", "openai/"),
    "text-completion-openai": ("openai", ""),
    "anthropic": ("anthropic", ""),
    "gemini": ("google", "gemini/"),
    "mistral": ("mistral", "mistral/"),
    "deepseek": ("deepseek", "deepseek/"),
    "xai": ("xai", "xai/"),
    "groq": ("groq", "groq/"),
    "perplexity": ("perplexity", "perplexity/"),
    "together_ai": ("together", "together_ai/"),
    "fireworks_ai": ("fireworks", "fireworks_ai/"),
    "fireworks_ai-embedding-models": ("fireworks", "fireworks_ai/"),
    "cerebras": ("cerebras", "cerebras/"),
    "moonshot": ("moonshot", "moonshot/"),
    "cohere": ("cohere", "cohere/"),
    "cohere_chat": ("cohere", ""),
    "dashscope": ("alibaba", "dashscope/"),
    "zai": ("zai", "zai/"),
    "minimax": ("minimax", "minimax/"),
    "deepinfra": ("deepinfra", "deepinfra/"),
    "novita": ("novita", "novita/"),
    "nebius": ("nebius", "nebius/"),
    "sambanova": ("sambanova", "sambanova/"),
    "ai21": ("ai21", ""),
    "voyage": ("voyage", "voyage/"),
}

# A price per token -> our key. Prices by the second, character or picture beside them are the same in other words.
TOKENS = {
    "input_cost_per_token": "prompt",
    "output_cost_per_token": "completion",
    "cache_read_input_token_cost": "input_cache_read",
    "cache_creation_input_token_cost": "input_cache_write",
    "cache_creation_input_token_cost_above_1hr": "input_cache_write_1h",
    "output_cost_per_reasoning_token": "internal_reasoning",
    "input_cost_per_audio_token": "audio",
    "output_cost_per_audio_token": "audio_output",
    "cache_read_input_audio_token_cost": "input_audio_cache",
    "input_cost_per_image_token": "image_token",
    "output_cost_per_image_token": "image_output",
    "cache_read_input_image_token_cost": "input_image_cache",
}
UNITS = {
    "input_cost_per_character": "character",
    "input_cost_per_second": "audio_second",
    "input_cost_per_audio_per_second": "audio_second",
    "input_cost_per_query": "request",
    "input_cost_per_request": "request",
    "ocr_cost_per_page": "page",
}
TIERS = {
    "priority": ("service_tier", "priority"),
    "flex": ("service_tier", "flex"),
    "batches": ("service_tier", "batch"),
    "ultrafast": ("service_tier", "ultrafast"),
}

TAKES = {
    "tools": ("supports_function_calling",),
    "pictures": ("supports_vision", "supports_image_input", "supports_embedding_image_input"),
    "files": ("supports_pdf_input",),
    "audio": ("supports_audio_input",),
    "video": ("supports_video_input",),
    "json_schema": ("supports_response_schema", "supports_native_structured_output"),
    "reasoning": ("supports_reasoning",),
    "prompt_caching": ("supports_prompt_caching",),
    "web_search": ("supports_web_search",),
}
MODES = {
    "chat": "chat",
    "completion": "completion",
    "responses": "responses",
    "embedding": "embedding",
    "image_generation": "image",
    "image_edit": "image",
    "audio_transcription": "transcription",
    "audio_speech": "speech",
    "video_generation": "video",
    "moderation": "moderation",
    "rerank": "rerank",
    "ocr": "ocr",
    "search": "search",
    "realtime": "realtime",
}
ENDPOINTS = {"/v1/chat/completions": "chat", "/v1/responses": "responses"}
WRITES = {"chat", "completion", "responses", "transcription", "realtime"}

# What its vendor gives away; 0 elsewhere in the table is a price nobody filled in.
FREE = {("zai", "glm-4.5-flash"), ("zai", "glm-4.7-flash")}
GIVEN_AWAY = Prices({"prompt": Decimal(0), "completion": Decimal(0)})
