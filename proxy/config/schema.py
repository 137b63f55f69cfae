"""`python -m proxy.config.schema` prints config.schema.json, for editors."""

from __future__ import annotations

import json

from proxy.config.models import Config


def schema_text() -> str:
    """Return the JSON Schema of config.yaml."""
    schema = Config.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Tollkeeper", **schema}
    return json.dumps(schema | {"title": "Tollkeeper configuration"}, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
