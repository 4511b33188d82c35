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
from .evidence import TEXTURES, Rated, RatedEvidence, RatingOrigin

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


def to_json(listener: str, ratings: Iterable[Rated]) -> dict[str, Any]:
    """Everything that is known of a listener, as :func:`from_json` reads it."""
    return {
        "valaro": "listener",
        "version": VERSION,
        "listener": listener,
        "ratings": [_entry(rated) for rated in ratings],
    }


def _entry(rated: Rated) -> dict[str, Any]:
    return {
        "uid": rated.uid,
        "at": rated.at.isoformat(),
        "time": rated.time,
        "valence": rated.valence,
        "arousal": rated.arousal,
        "source": rated.source,
        "undone": rated.undone,
        "bundle": rated.heard.bundle,
        "layout": rated.heard.layout,
        "theta": _packed(rated.heard.theta),
        "heatmap": _packed(rated.heard.heatmap),
        "textures": [_packed(each) for each in rated.heard.textures],
    }


def _packed(array: NDArray[np.float32]) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def from_json(data: object) -> tuple[str, list[Rated]]:
    """The listener's name as it is written there, and the ratings, in their order. Raises InputError, one line."""
    try:
        profile = _Profile.model_validate(data)
    except ValidationError as fault:
        raise InputError(_first(fault)) from fault
    return profile.listener, [_rated(profile.listener, *numbered) for numbered in enumerate(profile.ratings)]


def _rated(listener: str, number: int, entry: _Entry) -> Rated:
    where = f"not a listener's export: ratings[{number}]"
    try:
        textures = [_unpacked(each) for each in entry.textures]
        if len({each.size for each in textures}) > 1:
            raise InputError("the textures of a rating differ in size")
        heard = RatedEvidence(
            _unpacked(entry.theta), _unpacked(entry.heatmap), np.stack(textures), entry.bundle, entry.layout
        )
        at = entry.at.astimezone(UTC)
    except OverflowError as fault:
        raise InputError(f"{where}.at: no time that a clock could show") from fault
    except (InputError, binascii.Error, ValueError) as fault:
        raise InputError(f"{where}: {fault}") from fault
    return Rated(entry.uid, listener, at, entry.time, entry.valence, entry.arousal, entry.source, heard, entry.undone)


def _unpacked(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)


def _first(invalid: ValidationError) -> str:
    error = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
    place = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in error["loc"]).lstrip(".")
    what = cast(str, error["msg"])
    text = f"not a listener's export: {place}: {what[:1].lower()}{what[1:]}" if place else "not a listener's export"
    printable = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return printable if len(printable) <= 200 else f"{printable[:197]}..."
