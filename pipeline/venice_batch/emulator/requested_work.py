"""From the fields of a request to an order: which model serves it, what it costs, what is drawn.

Everything a field can be wrong about beyond its type and range is judged here, against the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from venice_batch.emulator import fields, prices
from venice_batch.emulator.api_error import Refusal
from venice_batch.emulator.catalogue import (
    BACKGROUND_REMOVER,
    DEFAULT_EDIT_MODEL,
    MODELS,
    RETIRED,
    UPSCALER,
    Model,
    generates,
    nearest,
)
from venice_batch.emulator.request_bodies import Received
from venice_batch.emulator.styles import STYLES

#: Prompts with one of these words are refused by the content policy.
BLOCKLIST = ("forbidden",)
#: Prompts with this word come back blurred while safe mode is on.
BLUR_WORD = "blurme"


@dataclass(frozen=True, slots=True)
class Order:
    """One paid call, understood and priced.

    Attributes:
        path: the endpoint, such as ``/image/edit``.
        model: who serves it.
        price: USD for the whole call.
        units: how many pictures are billed and counted by the rate limit.
        sku: what the ledger calls it.
        images: the inputs as they arrived, in order.
        image_field: the name by which an unreadable input is reported.
        data_urls: whether an input may be a ``data:`` URL.
        web_urls: whether an input may be an http(s) URL.
        prompt: the text, empty where the endpoint has none.
        safe: whether safe mode is on.
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
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def blurred(self) -> bool:
        """Whether safe mode blurs the answer."""
        return self.safe and BLUR_WORD in self.prompt.lower()

    @property
    def blocked(self) -> bool:
        """Whether the content policy refuses the prompt."""
        return any(word in self.prompt.lower() for word in BLOCKLIST)


def _upscale(received: Received) -> Order:
    body = fields.check(fields.UpscaleBody, received.data, strict=received.transport == "json")
    if body.scale not in {1, 2, 4}:
        raise Refusal(400, {"error": "Invalid request parameters", "details": "scale must be 2 or 4"})
    scale = int(body.scale)
    if scale == 1 and body.enhance not in {True, "true"}:
        text = "scale 1 requires enhance to be true"
        raise Refusal(400, {"error": "Invalid request parameters", "details": text})
    return Order(
        "/image/upscale",
        MODELS[UPSCALER],
        prices.upscale(scale),
        f"upscaler-{prices.factor(scale)}",
        images=(body.image,),
        options={"scale": scale},
    )


def _background_remove(received: Received) -> Order:
    body = fields.check(fields.BackgroundRemoveBody, received.data, strict=received.transport == "json")
    if (body.image is None) == (body.image_url is None):
        text = "Exactly one of image and image_url must be given"
        raise Refusal(400, {"error": "Invalid request parameters", "details": text})
    if body.image_url is not None and received.transport == "multipart":
        raise Refusal(400, "image_url is not accepted in a multipart form")
    if body.image_url is not None and not body.image_url.startswith(("http://", "https://")):
        raise Refusal(400, {"error": "Invalid request parameters", "details": "image_url must be an http(s) URL"})
    by_url = body.image_url is not None
    return Order(
        "/image/background-remove",
        MODELS[BACKGROUND_REMOVER],
        prices.background_remove(),
        BACKGROUND_REMOVER,
        images=(body.image if body.image is not None else body.image_url or "",),
        image_field="image_url" if by_url else "image",
        web_urls=by_url,
    )


def _edit_model(named: str | None) -> Model:
    model_id = named or DEFAULT_EDIT_MODEL
    if model_id in RETIRED:
        text = f"The model '{model_id}' has been retired. Use '{RETIRED[model_id]}' instead."
        raise Refusal(410, text)
    model = MODELS.get(model_id)
    if model is None or model.kind != "inpaint":
        raise Refusal(400, "Invalid model id")
    return model


def _check_offer(model: Model, ratio: str | None, resolution: str | None, quality: str | None) -> None:
    offers = (
        ("aspect_ratio", ratio, model.ratios),
        ("resolution", resolution, model.tiers or (("1K",) if model.kind == "inpaint" else ())),
        ("quality", quality, model.levels),
    )
    for name, value, offered in offers:
        if value is not None and value not in offered:
            known = ", ".join(offered) or "none"
            text = f"{name} '{value}' is not supported by model {model.id}. Supported: {known}"
            raise Refusal(400, {"error": "Invalid request parameters", "details": text})


