"""JSON as programs write it: NaN and Infinity, which JSON does not have and Python writes, are numbers."""

import json
from typing import TypeVar

import msgspec

_T = TypeVar("_T")


def decoded(text: str, decoder: "msgspec.json.Decoder[_T]") -> _T:
    """Return the value in a text.

    Raises:
        msgspec.DecodeError: If it is none of the decoder's type.

    Example:
        >>> decoded('{"val_loss": NaN}', msgspec.json.Decoder(dict[str, float]))
        {'val_loss': nan}
    """
    try:
        return decoder.decode(text)
    except msgspec.DecodeError as error:
        if "NaN" not in text and "Infinity" not in text:
            raise
        try:
            return msgspec.convert(json.loads(text), decoder.type)
        except ValueError:
            raise error from None
