"""Too many wrong keys: 429 to whoever tries them, by address and by prefix, and to nobody whose key holds."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.api.conftest import Api
from tests.api.server import serving, settings
from tests.api.test_isolation_access import made

from ateneo.access import service
from ateneo.access.service import _NAT64, Failures, network
from ateneo.db import keys
from ateneo.errors import TooManyFailures

UNKNOWN = "ate_000000000000_" + "0" * 64


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    """Five wrong keys a minute."""
    with serving(settings(api.database_url, ATENEO_FAILED_LOGINS_PER_MINUTE="5")) as url:
        yield url


def attempt(url: str, secret: str, *, source: str = "127.0.0.1", **headers: str) -> httpx.Response:
    """A request from one of this machine's own addresses."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=source), timeout=60) as client:
        return client.get(f"{url}/documents", headers={"Authorization": f"Bearer {secret}", **headers})


def number(count: int) -> str:
    """A key of the right shape that nobody has."""
    return f"ate_{count:012x}_" + "0" * 64


def test_an_address_that_guesses_is_told_to_wait(api: Api, url: str) -> None:
    assert attempt(url, api.acme_key, source="127.0.0.2").status_code == 200
    assert [attempt(url, number(one), source="127.0.0.2").status_code for one in range(7)] == [401] * 5 + [429] * 2
    refused = attempt(url, number(8), source="127.0.0.2", **{"Accept-Language": "en"})
    assert refused.json()["code"] == "too-many-failures" and "wrong keys" in refused.json()["detail"]
    assert 0 < int(refused.headers["retry-after"]) <= 60
    # what held goes on to hold there, what is new has to wait, and elsewhere nothing has changed
    assert attempt(url, api.acme_key, source="127.0.0.2").status_code == 200
    fresh = made(api, "read")
    assert attempt(url, fresh, source="127.0.0.2").status_code == 429
    assert attempt(url, fresh, source="127.0.0.3").status_code == 200
    assert attempt(url, number(9), source="127.0.0.3").status_code == 401


def test_one_prefix_is_not_guessed_at_from_many_addresses(api: Api, url: str) -> None:
    assert attempt(url, api.acme_key).status_code == 200
    wrong = [keys.with_checksum(f"{api.acme_key[:24]}{one:064x}") for one in range(7)]
    statuses = [attempt(url, key, source=f"127.0.1.{one + 1}").status_code for one, key in enumerate(wrong)]
    assert statuses == [401] * 5 + [429] * 2
    assert attempt(url, api.acme_key, source="127.0.2.1").status_code == 200


def test_a_request_without_a_key_is_no_guess(url: str) -> None:
    assert {httpx.get(f"{url}/documents").status_code for _ in range(8)} == {401}


def test_behind_a_proxy_on_this_machine_its_header_counts(url: str) -> None:
    """uvicorn believes X-Forwarded-For from 127.0.0.1 alone, unless FORWARDED_ALLOW_IPS says otherwise."""
    one, two = ({"X-Forwarded-For": address} for address in ("203.0.113.7", "203.0.113.8"))
    assert [attempt(url, number(n), **one).status_code for n in range(6)] == [401] * 5 + [429]
    assert attempt(url, number(7), **two).status_code == 401
    for n in range(10, 16):
        last = attempt(url, number(n), source="127.0.0.9", **{"X-Forwarded-For": f"203.0.113.{n}"})
    assert last.status_code == 429


def test_a_revoked_key_that_goes_on_is_slowed_down_like_any_other() -> None:
    clock = [0.0]
    failures = Failures(2, lambda: clock[0])
    failures.held(UNKNOWN)
    for _ in range(2):
        failures.check(UNKNOWN, "a")
        failures.failed(UNKNOWN, "a")
    with pytest.raises(TooManyFailures):
        failures.check(UNKNOWN, "a")
    clock[0] = 31
    failures.check(UNKNOWN, "a")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_BUCKETS", 10)
    failures = Failures(1)
    for one in range(50):
        failures.failed(number(one), f"10.0.0.{one}")
        failures.held(f"secreto {one}")
    assert len(failures._held) == len(failures._addresses._buckets) == len(failures._prefixes._buckets) == 10
    with pytest.raises(TooManyFailures):
        failures.check("otra cosa", "10.0.0.49")  # the last are those that stay
    assert b"secreto 49" not in b"".join(failures._held)


IN_IPV6 = {
    "mapped (RFC 4291, 2.5.5.2)": lambda v4: IPv6Address((0xFFFF << 32) | int(v4)),
    "NAT64 (RFC 6052, 2.1)": lambda v4: IPv6Address((0x64FF9B << 96) | int(v4)),
    "6to4 (RFC 3056, 2)": lambda v4: IPv6Address((0x2002 << 112) | (int(v4) << 80) | 1),
}


@given(st.ip_addresses(v=6))
def test_an_ipv6_customer_is_one_address(address: IPv6Address) -> None:
    assume(not (address.ipv4_mapped or address.sixtofour or address in _NAT64))
    head = str(network(str(address)))
    assert head.endswith("/64") and network(head.removesuffix("/64")) == head


@pytest.mark.parametrize("way", IN_IPV6.values(), ids=IN_IPV6)
@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_an_address_in_an_address_is_itself(
    way: Callable[[object], IPv6Address], one: IPv4Address, other: IPv4Address
) -> None:
    assert network(str(way(one))) == network(str(one))
    assert (network(str(way(one))) == network(str(way(other)))) == (one == other)


def test_other_addresses_are_what_they_are() -> None:
    assert [network(one) for one in ("203.0.113.7", "", "testclient")] == ["203.0.113.7", "", "testclient"]
    assert network("2001:db8::1") == network("2001:db8::ffff") != network("2001:db8:0:1::1")
