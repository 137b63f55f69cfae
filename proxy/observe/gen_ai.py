"""The same calls under OpenTelemetry's names, as Prometheus spells them; only where the configuration asks for it."""

from __future__ import annotations

from proxy.observe.families import Families
from proxy.observe.seen import Alike

_OPERATIONS = {
    "chat/completions": "chat",
    "completions": "text_completion",
    "responses": "responses",
    "messages": "messages",
    "embeddings": "embeddings",
    "rerank": "rerank",
    "images": "image_generation",
    "images/generations": "image_generation",
}


class GenAi:
    """Three histograms. Input and output are the only token types: readers add all types up."""

    def __init__(self, families: Families) -> None:
        self._usage = families.histogram("gen_ai_client_token_usage")
        self._duration = families.histogram("gen_ai_server_request_duration_seconds")
        self._first_token = families.histogram("gen_ai_server_time_to_first_token_seconds")

    def finished(self, alike: Alike, model: str, error_type: str) -> None:
        """Count calls of one kind that went upstream on an endpoint the convention has a word for."""
        kind = alike.meter.call
        operation = _OPERATIONS.get(kind.endpoint)
        if operation is None or kind.provider is None:
            return
        labels = (operation, kind.provider, model)
        for call in alike.calls:
            self._duration.at(*labels, error_type).observe(call.total_seconds)
            if call.input_tokens:
                self._usage.at(*labels, "input").observe(call.input_tokens)
            if call.output_tokens:
                self._usage.at(*labels, "output").observe(call.output_tokens)
            if kind.stream and not error_type and call.first_token_seconds is not None:
                self._first_token.at(*labels).observe(call.first_token_seconds)
