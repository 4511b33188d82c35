"""A listener's ratings as JSON, to take elsewhere: arrays are base64 of little-endian float32."""

import base64
import binascii
from collections.abc import Iterable
from datetime import UTC
from typing import Annotated, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ..errors import InputError
from .evidence import TEXTURES, RatedEvidence, RatingOrigin, StoredRating

VERSION = 1

_Plane = Annotated[float, Field(ge=-1.0, le=1.0, allow_inf_nan=False)]
_Array = Annotated[str, Field(max_length=32_768)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    uid: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    at: Annotated[AwareDatetime, Field(strict=False)]
    time: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    valence: _Plane
    arousal: _Plane
    source: RatingOrigin = "import"
    undone: bool = False
    bundle: str
    layout: str
    theta: _Array
    heatmap: _Array
    textures: Annotated[list[_Array], Field(min_length=1, max_length=TEXTURES)]


class _Profile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    valaro: Literal["listener"]
    version: Literal[1]
    listener: str
    ratings: list[_Entry]


def to_json(listener: str, ratings: Iterable[StoredRating]) -> dict[str, Any]:
    """All ratings of a listener, as :func:`from_json` reads them."""
    return {
        "valaro": "listener",
        "version": VERSION,
        "listener": listener,
        "ratings": [_entry(rating) for rating in ratings],
    }


def _entry(rating: StoredRating) -> dict[str, Any]:
    return {
        "uid": rating.uid,
        "at": rating.at.isoformat(),
        "time": rating.time,
        "valence": rating.valence,
        "arousal": rating.arousal,
        "source": rating.source,
        "undone": rating.undone,
        "bundle": rating.evidence.bundle,
        "layout": rating.evidence.layout,
        "theta": _packed(rating.evidence.theta),
        "heatmap": _packed(rating.evidence.heatmap),
        "textures": [_packed(texture) for texture in rating.evidence.textures],
    }


def _packed(array: NDArray[np.float32]) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def from_json(data: object) -> tuple[str, list[StoredRating]]:
    """The listener's name as it is written there, and the ratings, in their order.

    Raises
    ------
    InputError
        It is not such an export; one line says where.
    """
    try:
        profile = _Profile.model_validate(data)
    except ValidationError as fault:
        raise InputError(_first_error(fault)) from fault
    return profile.listener, [_stored_rating(profile.listener, *numbered) for numbered in enumerate(profile.ratings)]


def _stored_rating(listener: str, number: int, entry: _Entry) -> StoredRating:
    where = f"not a listener's export: ratings[{number}]"
    try:
        textures = [_unpacked(texture) for texture in entry.textures]
        if len({texture.size for texture in textures}) > 1:
            raise InputError("the textures of a rating differ in size")
        evidence = RatedEvidence(
            _unpacked(entry.theta), _unpacked(entry.heatmap), np.stack(textures), entry.bundle, entry.layout
        )
        at = entry.at.astimezone(UTC)
    except OverflowError as fault:
        raise InputError(f"{where}.at: no time that a clock could show") from fault
    except (InputError, binascii.Error, ValueError) as fault:
        raise InputError(f"{where}: {fault}") from fault
    return StoredRating(
        entry.uid, listener, at, entry.time, entry.valence, entry.arousal, entry.source, evidence, entry.undone
    )


def _unpacked(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)


def _first_error(invalid: ValidationError) -> str:
    error = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
    location = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in error["loc"]).lstrip(".")
    what = cast(str, error["msg"])
    text = (
        f"not a listener's export: {location}: {what[:1].lower()}{what[1:]}" if location else "not a listener's export"
    )
    printable = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return printable if len(printable) <= 200 else f"{printable[:197]}..."
