"""Kinds of values by what Kubernetes, NATS and helm take: what passes here is not refused there."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

_DNS: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME: Final = rf"{_DNS}(\.{_DNS})*"
_HOST: Final = r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*"
_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_BYTE: Final = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V6: Final = r"([0-9a-fA-F]{1,4}:){1,7}(:|[0-9a-fA-F]{1,4})|::([0-9a-fA-F]{1,4})?"
_PART: Final = r"[a-z0-9]+([._-]+[a-z0-9]+)*"
_IMAGE: Final = rf"([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/)?{_PART}(/{_PART})*"
_TAG: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"

Image = Annotated[str, Meta(pattern=rf"^{_IMAGE}((:{_TAG})?@sha256:[0-9a-f]{{64}}|:{_TAG})$")]
"""A name with a tag or a digest: without, nobody knows what runs."""
Memory = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,8}(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti)$")]
Cores = Annotated[str, Meta(pattern=r"^([1-9][0-9]{0,8}m|[0-9]{1,6}(\.[0-9]{1,3})?)$")]
Number = Annotated[float, Meta(ge=0.001, le=100_000)]
Cpu = Cores | Number
CpuLimit = Annotated[str, Meta(pattern=r"^([1-9][0-9]{0,8}m|[0-9]{1,6}(\.[0-9]{1,3})?)?$")] | Number
Cidr = Annotated[
    str,
    Meta(
        pattern=rf"^({_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}/(3[0-2]|[12]?[0-9])"
        rf"|({_V6})/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$"
    ),
]
Positive = Annotated[int, Meta(ge=1, le=10_000_000)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Pods = Annotated[int, Meta(ge=0, le=10_000)]
SomePods = Annotated[int, Meta(ge=1, le=10_000)]
Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
ObjectName = Annotated[str, Meta(pattern=rf"^({_NAME})?$", max_length=253)]
"""Of another object; empty: none."""
NeededName = Annotated[str, Meta(pattern=rf"^{_NAME}$", max_length=253)]
Host = Annotated[str, Meta(pattern=rf"^((\*\.)?{_NAME})?$", max_length=253)]
HostAndPort = Annotated[str, Meta(pattern=rf"^({_HOST}:[1-9][0-9]{{0,4}})?$")]
Key = Annotated[str, Meta(pattern=rf"^({_DNS}(\.{_DNS})*/)?{_LABEL}$", max_length=253)]
"""Of a label or an annotation."""
LabelValue = Annotated[str, Meta(pattern=rf"^({_LABEL})?$")]
Account = Annotated[str, Meta(pattern=r"^[$A-Za-z][A-Za-z0-9_-]*$")]
Password = Annotated[str, Meta(pattern=r"^([A-Za-z][A-Za-z0-9]*)?$")]
"""nats-server reads a variable as it reads its file: 1k is 1000 there."""
