"""Pictures: OpenAI's images API said to OpenRouter's, and to models that draw in chat."""
