"""The ``ip`` caveat: which clients a list of subnets lets through, by dCache's ``org.dcache.util.Subnet``.

Where dCache's own code fails on a value (``192.0.2.7/x``), the login fails with it: here ``ValueError``.
"""

from __future__ import annotations

import ipaddress
import re

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Subnet = tuple[_Address, int]

# dCache's Subnet.isValid refuses addresses of these ranges (observed, not documented).
_REFUSED = (ipaddress.ip_network("2001::/32"), ipaddress.ip_network("2001:db8::/32"))

_INTEGER = re.compile(r"[-+]?\d+")


def client_address(text: str) -> _Address:
    """A client's address; an IPv4 address written as IPv6 (``::ffff:192.0.2.7``) is the IPv4 address, as in Java."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def split(value: str) -> list[str]:
    """The subnets of a caveat's value."""
    return [part for part in (piece.strip() for piece in value.split(",")) if part]


def invalid(subnets: list[str]) -> list[str]:
    """Those of ``subnets`` that dCache calls invalid before it looks at the client."""
    return [subnet for subnet in subnets if not _acceptable(subnet)]


def matches(client: _Address, subnets: list[str]) -> bool:
    """Is ``client`` in one of ``subnets``? The first match ends the search, so that a broken one after it does no
    harm.

    Raises ValueError for a subnet that dCache's code breaks on.
    """
    return any(_contains(_parse(subnet), client) for subnet in subnets)


def _acceptable(subnet: str) -> bool:
    parts = _parts(subnet)
    try:
        address = _literal(parts[0])
    except ValueError:
        return False
    if any(address in refused for refused in _REFUSED if refused.version == address.version):
        return False
    return _mask(parts, address) <= address.max_prefixlen


def _parse(subnet: str) -> _Subnet:
    parts = _parts(subnet)
    address = _embedded_ipv4(_literal(parts[0]))
    return address, _mask(parts, address)


def _parts(subnet: str) -> list[str]:
    """Host and mask as Java's ``split("/")`` gives them: what is empty at the end does not count."""
    parts = subnet.rstrip("/").split("/")
    if parts == [""]:
        raise ValueError("Index 0 out of bounds for length 0")
    return parts


def _mask(parts: list[str], address: _Address) -> int:
    """Bits of the mask, which may be written like an address: then all bits up to its last one count."""
    if len(parts) < 2:
        return address.max_prefixlen
    if "." in parts[1]:
        bits = int(_literal(parts[1]))
        return 32 - (32 if bits == 0 else (bits & -bits).bit_length() - 1)
    if not _INTEGER.fullmatch(parts[1]):
        raise ValueError(f'For input string: "{parts[1]}"')
    return int(parts[1])


def _literal(text: str) -> _Address:
    """An address as Guava's ``InetAddresses.forString`` reads it: no names, no blanks, no leading zeros."""
    try:
        return ipaddress.ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        raise ValueError(f"'{text}' is not an IP string literal.") from None


def _embedded_ipv4(address: _Address) -> _Address:
    """The IPv4 address inside an IPv6 one (mapped, compatible, 6to4), which dCache then compares instead of it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if int(address) >> 32 == 0 and int(address) > 1:
        return ipaddress.IPv4Address(int(address))
    return address


def _contains(subnet: _Subnet, client: _Address) -> bool:
    address, mask = subnet
    if mask < 0:
        raise ValueError("Netmask should be positive")
    if mask == 0:
        return True
    if address.version != client.version:
        return False
    return (int(address) ^ int(client)) >> (address.max_prefixlen - mask) == 0
