"""Whether a model can draw what is asked for, and how to ask it: one pure check, before anything is sent or held."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

from msgspec import Struct

from proxy.policy.images.catalogue import Endpoint, ImageModel, Parameter
from proxy.policy.money.pictures import TIERS, pixels_of, tier_of
from proxy.translate.images.image_request import ImageRequest

_SHAPE = ("size", "aspect_ratio", "resolution")
# says who asks, and nothing of the picture
_PASSES = frozenset({"user"})
# Sides of pictures are multiples of 8 or 64: 1344x768 is a picture of 16:9.
_NEAR = Fraction(1, 40)
# of a model that takes no resolution, a picture is about so large
_USUAL_TIER = "1K"


class Problem(Struct, frozen=True):
    """What a model does not take; `of` shape: how large a picture is to be, or of which proportions."""

    param: str
    message: str
    of: Literal["shape", "value"]


class Fitted(Struct, frozen=True):
    """The parameters as the model takes them, and what of them was said otherwise than the client did."""

    members: dict[str, Any]
    adjusted: tuple[str, ...] = ()


def fit(image_request: ImageRequest, model: ImageModel) -> Fitted | Problem:
    """Ask a model for a drawing. What no host is known to take is the first host's problem; of a model whose hosts say
    nothing, everything is worth asking."""
    if model.in_chat:
        return _fit_chat(image_request, model)
    if not model.endpoints:
        return Fitted({**image_request.members, **_provider(image_request.provider, {})})
    if isinstance(image_request.provider, dict) and isinstance(only := image_request.provider.get("only"), list):
        endpoints = [endpoint for endpoint in model.endpoints if endpoint.slug in only] or list(model.endpoints)
    else:
        endpoints = list(model.endpoints)
    found = [_fit(image_request, model, endpoint) for endpoint in endpoints]
    return next((one for one in found if isinstance(one, Fitted)), found[0])


_CHAT = Endpoint(
    "",
    {
        "aspect_ratio": Parameter("enum", ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")),
        "resolution": Parameter("enum", ("1K", "2K", "4K")),
        "input_references": Parameter("range", least=0, most=16),
        "seed": Parameter("boolean"),
    },
)


def _fit_chat(image_request: ImageRequest, model: ImageModel) -> Fitted | Problem:
    """What chat can say of a picture; which of it a model heeds, nobody lists."""
    if image_request.references and model.inputs and "image" not in model.inputs:
        return _not_taken(model.id, "image", "value")
    return _fit(image_request, model, _CHAT)


def _fit(image_request: ImageRequest, model: ImageModel, endpoint: Endpoint) -> Fitted | Problem:
    problem = _counts(image_request, model, endpoint)
    shape = _shape(image_request, model, endpoint) if problem is None else problem
    if isinstance(shape, Problem):
        return shape
    members, options = dict(shape.members), {}
    for name, value in image_request.members.items():
        if name in _SHAPE:
            continue
        known = endpoint.parameters.get(name)
        if name in _PASSES or (known is not None and _takes(known, name, value)):
            members[name] = value
        elif known is None and name in endpoint.passthrough:
            options[name] = value
        elif known is None:
            return _not_taken(model.id, name, "value", endpoint)
        else:
            return Problem(name, f"'{name}' of {model.id} must be {_allowed(known, name)}.", "value")
    options = {endpoint.slug: options} if options else {}
    return Fitted({**members, **_provider(image_request.provider, options)}, shape.adjusted)


def _takes(known: Parameter, name: str, value: Any) -> bool:
    if name == "seed":
        return isinstance(value, int) and not isinstance(value, bool)
    return known.allows(value)


def _allowed(known: Parameter, name: str) -> str:
    return "a whole number" if name == "seed" else known.allowed()


def _counts(image_request: ImageRequest, model: ImageModel, endpoint: Endpoint) -> Problem | None:
    """How many pictures, and how many to work from; who lists neither draws one, and works from none."""
    n = endpoint.parameters.get("n") or Parameter("range", least=1, most=1)
    if not n.allows(image_request.n):
        return Problem("n", f"'n' of {model.id} must be {n.allowed()}.", "value")
    references = endpoint.parameters.get("input_references") or Parameter("range", least=0, most=0)
    if not references.allows(len(image_request.references)):
        most = references.most
        message = f"{model.id} works from at most {most} pictures." if most else f"{model.id} works from no picture."
        return Problem("image" if image_request.task != "generations" else "input_references", message, "value")
    return None


def _not_taken(model: str, name: str, of: Literal["shape", "value"], endpoint: Endpoint | None = None) -> Problem:
    taken = sorted({*endpoint.parameters, *endpoint.passthrough}) if endpoint is not None else []
    beside = f" It takes {', '.join(taken)}." if taken else ""
    return Problem(name, f"{model} does not take '{name}'.{beside}", of)


def _provider(provider: Any, options: dict[str, Any]) -> dict[str, Any]:
    """OpenRouter's member for hosts, the client's own with what goes to them."""
    if not options:
        return {} if provider is None else {"provider": provider}
    own: dict[str, Any] = provider if isinstance(provider, dict) else {}
    said = own.get("options")
    merged: dict[str, Any] = dict(said) if isinstance(said, dict) else {}
    for slug, members in options.items():
        merged[slug] = {**merged.get(slug, {}), **members}
    return {"provider": {**own, "options": merged}}


def _shape(image_request: ImageRequest, model: ImageModel, endpoint: Endpoint) -> Fitted | Problem:
    """Size, proportions and resolution, each said by what the model takes of them."""
    asked = {name: image_request.members[name] for name in _SHAPE if name in image_request.members}
    for name, value in asked.items():
        if not isinstance(value, str):
            return Problem(name, f"'{name}' must be a text.", "shape")
    sizes = endpoint.parameters.get("size")
    if sizes is not None and ("aspect_ratio" not in endpoint.parameters or "size" in asked):
        return _by_size(asked, model.id, sizes)
    ratio, tier = asked.get("aspect_ratio", ""), asked.get("resolution", "")
    adjusted: list[str] = []
    if size := asked.get("size", ""):
        meant = _meant(size, model.id, endpoint)
        if isinstance(meant, Problem):
            return meant
        if (ratio and meant[0] and ratio != meant[0]) or (tier and meant[1] and tier != meant[1]):
            return Problem("size", f"'size' {size} is no picture of the aspect_ratio or resolution beside it.", "shape")
        adjusted = [f"{name}={value}" for name, value in zip(_SHAPE[1:], meant, strict=True) if value]
        ratio, tier = ratio or meant[0], tier or meant[1]
    members = {name: value for name, value in zip(_SHAPE[1:], (ratio, tier), strict=True) if value}
    for name, value in members.items():
        known, said = endpoint.parameters.get(name), name if name in asked else "size"
        if known is None:
            return _not_taken(model.id, said, "shape", endpoint)
        if not known.allows(value):
            return Problem(said, f"'{said}' of {model.id} must be {known.allowed()}.", "shape")
    return Fitted(members, tuple(adjusted))


def _meant(size: str, model: str, endpoint: Endpoint) -> tuple[str, str] | Problem:
    """The proportions and the resolution that a size is, "" where it says neither; of those that the model draws."""
    ratios, tiers = (_values(endpoint, name) for name in _SHAPE[1:])
    if (pixels := pixels_of(size)) is None:
        tier = next((known for known in (*tiers, *TIERS) if known.lower() == size.lower()), "")
        if not tier:
            return Problem("size", "'size' must be such as 1024x1536, or a resolution such as 2K.", "shape")
        return "", tier
    near = [known for known in ratios or ("1:1",) if _away(pixels, known) <= _NEAR]
    ratio = min(near, key=lambda known: _away(pixels, known), default="")
    if not ratio:
        drawn = ", ".join(known for known in ratios or ("1:1",) if known != "auto")
        return Problem("size", f"{model} draws pictures of {drawn}; 'size' {size} is none of them.", "shape")
    tier, is_near = tier_of(pixels, tiers or (_USUAL_TIER,))
    if not is_near:
        drawn = f"at {', '.join(tiers)}" if tiers else f"of about {TIERS[_USUAL_TIER]}x{TIERS[_USUAL_TIER]} pixels"
        return Problem("size", f"{model} draws pictures {drawn}; 'size' {size} is none of them.", "shape")
    return ratio if ratios else "", tier if tiers else ""


def _by_size(asked: dict[str, str], model: str, sizes: Parameter) -> Fitted | Problem:
    """The same of a model that takes sizes in pixels: proportions and resolution are the size nearest to them."""
    if (size := asked.get("size")) is not None:
        if not sizes.allows(size):
            return Problem("size", f"'size' of {model} must be {sizes.allowed()}.", "shape")
        return Fitted({"size": size})
    if not asked:
        return Fitted({})
    ratio, tier = asked.get("aspect_ratio", ""), asked.get("resolution", "")
    for size in sizes.values:
        pixels = pixels_of(size)
        if pixels is None or (ratio and _away(pixels, ratio) > _NEAR):
            continue
        if not tier or tier_of(pixels, TIERS)[0] == tier.upper():
            return Fitted({"size": size}, (f"size={size}",))
    name = "aspect_ratio" if ratio else "resolution"
    return Problem(name, f"{model} draws pictures of {sizes.allowed()}; none is of this {name}.", "shape")


def _values(endpoint: Endpoint, name: str) -> tuple[str, ...]:
    known = endpoint.parameters.get(name)
    return () if known is None else known.values


def _away(pixels: tuple[int, int], ratio: str) -> Fraction:
    """How far a picture of these pixels is from these proportions ("16:9", "19.5:9"); 0 where it has them."""
    wide, _, high = ratio.partition(":")
    try:
        meant = Fraction(wide) / Fraction(high)
    except (ValueError, ZeroDivisionError):
        return Fraction(1)
    return abs(Fraction(*pixels) / meant - 1)
