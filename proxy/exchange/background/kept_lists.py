"""What a former run kept of the lists of models, as files in the state directory."""

from __future__ import annotations

from pathlib import Path

import msgspec

from proxy.data import images_bytes, snapshot_bytes
from proxy.policy.images.catalogue import ImageCatalogue
from proxy.policy.images.feed import accept_images, read_images
from proxy.policy.names.catalogue import Catalogue
from proxy.policy.names.feed import accept, read_feed
from proxy.policy.names.news import Listed

FILE_NAME = "catalogue.json"
IMAGES_NAME = "images.json"
LISTED_NAME = "listed.json"


def cached_images(state_dir: str) -> ImageCatalogue:
    """The models that draw as a former run kept them in `state_dir`, else as they were shipped."""
    shipped = read_images(images_bytes())
    try:
        cached = read_images((Path(state_dir) / IMAGES_NAME).read_bytes())
    except (OSError, ValueError):
        return shipped
    return shipped if accept_images(shipped, cached) else cached


def with_cached(snapshot: Catalogue, state_dir: str) -> Catalogue:
    """The catalogue a former run kept in `state_dir`, if it is fit to take the snapshot's place."""
    try:
        cached = read_feed((Path(state_dir) / FILE_NAME).read_bytes())
    except (OSError, ValueError):
        return snapshot
    return snapshot if accept(snapshot, cached) else cached


def kept_catalogue(state_dir: str) -> Catalogue:
    """The same, of the snapshot that came with the package."""
    return with_cached(read_feed(snapshot_bytes()), state_dir)


def kept_lists(state_dir: str) -> dict[str, dict[str, Listed]]:
    """The lists of the former run, as far as they can be read."""
    try:
        found = msgspec.json.decode((Path(state_dir) / LISTED_NAME).read_bytes(), type=dict[str, dict[str, str | None]])
    except (OSError, msgspec.DecodeError):
        return {}
    return {name: {model: Listed(expires=end) for model, end in models.items()} for name, models in found.items()}


def kept_ids(state_dir: str) -> dict[str, frozenset[str]]:
    """What each provider listed in the former run."""
    return {name: frozenset(models) for name, models in kept_lists(state_dir).items()}
