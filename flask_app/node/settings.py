"""Reads the settings of the DICOM node: the environment variables KNEEOA_NODE_* (docs/settings.md lists them)."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kneeoa_hub.archive.dicomweb import Service, is_host
from kneeoa_hub.errors import SettingsError
from kneeoa_hub.settings import read_environ

from .dead import DeadLetters
from .tls import Certificates

PREFIX = "KNEEOA_NODE_"
"""The name of every variable begins with this prefix."""
AE_TITLE = re.compile(r"(?! *$)[^\\\x00-\x1f\x7f-\U0010ffff]{1,16}")
"""An AE title has up to 16 characters of ASCII without a backslash, not all of them spaces (PS3.5, 6.2)."""
PERCENT = re.compile("%[0-9A-Fa-f]{2}")
"""Addresses of the web encode a character in this form. An address of an archive does not."""
USER = re.compile("//[^/]*@")
"""An address may hold a user and a password here, which no message repeats."""
IDENTIFIERS = ("hashed", "shown")
LEAST_PDU = 4096
DAY_SECONDS = 86400
MOST_DAYS = 36500
WITHIN = {
    "port": (0, 65535),
    "associations": (1, 10_000),
    "pdu": (0, 2**32 - 1),
    "timeout": (1, DAY_SECONDS),
    "settle": (0, DAY_SECONDS),
    "capture": (0, 1),
    "max_bytes": (2**20, 2**50),
    "keep_films": (0, MOST_DAYS),
    "keep_days": (1, MOST_DAYS),
    "dead_letters": (0, 2**31),
    "dead_bytes": (0, 2**50),
    "dead_days": (0, MOST_DAYS),
}
"""These numbers have a smallest and a largest value."""


@dataclass(frozen=True)
class Destination:
    """Says where answers go.

    Attributes:
        host: The archive's host.
        port: Its port.
        ae_title: Its AE title for C-STORE, or "" for STOW-RS.
        tls: Whether C-STORE is encrypted.
        url: The address of its DICOMweb service, or "" for C-STORE.
    """

    host: str
    port: int
    ae_title: str = ""
    tls: bool = False
    url: str = ""

    @classmethod
    def parse(cls, text: str) -> "Destination":
        """Parse `dicom://AE@HOST:PORT`, `dicoms://AE@HOST:PORT` or `http(s)://HOST/PATH`. Raises SettingsError."""
        try:
            parts = urlsplit(text)
            host, port, title = parts.hostname or "", parts.port, parts.username or ""
        except ValueError:
            raise _archive(text) from None
        if parts.password is not None:
            raise SettingsError(f"{PREFIX}ARCHIVE holds a password; give a token in {PREFIX}TOKEN in place of it.")
        if not is_host(host):
            raise _archive(text)
        if parts.scheme in ("http", "https") and not title and not parts.query:
            return cls(host, port or {"http": 80, "https": 443}[parts.scheme], url=text.rstrip("/"))
        if parts.scheme not in ("dicom", "dicoms") or not host or not port or not AE_TITLE.fullmatch(title):
            raise _archive(text)
        if PERCENT.search(title):
            raise SettingsError(f"{PREFIX}ARCHIVE: write the AE title {title!r} as it is, spaces too, without %.")
        return cls(host, port, title, parts.scheme == "dicoms")


@dataclass(frozen=True)
class Caller:
    """Says who may send films.

    Attributes:
        ae_title: The calling AE title, or "*" for any.
        network: The network of its address, or None for any.
    """

    ae_title: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None

    @classmethod
    def parse(cls, text: str) -> "Caller":
        """Parse `AE`, `AE@ADDRESS` or `AE@NETWORK/BITS`; AE may be `*`. Raises SettingsError."""
        title, limited, network = (part.strip() for part in text.partition("@"))
        if title != "*" and not AE_TITLE.fullmatch(title):
            raise SettingsError(f"{PREFIX}CALLERS: {title!r} is no AE title; give 1 to 16 letters, digits or dashes.")
        try:
            return cls(title, ipaddress.ip_network(network) if limited else None)
        except ValueError:
            raise SettingsError(
                f"{PREFIX}CALLERS: {network!r} is no address or network; give one such as 10.1.2.3 or 10.1.0.0/16."
            ) from None

    def allows(self, ae_title: str, address: str) -> bool:
        """Return whether an association with this calling AE title from this address may be accepted."""
        return self.covers(address) and self.ae_title in ("*", ae_title)

    def covers(self, address: str) -> bool:
        """Return whether the address is in the network."""
        given = ipaddress.ip_address(address)
        given = getattr(given, "ipv4_mapped", None) or given  # as a node that listens on :: sees an address of IPv4
        return self.network is None or given in self.network


@dataclass(frozen=True)
class NodeSettings:
    """Holds the values of the environment variables: `KNEEOA_NODE_FOLDER` is `folder`, and so on.

    Attributes:
        folder: Folder on a local disk for the queue, which holds films until they are answered, and the dead letters.
        ae_title: AE title of the node; associations that call another one are rejected.
        host: Address on which the node listens.
        port: Port on which the node listens.
        callers: Who may send: `AE`, `AE@ADDRESS` or `AE@NETWORK/BITS`, separated by commas. "" is any AE title from
            this machine.
        associations: Most associations at a time.
        pdu: Largest PDU that the node receives, in bytes; 0 is no limit.
        timeout: Seconds without progress after which an association, or a request to the archive, is given up.
        tls_cert: File with the node's certificate and its chain (PEM); "" receives without TLS.
        tls_key: File with the key of that certificate (PEM).
        tls_ca: File with the certificates that sign those of callers and of the archive (PEM). With it, callers need a
            certificate.
        archive: Where answers go: `dicom://AE@HOST:PORT`, `dicoms://AE@HOST:PORT` (TLS), or the address of a DICOMweb
            service. "" keeps them.
        token: Bearer token for that DICOMweb service.
        capture: 1 also sends a secondary capture of each film that gave a knee.
        settle: Seconds after its last film at which a study is graded.
        identifiers: "hashed" or "shown": how pages show study, accession and patient.
        max_bytes: Most bytes of the queue's file. Beyond it the node takes no film; the sender tries again.
        keep_films: Days for which the films of an answered study are kept.
        keep_days: Days for which answers, rows and the audit trail are kept. Earlier studies are compared for so long.
        dead_letters: Most files in the folder `dead`; older ones are deleted.
        dead_bytes: Most bytes of all files in that folder; older ones are deleted.
        dead_days: Days for which a file in that folder is kept.
    """

    folder: str = ""
    ae_title: str = "KNEEOA"
    host: str = "127.0.0.1"
    port: int = 11112
    callers: str = ""
    associations: int = 10
    pdu: int = 131072
    timeout: int = 30
    tls_cert: str = ""
    tls_key: str = ""
    tls_ca: str = ""
    archive: str = ""
    token: str = field(default="", repr=False)
    capture: int = 0
    settle: int = 15
    identifiers: str = "hashed"
    max_bytes: int = 20 * 1024**3
    keep_films: int = 2
    keep_days: int = 365
    dead_letters: int = 100
    dead_bytes: int = 1024**3
    dead_days: int = 30

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> "NodeSettings":
        """Read and check the variables for the node.

        Raises SettingsError for a value that cannot be used, and MissingExtra.
        """
        settings = cls(**read_environ(cls, PREFIX, environ))
        settings.check()
        settings.check_connections()
        return settings

    @classmethod
    def of_node(cls, environ: Mapping[str, str] | None = None) -> "NodeSettings | None":
        """Return the settings, or None for no node, if no folder is set. Raises SettingsError."""
        environ = os.environ if environ is None else environ
        settings = cls(**read_environ(cls, PREFIX, environ))  # a misspelt name, such as that of the folder, is refused
        if not settings.folder:
            return None
        settings.check()
        return settings

    def check(self) -> None:
        """Raise SettingsError for a value that cannot be used."""
        if not self.folder:
            raise SettingsError(f"{PREFIX}FOLDER is not set; give a folder on a local disk for the queue of films.")
        if not AE_TITLE.fullmatch(self.ae_title):
            raise SettingsError(f"{PREFIX}AE_TITLE is {self.ae_title!r}; give 1 to 16 letters, digits or dashes.")
        if not is_host(self.host):
            raise SettingsError(f"{PREFIX}HOST is {self.host!r}; give an address of this machine, such as 127.0.0.1.")
        for name, (least, most) in WITHIN.items():
            if not least <= getattr(self, name) <= most:
                raise SettingsError(
                    f"{PREFIX}{name.upper()} is {getattr(self, name)}; give a number from {least} to {most}."
                )
        if self.identifiers not in IDENTIFIERS:
            raise SettingsError(f"{PREFIX}IDENTIFIERS is {self.identifiers!r}; give {' or '.join(IDENTIFIERS)}.")
        if 0 < self.pdu < LEAST_PDU:
            raise SettingsError(f"{PREFIX}PDU is {self.pdu}; give 0, or at least {LEAST_PDU}.")
        for name in ("tls_cert", "tls_key", "tls_ca"):
            if (path := getattr(self, name)) and not Path(path).is_file():
                raise SettingsError(f"{PREFIX}{name.upper()}: there is no file {path}; give one in PEM.")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise SettingsError(f"{PREFIX}TLS_CERT and {PREFIX}TLS_KEY belong together; give both or none.")
        archive = self.destination
        if self.token and not (archive and archive.url):
            raise SettingsError(
                f"{PREFIX}TOKEN is for a DICOMweb service, and {PREFIX}ARCHIVE names none; give its address, or unset"
                " the token."
            )
        if self.tls_ca and not self.tls_cert and not (archive and (archive.tls or archive.url.startswith("https:"))):
            raise SettingsError(
                f"{PREFIX}TLS_CA is for TLS, and neither the node nor the archive has it; give {PREFIX}TLS_CERT and"
                f" {PREFIX}TLS_KEY, or an archive at dicoms:// or https://, or unset it."
            )
        _ = self.allowed

    def check_connections(self) -> None:
        """Raise SettingsError or MissingExtra if the certificates or the way to the archive cannot be used.

        The node calls this when it starts. The app, which only shows the worklist, may not read the node's key.
        """
        self.certificates.server()
        archive = self.destination
        if archive and archive.tls:
            self.certificates.client()
        if archive and archive.url:
            self.service(archive).check()

    @property
    def certificates(self) -> Certificates:
        """The files for TLS."""
        return Certificates(self.tls_cert, self.tls_key, self.tls_ca)

    def service(self, archive: Destination) -> Service:
        """Return the DICOMweb service of an archive. Raises SettingsError."""
        return Service(archive.url, self.token, self.timeout, self.tls_ca)

    @property
    def dead(self) -> DeadLetters:
        """The folder of dead letters."""
        return DeadLetters(Path(self.folder), self.dead_letters, self.dead_bytes, self.dead_days)

    @property
    def allowed(self) -> tuple[Caller, ...]:
        """Who may send films. Raises SettingsError."""
        if not self.callers:
            return (Caller.parse("*@127.0.0.0/8"), Caller.parse("*@::1"))
        listed = tuple(Caller.parse(one) for one in self.callers.split(",") if one.strip())
        if not listed:
            raise SettingsError(f"{PREFIX}CALLERS is {self.callers!r}, so nobody may send; name a caller, or unset it.")
        return listed

    @property
    def destination(self) -> Destination | None:
        """Where answers go, or None."""
        return Destination.parse(self.archive) if self.archive else None


def _archive(text: str) -> SettingsError:
    return SettingsError(
        f"{PREFIX}ARCHIVE is {USER.sub('//', text.partition('?')[0])!r}; give dicom://AE@HOST:PORT, or the address of a"
        " DICOMweb service such as https://archive.example/dicom-web."
    )
