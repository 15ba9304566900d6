"""What marketplaces ask of a picture, as steps and finished files; each rule with where it was found, and when.

Marketplaces change their rules without asking. `CHECKED` is when these were last looked up; docs/presets.md tells how.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

#: The day (ISO) on which the sources of all rules were last read.
CHECKED = "2026-11-21"

PresetName = Literal["amazon-main", "shopify-product", "ebay", "etsy"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that a marketplace asks of a picture.

    Attributes:
        text: what it asks for.
        source: the address where it was read.
        official: the marketplace's own page; else somebody else's account of it.
    """

    text: str
    source: str
    official: bool = False


@dataclass(frozen=True, slots=True)
class Preset:
    """Local steps and finished files that follow a marketplace's rules.

    Attributes:
        name: as a job file names it.
        description: what for, in one line.
        rules: what it follows.
        leaves: what it cannot see to, for the user.
        steps: put behind the job's own: name and fields, as a job file has them.
        renditions: entries of ``output.renditions``, as a job file has them.
    """

    name: PresetName
    description: str
    rules: tuple[Requirement, ...]
    leaves: str
    steps: tuple[tuple[str, Mapping[str, object]], ...]
    renditions: tuple[Mapping[str, object], ...]

    def job_steps(self) -> list[object]:
        """Return the steps as items of the list ``steps`` of a job file."""
        return [{name: dict(fields)} if fields else name for name, fields in self.steps]

    def as_job(self) -> dict[str, object]:
        """Return what stands for the preset in a job file: the steps, and the output's renditions."""
        return {"steps": self.job_steps(), "output": {"renditions": [dict(each) for each in self.renditions]}}


#: Repeats the text of Seller Central, which can only be read with an account.
_AMAZON_RULES = "https://help.e-tailize.com/en/expanding-the-checklist-to-amazon-nl-1"
_AMAZON = Preset(
    "amazon-main",
    "the main picture of an Amazon listing: white square, filled by the product",
    (
        Requirement("a pure white background, RGB 255, 255, 255", _AMAZON_RULES),
        Requirement("the product fills at least 85 % of the picture", _AMAZON_RULES),
        Requirement(
            "the longest side has 500 to 10,000 pixels; 1,000 or more for zoom, 1,600 or more for the best zoom",
            _AMAZON_RULES,
        ),
        Requirement("JPEG is preferred to TIFF, PNG and GIF; animations are refused", _AMAZON_RULES),
        Requirement("a square is recommended", "https://mercatuslab.com/blog/amazon-product-image-requirements"),
        Requirement("files of up to 10 MB", "https://changethisfile.com/blog/convert-images-for-amazon-seller-central"),
    ),
    "begin with background-remove: a photo's own background does not turn white; small pictures are not enlarged (add"
    " upscale); no text, logo or watermark may be in the picture",
    (("trim", {}), ("pad", {"aspect_ratio": "1:1", "margin": "5%", "color": "white"})),
    ({"format": "jpeg", "quality": 90, "max_side": 2000, "max_bytes": "10MB"},),
)

#: Repeats Shopify's help pages, which could not be read directly.
_SHOPIFY_SIZES = "https://sellshot.ai/en/blog/shopify-product-image-size-guide"
_SHOPIFY = Preset(
    "shopify-product",
    "a product picture for a Shopify shop: a square of 2048 pixels",
    (
        Requirement("2048 x 2048 pixels show square products best", _SHOPIFY_SIZES),
        Requirement("at most 5000 x 5000 pixels, or 25 megapixels", _SHOPIFY_SIZES),
        Requirement("files smaller than 20 MB", _SHOPIFY_SIZES),
        Requirement(
            "one shape for all products, a square in most themes",
            "https://isopeel.com/guides/shopify-product-image-requirements",
        ),
    ),
    "small pictures are not enlarged (add upscale)",
    (("pad", {"aspect_ratio": "1:1", "color": "white"}),),
    ({"format": "jpeg", "quality": 90, "max_side": 2048, "max_bytes": "19MB"},),
)

_EBAY_POLICY = "https://www.ebay.com/help/policies/listing-policies/picture-policy?id=4370"
_EBAY_QUALITY = "https://developer.ebay.com/support/kb-article?KBid=1489"
_EBAY = Preset(
    "ebay",
    "a picture of an eBay listing: nothing added, 1600 pixels",
    (
        Requirement("the longest side has at least 500 pixels", _EBAY_POLICY, official=True),
        Requirement("no added borders, text, artwork or watermarks", _EBAY_POLICY, official=True),
        Requirement(
            "1,000 pixels or more on the longest side, JPEG at quality 90 or more", _EBAY_QUALITY, official=True
        ),
        Requirement("about 1600 x 1600 pixels", "https://www.usepixora.com/resource/ebay-photo-requirements-guide"),
        Requirement("files of up to 12 MB", "https://plomz.com/guide/ebay-image-requirements-for-sellers-2026"),
    ),
    "nothing is padded, since added borders are against the policy; small pictures are not enlarged (add upscale)",
    (("flatten", {"color": "white"}),),
    ({"format": "jpeg", "quality": 90, "max_side": 1600, "max_bytes": "12MB"},),
)

_ETSY_SIZES = (
    "https://dev.to/herofab/"
    "check-product-photos-against-amazon-etsy-and-96-other-marketplace-image-rules-with-a-free-api-no-5982"
)
_ETSY = Preset(
    "etsy",
    "a photo of an Etsy listing: large, in its own shape",
    (
        Requirement(
            "pictures show the item itself, no rendering or stock photo",
            "https://www.etsy.com/de-en/legal/policy/listing-image-requirements/253962679005",
            official=True,
        ),
        Requirement("2,000 pixels are recommended, 635 the least for the first photo", _ETSY_SIZES),
        Requirement("JPEG, PNG or GIF, files of up to 10 MB", "https://hauld.app/blog/etsy-listing-photo-checklist"),
    ),
    "sources disagree whether the 2,000 pixels are the shorter side or the longer; 3,000 on the longer give both up to"
    " 3:2. An edited or generated scene may break the first rule",
    (("flatten", {"color": "white"}),),
    ({"format": "jpeg", "quality": 90, "max_side": 3000, "max_bytes": "10MB"},),
)

PRESETS: Mapping[PresetName, Preset] = MappingProxyType(
    {preset.name: preset for preset in (_AMAZON, _SHOPIFY, _EBAY, _ETSY)}
)
