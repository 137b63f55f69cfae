"""Models that draw: what each of their hosts takes, and at what price."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from proxy.policy.names.catalogue import closest, split_variant

Billable = Literal["output_image", "input_image", "input_reference", "input_text", "input_font"]
Unit = Literal["image", "megapixel", "token"]


class Parameter(Struct, frozen=True):
    """What a parameter may be: one of `values`, a whole number from `least` to `most`, or simply given."""

    type: Literal["enum", "range", "boolean"]
    values: tuple[str, ...] = ()
    least: int = 0
    most: int = 0

    def allows(self, value: Any) -> bool:
        """Whether it may be this."""
        if self.type == "enum":
            return isinstance(value, str) and value in self.values
        if self.type == "range":
            return isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most
        return True

    def allowed(self) -> str:
        """What it may be, for a sentence."""
        if self.type == "enum":
            return " or ".join(filter(None, (", ".join(self.values[:-1]), self.values[-1] if self.values else "")))
        if self.type == "range":
            return str(self.least) if self.least == self.most else f"a whole number from {self.least} to {self.most}"
        return "anything"


class Line(Struct, frozen=True):
    """One line of a price, USD a unit; `variant` is the tier it is for, "" for all."""

    billable: Billable
    unit: Unit
    usd: Decimal
    variant: str = ""


class Endpoint(Struct, frozen=True):
    """One host of a model. `passthrough` are the members it takes under `provider.options`, by its `slug`."""

    slug: str
    parameters: dict[str, Parameter]
    lines: tuple[Line, ...] = ()
    passthrough: frozenset[str] = frozenset()
    streams: bool = False


class ImageModel(Struct, frozen=True):
    """A model that draws. No `endpoints`: nobody has said what it takes. `in_chat`: it draws only in chat, and not by the
    images API; `outputs` are what it puts out ("image", "text")."""

    id: str
    name: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("image",)
    endpoints: tuple[Endpoint, ...] = ()
    in_chat: bool = False

    @property
    def streams(self) -> bool:
        """Whether any of its hosts shows pictures in the making."""
        return any(endpoint.streams for endpoint in self.endpoints)

    @property
    def takes_pictures(self) -> bool:
        """Whether it can work from pictures."""
        return "image" in self.inputs or any("input_references" in endpoint.parameters for endpoint in self.endpoints)


class ImageCatalogue:
    """Models by id; `read` is the day they were read where they were shipped, "" where they were fetched."""

    __slots__ = ("_by_id", "models", "read")

    def __init__(self, models: Iterable[ImageModel], read: str = "") -> None:
        self.models = tuple(models)
        self.read = read
        self._by_id = {model.id: model for model in self.models}

    def get(self, name: str) -> ImageModel | None:
        """The model of this id, or of the id without its variant (`:nitro`)."""
        return self._by_id.get(name) or self._by_id.get(split_variant(name)[0])

    def near(self, name: str) -> list[str]:
        """The ids that look most like `name`."""
        return closest(name, self._by_id)


NO_IMAGES = ImageCatalogue(())
