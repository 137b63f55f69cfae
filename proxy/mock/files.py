"""Uploaded files, in memory and bounded."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

_MOST_FILES = 1_000
_MOST_BYTES = 128 * 2**20


class StoredFile(Struct, frozen=True):
    """One upload."""

    id: str
    name: str
    purpose: str
    content: bytes
    created: int

    def as_json(self) -> dict[str, Any]:
        """The file object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


class Files:
    """Files by id, oldest first."""

    def __init__(self) -> None:
        """Start empty."""
        self._files: dict[str, StoredFile] = {}

    def add(self, file: StoredFile) -> bool:
        """Keep a file; False when there is no room."""
        held = sum(len(other.content) for other in self._files.values())
        if len(self._files) >= _MOST_FILES or held + len(file.content) > _MOST_BYTES:
            return False
        self._files[file.id] = file
        return True

    def find(self, id_: str) -> StoredFile | None:
        """Find a file."""
        return self._files.get(id_)

    def remove(self, id_: str) -> bool:
        """Remove a file; False when there is none."""
        return self._files.pop(id_, None) is not None

    def as_json(self) -> dict[str, Any]:
        """The reply of `GET /files`."""
        data = [file.as_json() for file in self._files.values()]
        return {"object": "list", "data": data, "has_more": False}
