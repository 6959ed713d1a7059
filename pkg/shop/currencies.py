"""The active currencies of ISO 4217, each with its number of decimals.

Codes that nobody buys with are left out: metals, funds and units of account, tests (XAU, CLF,
XDR, XXX). Bulgaria's lev ended with 2025, the guilder of the Antilles (ANG) with XCG.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

_CODES: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD "
        "CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
        "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL "
        "MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN "
        "PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP "
        "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}

UNITS: Final[Mapping[str, Decimal]] = MappingProxyType(
    {
        code: Decimal(1).scaleb(-decimals)
        for decimals, codes in _CODES.items()
        for code in codes.split()
    }
)
"""The smallest amount of each currency: 0.01 for EUR, 1 for JPY, 0.001 for KWD."""

FINEST: Final = Decimal("0.001")
"""The smallest amount of any currency."""
