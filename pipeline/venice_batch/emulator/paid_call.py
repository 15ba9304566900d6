"""From the fields of a request to a paid call: which model serves it, what it costs, what is drawn.

Everything a field can be wrong about beyond its type and range is checked here, against the catalogue.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from venice_batch.emulator import request_bodies as bodies
from venice_batch.emulator.api_error import ApiError, invalid, invalid_field
from venice_batch.emulator.catalogue import (
    ALIASES,
    BACKGROUND_REMOVER,
    DEFAULT_EDIT_MODEL,
    ENHANCE_PROMPT,
    RETIRED,
    STYLES,
    UPSCALER,
    WITHOUT_SIZE,
    Catalogue,
    Model,
)
from venice_batch.emulator.request_bodies import Received

#: Prompts with one of these words are refused by the content policy.
BLOCKLIST = ("forbidden",)
#: Prompts with this word come back blurred while safe mode is on.
BLUR_WORD = "blurme"
_WEB = ("http://", "https://")
#: No upscale has more pixels.
MAX_UPSCALED = 16_777_216


@dataclass(frozen=True, slots=True)
class PaidCall:
    """One paid call, understood and priced.

    Attributes:
        path: the endpoint, such as ``/image/edit``.
        model: who serves it.
        price: USD for the pictures.
        sku: what the ledger calls it.
        units: how many pictures are billed and counted by the rate limit.
        images: the inputs as they arrived, in order.
        image_field: the name by which an unreadable input is reported.
        data_urls: whether an input may be a ``data:`` URL.
        web_urls: whether an input may be an http(s) URL.
        prompt: the text, empty where the endpoint has none.
        safe: whether safe mode is on.
        enhances: whether the prompt is rewritten first, which is billed in a row of its own.
        options: the fields that shape the picture.
    """

    path: str
    model: Model
    price: Decimal
    sku: str
    units: int = 1
    images: tuple[str | bytes, ...] = ()
    image_field: str = "image"
    data_urls: bool = False
    web_urls: bool = False
    prompt: str = ""
    safe: bool = True
    enhances: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def generates(self) -> bool:
        """Whether pictures are drawn from the prompt alone."""
        return self.model.kind == "image" and self.path != "/image/background-remove"

    @property
    def charges(self) -> tuple[tuple[str, int, Decimal], ...]:
        """The rows of the ledger: SKU, units, amount."""
        rewriting = (("prompt-enhancement", 1, ENHANCE_PROMPT),) if self.enhances else ()
        return ((self.sku, self.units, self.price), *rewriting)

    @property
    def blurred(self) -> bool:
        """Whether safe mode blurs the answer."""
        return self.safe and BLUR_WORD in self.prompt.lower()

    @property
    def blocked(self) -> bool:
        """Whether the content policy refuses the prompt."""
        return any(word in self.prompt.lower() for word in BLOCKLIST)


def _upscale(received: Received, catalogue: Catalogue) -> PaidCall:
    body = received.checked(bodies.UpscaleBody)
    model = catalogue.models[UPSCALER]
    # The price of the largest scale, until the size of the picture is known.
    return PaidCall(
        "/image/upscale", model, model.factors["4x"], UPSCALER, images=(body.image,), options={"scale": body.scale}
    )


def sized(call: PaidCall, size: tuple[int, int]) -> PaidCall:
    """Return an upscale priced by the scale that is left below the cap for a picture of this size.

    Raises:
        ApiError: 400 where nothing can be enlarged below the cap.
    """
    room = MAX_UPSCALED / (size[0] * size[1])
    if room <= 1:
        raise ApiError(400, f"The image is too large to be upscaled: {size[0]}x{size[1]}")
    factor = "2x" if min(call.options["scale"], math.sqrt(room)) <= 2 else "4x"  # noqa: PLR2004 - what 2x says
    return replace(call, price=call.model.factors[factor], sku=f"{UPSCALER}-{factor}")


def _background_remove(received: Received, catalogue: Catalogue) -> PaidCall:
    body = received.checked(bodies.BackgroundRemoveBody)
    source = body.image if body.image is not None else body.image_url
    if source is None or (body.image is not None and body.image_url is not None):
        raise invalid("Exactly one of image and image_url must be given")
    by_url = body.image is None
    if by_url and received.transport == "multipart":
        raise ApiError(400, "image_url is not accepted in a multipart form")
    if by_url and not str(source).startswith(_WEB):
        raise invalid("image_url must be an http(s) URL")
    model = catalogue.models[BACKGROUND_REMOVER]
    return PaidCall(
        "/image/background-remove",
        model,
        model.price(),
        BACKGROUND_REMOVER,
        images=(source,),
        image_field="image_url" if by_url else "image",
        data_urls=True,
        web_urls=by_url,
    )


def _check_retired(model_id: str) -> None:
    if model_id in RETIRED:
        raise ApiError(410, f"The model '{model_id}' has been retired. Use '{RETIRED[model_id]}' instead.")


def _edit_model(named: str | None, catalogue: Catalogue) -> Model:
    model_id = named or DEFAULT_EDIT_MODEL
    _check_retired(model_id)
    model = catalogue.models.get(ALIASES["inpaint"].get(model_id, model_id))
    if model is None or model.kind != "inpaint":
        raise ApiError(400, "Invalid model id")
    return model


def _check_offer(model: Model, body: bodies.PromptBody, quality: str | None, *, drops: bool) -> None:
    """Refuse what the model does not offer; an endpoint that `drops` leaves out what the model does not take at all."""
    offers = (
        ("resolution", body.resolution, model.tiers),
        ("quality", quality, model.levels),
        # That of a generation is not validated.
        ("aspect_ratio", body.aspect_ratio if model.kind == "inpaint" else None, model.ratios),
    )
    for name, value, offered in offers:
        if value is not None and value not in offered and not (drops and not offered):
            known = ", ".join(offered) or "none"
            raise invalid_field(name, f"{name} '{value}' is not supported by model {model.id}. Supported: {known}")
    if body.transparent_background and not model.limits.get("supportsTransparentBackground"):
        raise invalid_field("transparent_background", f"transparent_background is not supported by model {model.id}")
    _check_length(model, "prompt", body.prompt)


def _check_length(model: Model, name: str, text: str | None) -> None:
    if text is not None and len(text) > model.prompt_limit:
        raise invalid_field(name, f"{name} exceeds the limit of {model.prompt_limit} characters of model {model.id}")


def _shape(model: Model, body: bodies.PromptBody) -> dict[str, Any]:
    """Return the ratio and the tier that a picture is drawn with; the model's own where the body's are not taken."""
    default = model.default_ratio or ("auto" if model.kind == "inpaint" else None)
    return {
        "aspect_ratio": body.aspect_ratio if body.aspect_ratio in model.ratios else default,
        "resolution": body.resolution if body.resolution in model.tiers else model.default_tier,
    }


def _edited(
    path: str, body: bodies.EditBody | bodies.MultiEditBody, model: Model, images: list[str | bytes], **quality: str
) -> PaidCall:
    several = path == "/image/multi-edit"
    _check_offer(model, body, quality.get("quality"), drops=several)
    return PaidCall(
        path,
        model,
        model.price(resolution=body.resolution, inputs=len(images), **quality),
        model.id,
        images=tuple(images),
        image_field="images" if several else "image",
        data_urls=True,
        web_urls=True,
        prompt=body.prompt,
        safe=body.safe_mode,
        enhances=body.enhance_prompt,
        options=body.model_dump(include={"output_format", "transparent_background"}) | _shape(model, body),
    )


def _edit(received: Received, catalogue: Catalogue) -> PaidCall:
    body = received.checked(bodies.EditBody)
    return _edited("/image/edit", body, _edit_model(body.model or body.model_id, catalogue), [body.image])


def _multi_edit(received: Received, catalogue: Catalogue) -> PaidCall:
    body = received.checked(bodies.MultiEditBody)
    model = _edit_model(body.model_id, catalogue)
    if len(body.images) > model.max_images:
        raise invalid_field("images", f"at most {model.max_images} image(s) are supported by model {model.id}")
    quality = {"quality": body.quality} if body.quality else {}
    return _edited("/image/multi-edit", body, model, body.images, **quality)


def _generation_model(model_id: str, catalogue: Catalogue) -> Model:
    _check_retired(model_id)
    model = catalogue.models.get(model_id)
    if model is None or not model.generates:
        guess = catalogue.nearest(model_id)
        hint = f" Did you mean '{guess}'?" if guess else ""
        raise ApiError(404, f"Specified model not found: '{model_id}'.{hint}")
    return model


def _check_generation(body: bodies.GenerateBody, model: Model) -> None:
    _check_offer(model, body, body.quality, drops=True)
    _check_length(model, "negative_prompt", body.negative_prompt)
    references, sized = len(body.style_references or []), body.width is not None or body.height is not None
    problems = (
        ("variants", body.variants > 1 and body.return_binary, "variants needs return_binary to be false"),
        (
            "width" if body.width is not None else "height",
            sized and model.id in WITHOUT_SIZE,
            "width and height are not supported, use aspect_ratio",
        ),
        (
            "steps",
            body.steps is not None and body.steps > (model.max_steps or body.steps),
            f"steps: at most {model.max_steps}",
        ),
        (
            "style_preset",
            body.style_preset is not None and body.style_preset not in STYLES,
            "style_preset: unknown style",
        ),
        (
            "style_references",
            references > model.style_references,
            f"style_references: at most {model.style_references}",
        ),
    )
    for name, wrong, text in problems:
        if wrong:
            raise invalid_field(name, f"{text} (model {model.id})")


#: The fields of a generation that change what is drawn or how it is sent.
_DRAWN = {"width", "height", "seed", "format", "return_binary", "embed_exif_metadata"}


def _generate(received: Received, catalogue: Catalogue) -> PaidCall:
    body = received.checked(bodies.GenerateBody)
    model = _generation_model(body.model, catalogue)
    _check_generation(body, model)
    return PaidCall(
        "/image/generate",
        model,
        model.price(resolution=body.resolution, quality=body.quality) * body.variants,
        model.id,
        units=body.variants,
        images=tuple(reference.image for reference in body.style_references or []),
        image_field="style_references",
        data_urls=True,
        web_urls=True,
        prompt=body.prompt,
        safe=body.safe_mode,
        enhances=body.enhance_prompt,
        options=body.model_dump(include=_DRAWN) | _shape(model, body),
    )


def _generate_as_openai(received: Received, catalogue: Catalogue) -> PaidCall:
    body = received.checked(bodies.OpenAiBody)
    known = catalogue.models.get(body.model)
    # An unknown model silently becomes the default: why the tool never calls this endpoint.
    model = known if known is not None and known.generates else catalogue.models[catalogue.traits("image")["default"]]
    wide, _, high = (body.size or "").partition("x")
    sides = [min(1280, int(side)) if side.isdigit() and int(side) else None for side in (wide, high)]
    return PaidCall(
        "/images/generations",
        model,
        model.price(),
        model.id,
        prompt=body.prompt,
        safe=body.moderation != "low",
        options={
            **dict.fromkeys(_DRAWN),
            "width": sides[0],
            "height": sides[1],
            "format": body.output_format or "png",
            "aspect_ratio": model.default_ratio,
            "resolution": model.default_tier,
            "as_url": body.response_format == "url",
        },
    )


#: How each paid endpoint reads its fields.
PARSERS: Mapping[str, Callable[[Received, Catalogue], PaidCall]] = {
    "/image/upscale": _upscale,
    "/image/background-remove": _background_remove,
    "/image/edit": _edit,
    "/image/multi-edit": _multi_edit,
    "/image/generate": _generate,
    "/images/generations": _generate_as_openai,
}