def _check_prompt(model: Model, prompt: str) -> None:
    if len(prompt) > model.prompt_limit:
        text = f"prompt exceeds the limit of {model.prompt_limit} characters of model {model.id}"
        raise Refusal(400, {"error": "Invalid request parameters", "details": text})


def _edit_order(
    body: fields.EditBody | fields.MultiEditBody,
    model: Model,
    images: list[str | bytes],
    *,
    path: str,
    quality: str | None,
) -> Order:
    _check_offer(model, body.aspect_ratio, body.resolution, quality)
    _check_prompt(model, body.prompt)
    price = prices.picture(
        model, resolution=body.resolution, quality=quality, inputs=len(images), enhance=body.enhance_prompt
    )
    return Order(
        path,
        model,
        price,
        model.id,
        images=tuple(images),
        image_field="images" if path == "/image/multi-edit" else "image",
        data_urls=path == "/image/multi-edit",
        web_urls=True,
        prompt=body.prompt,
        safe=body.safe_mode,
        options={
            "aspect_ratio": body.aspect_ratio or "auto",
            "resolution": body.resolution or "1K",
            "output_format": body.output_format,
            "enhance_prompt": body.enhance_prompt,
        },
    )


def _edit(received: Received) -> Order:
    body = fields.check(fields.EditBody, received.data, strict=received.transport == "json")
    model = _edit_model(body.model or body.model_id)
    return _edit_order(body, model, [body.image], path="/image/edit", quality=None)


def _multi_edit(received: Received) -> Order:
    body = fields.check(fields.MultiEditBody, received.data, strict=received.transport == "json")
    model = _edit_model(body.model_id)
    most = 1 if not model.combine else (model.max_images or 3)
    if len(body.images) > most:
        text = f"images: at most {most} image(s) are supported by model {model.id}"
        raise Refusal(400, {"error": "Invalid request parameters", "details": text})
    return _edit_order(body, model, body.images, path="/image/multi-edit", quality=body.quality)


def _generation_model(model_id: str) -> Model:
    if model_id in RETIRED:
        raise Refusal(410, f"The model '{model_id}' has been retired. Use '{RETIRED[model_id]}' instead.")
    model = MODELS.get(model_id)
    if model is None or not generates(model):
        guess = nearest(model_id)
        hint = f" Did you mean '{guess}'?" if guess else ""
        raise Refusal(404, f"Specified model not found: '{model_id}'.{hint}")
    return model


def _check_generation(body: fields.GenerateBody, model: Model) -> None:
    _check_offer(model, body.aspect_ratio, body.resolution, body.quality)
    _check_prompt(model, body.prompt)
    references = len(body.style_references or [])
    problems = (
        (body.variants > 1 and body.return_binary, "variants needs return_binary to be false"),
        (body.width % model.divisor or body.height % model.divisor, f"width and height: multiples of {model.divisor}"),
        (body.steps is not None and body.steps > model.max_steps, f"steps: at most {model.max_steps}"),
        (body.style_preset is not None and body.style_preset not in STYLES, "style_preset: unknown style"),
        (references > model.style_references, f"style_references: at most {model.style_references}"),
    )
    for wrong, text in problems:
        if wrong:
            details = f"{text} (model {model.id})"
            raise Refusal(400, {"error": "Invalid request parameters", "details": details})


def _generate(received: Received) -> Order:
    body = fields.check(fields.GenerateBody, received.data, strict=True)
    model = _generation_model(body.model)
    _check_generation(body, model)
    price = prices.picture(
        model,
        resolution=body.resolution,
        quality=body.quality,
        variants=body.variants,
        enhance=body.enhance_prompt,
    )
    return Order(
        "/image/generate",
        model,
        price,
        model.id,
        units=body.variants,
        images=tuple(reference.image for reference in body.style_references or []),
        image_field="style_references",
        data_urls=True,
        web_urls=True,
        prompt=body.prompt,
        safe=body.safe_mode,
        options=body.model_dump(include={*_DRAWN}) | {"tiers": bool(model.tiers)},
    )


#: The fields of a generation that change what is drawn or how it is sent.
_DRAWN = (
    "width",
    "height",
    "aspect_ratio",
    "resolution",
    "seed",
    "variants",
    "format",
    "return_binary",
    "embed_exif_metadata",
    "enhance_prompt",
)

#: How each paid endpoint reads its fields.
READERS: Mapping[str, Callable[[Received], Order]] = {
    "/image/upscale": _upscale,
    "/image/background-remove": _background_remove,
    "/image/edit": _edit,
    "/image/multi-edit": _multi_edit,
    "/image/generate": _generate,
}
