"""Decimals of Avro and Protobuf as the numbers that JSON would have given."""

from __future__ import annotations


def decimal_number(digits: bytes, scale: int) -> int | float:
    r"""Return the number whose digits are an integer in two's complement, most significant first.

    Parameters
    ----------
    digits
        The unscaled integer.
    scale
        Digits behind the point. Where it is 0 the number is an integer, else the nearest float.

    Examples
    --------
    >>> from fenchel_connectors.formats.decimals import decimal_number
    >>> decimal_number(b"\x04\xd2", 2), decimal_number(b"\xff", 0)
    (12.34, -1)
    """
    unscaled = int.from_bytes(digits, signed=True)
    return float(f"{unscaled}e{-scale}") if scale else unscaled
