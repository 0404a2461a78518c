"""Strict integers."""

import re

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def check_digits(value: str | int) -> str | int:
    """Refuse what `int` accepts beyond digits: signs, spaces, underscores, leading zeros."""
    if not re.fullmatch(r"0|[1-9][0-9]*", str(value)):
        raise PydanticCustomError("digits", "Input should be decimal digits without leading zeros")
    return value


Digits = BeforeValidator(check_digits)
