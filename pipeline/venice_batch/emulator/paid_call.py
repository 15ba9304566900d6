"""From the fields of a request to a paid call: which model serves it, what it costs, what is drawn.

Everything a field can be wrong about beyond its type and range is checked here, against the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from venice_batch.emulator import request_bodies as bodies
from venice_batch.emulator.api_error import ApiError, invalid
from venice_batch.emulator.catalogue import (
    ALIASES,
    BACKGROUND_REMOVER,
    DEFAULT_EDIT_MODEL,
    MODELS,
    RETIRED,
    STYLES,
    UPSCALER,
    Model,
    generates,
    nearest,
)
from venice_batch.emulator.request_bodies import Received

#: Prompts with one of these words are refused by the content policy.
BLOCKLIST = ("forbidden",)
#: Prompts with this word come back blurred while safe mode is on.
BLUR_WORD = "blurme"
_WEB = ("http://", "https://")
#: No upscale has more pixels.
MAX_UPSCALED = 16_777_216
_LEAST_SCALE, _MOST_SCALE = 2, 4


@dataclass(frozen=True, slots=True)
class PaidCall:
    """One paid call, understood and priced.

    Attributes:
        path: the endpoint, such as ``/image/edit``.
        model: who serves it.
        price: USD for the whole call.
        sku: what the ledger calls it.
        units: how many pictures are billed and counted by the rate limit.
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


def _upscale(received: Received) -> PaidCall:
    body = received.checked(bodies.UpscaleBody)
    if body.scale != 1 and not _LEAST_SCALE <= body.scale <= _MOST_SCALE:
        raise invalid("scale must be from 2 to 4")
    if body.scale == 1 and body.enhance not in {True, "true"}:
        raise invalid("scale 1 requires enhance to be true")
    model = MODELS[UPSCALER]
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
    # A pure enhancement (scale 1) is priced as 2x.
    factor = "2x" if min(call.options["scale"] ** 2, room) <= _LEAST_SCALE**2 else "4x"
    return replace(call, price=call.model.factors[factor], sku=f"{UPSCALER}-{factor}")


def _background_remove(received: Received) -> PaidCall:
    body = received.checked(bodies.BackgroundRemoveBody)
    source = body.image if body.image is not None else body.image_url
    if source is None or (body.image is not None and body.image_url is not None):
        raise invalid("Exactly one of image and image_url must be given")
    by_url = body.image is None
    if by_url and received.transport == "multipart":
        raise ApiError(400, "image_url is not accepted in a multipart form")
    if by_url and not str(source).startswith(_WEB):
        raise invalid("image_url must be an http(s) URL")
    model = MODELS[BACKGROUND_REMOVER]
    return PaidCall(
        "/image/background-remove",
        model,
        model.price(),
        BACKGROUND_REMOVER,
        images=(source,),
        image_field="image_url" if by_url else "image",
        web_urls=by_url,
    )


def _check_retired(model_id: str) -> None:
    if model_id in RETIRED:
        raise ApiError(410, f"The model '{model_id}' has been retired. Use '{RETIRED[model_id]}' instead.")


def _edit_model(named: str | None) -> Model:
    model_id = named or DEFAULT_EDIT_MODEL
    _check_retired(model_id)
    model = MODELS.get(ALIASES["inpaint"].get(model_id, model_id))
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
            raise invalid(f"{name} '{value}' is not supported by model {model.id}. Supported: {known}")
    if len(body.prompt) > model.prompt_limit:
        raise invalid(f"prompt exceeds the limit of {model.prompt_limit} characters of model {model.id}")


def _edited(
    path: str, body: bodies.PromptBody, model: Model, images: list[str | bytes], quality: str | None = None
) -> PaidCall:
    several = path == "/image/multi-edit"
    _check_offer(model, body, quality, drops=several)
    return PaidCall(
        path,
        model,
        model.price(resolution=body.resolution, quality=quality, inputs=len(images), enhance=body.enhance_prompt),
        model.id,
        images=tuple(images),
        image_field="images" if several else "image",
        data_urls=several,
        web_urls=True,
        prompt=body.prompt,
        safe=body.safe_mode,
        options={
            **body.model_dump(include={"output_format", "enhance_prompt", "transparent_background"}),
            "aspect_ratio": body.aspect_ratio or "auto",
            "resolution": (model.tiers and body.resolution) or "1K",
        },
    )


def _edit(received: Received) -> PaidCall:
    body = received.checked(bodies.EditBody)
    return _edited("/image/edit", body, _edit_model(body.model or body.model_id), [body.image])


def _multi_edit(received: Received) -> PaidCall:
    body = received.checked(bodies.MultiEditBody)
    model = _edit_model(body.model_id)
    most = 1 if not model.combine else (model.max_images or 3)
    if len(body.images) > most:
        raise invalid(f"images: at most {most} image(s) are supported by model {model.id}")
    return _edited("/image/multi-edit", body, model, body.images, body.quality)


def _generation_model(model_id: str) -> Model:
    _check_retired(model_id)
    model = MODELS.get(model_id)
    if model is None or not generates(model):
        guess = nearest(model_id)
        hint = f" Did you mean '{guess}'?" if guess else ""
        raise ApiError(404, f"Specified model not found: '{model_id}'.{hint}")
    return model


def _check_generation(body: bodies.GenerateBody, model: Model) -> None:
    _check_offer(model, body, body.quality, drops=True)
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
            raise invalid(f"{text} (model {model.id})")


#: The fields of a generation that change what is drawn or how it is sent.
_DRAWN = {"width", "height", "aspect_ratio", "resolution", "seed", "variants", "format", "return_binary"}
_DRAWN |= {"embed_exif_metadata", "enhance_prompt"}


def _generate(received: Received) -> PaidCall:
    body = received.checked(bodies.GenerateBody)
    model = _generation_model(body.model)
    _check_generation(body, model)
    return PaidCall(
        "/image/generate",
        model,
        model.price(
            resolution=body.resolution, quality=body.quality, variants=body.variants, enhance=body.enhance_prompt
        ),
        model.id,
        units=body.variants,
        images=tuple(reference.image for reference in body.style_references or []),
        image_field="style_references",
        data_urls=True,
        web_urls=True,
        prompt=body.prompt,
        safe=body.safe_mode,
        options=body.model_dump(include=_DRAWN) | {"tiers": bool(model.tiers)},
    )


#: How each paid endpoint reads its fields.
PARSERS: Mapping[str, Callable[[Received], PaidCall]] = {
    "/image/upscale": _upscale,
    "/image/background-remove": _background_remove,
    "/image/edit": _edit,
    "/image/multi-edit": _multi_edit,
    "/image/generate": _generate,
}
