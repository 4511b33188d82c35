"""Announces the service by multicast DNS, with the library zeroconf."""

import asyncio
import ipaddress
import re
import socket
from contextlib import suppress

import ifaddr
import zeroconf
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

FAREWELL = 2.0  # s at most to withdraw the announcement


class Announcement:
    """Announces the HTTP port as ``_oscjson._tcp`` and the OSC port, if there is one, as ``_osc._udp``.

    It is announced on every network even where only this machine can connect: a program on this machine learns of it
    from the system's resolver, which ignores the loopback interface.
    """

    def __init__(self, name: str, host: str, http_port: int, osc_port: int | None) -> None:
        self._name = name
        self._host = host
        self._ports = {"_oscjson._tcp.local.": http_port}
        if osc_port is not None:
            self._ports["_osc._udp.local."] = osc_port
        self._zeroconf: AsyncZeroconf | None = None

    async def publish(self) -> Exception | None:
        """Announce; takes about a second, in which the network is asked for services of the same name.

        Returns
        -------
        Exception or None
            The fault that prevented it.
        """
        try:
            self._zeroconf = AsyncZeroconf(ip_version=zeroconf.IPVersion.V4Only)
            await asyncio.gather(*(self._register(self._zeroconf, kind, port) for kind, port in self._ports.items()))
        except (OSError, RuntimeError, zeroconf.Error) as fault:
            return fault
        return None

    async def _register(self, network: AsyncZeroconf, kind: str, port: int) -> None:
        service = AsyncServiceInfo(
            kind,
            f"{self._name}.{kind}",
            port,
            properties={"txtvers": "1"},  # an empty TXT record is not allowed, and some clients refuse it
            server=_server_name(),
            parsed_addresses=_addresses(self._host),
        )
        await (await network.async_register_service(service, allow_name_change=True))

    async def withdraw(self) -> None:
        """Withdraw the announcement, if the network is still there."""
        if self._zeroconf is None:
            return
        with suppress(OSError, RuntimeError, zeroconf.Error, TimeoutError):
            await asyncio.wait_for(self._zeroconf.async_unregister_all_services(), FAREWELL)
        with suppress(OSError, RuntimeError, zeroconf.Error, TimeoutError):
            await asyncio.wait_for(self._zeroconf.async_close(), FAREWELL)


def _addresses(host: str) -> list[str]:
    """The addresses to announce: ``host``, or every address of this machine where it is unspecified."""
    if not ipaddress.ip_address(host).is_unspecified:
        return [host]
    addresses = [str(ip.ip) for adapter in ifaddr.get_adapters() for ip in adapter.ips if ip.is_IPv4]
    return [address for address in addresses if not ipaddress.ip_address(address).is_loopback] or ["127.0.0.1"]


def _server_name() -> str:
    # Not the machine's own name, for which the system's resolver answers, perhaps with other addresses.
    label = re.sub("[^a-z0-9-]", "-", socket.gethostname().partition(".")[0].lower())
    return f"valaro-{label}"[:63] + ".local."
