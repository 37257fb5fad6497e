"""Sets up the node's TLS, as a server to senders, and as a client of the archive."""

import ssl
from dataclasses import dataclass

from kneeoa_hub.errors import SettingsError


@dataclass(frozen=True)
class Certificates:
    """Names files in PEM. "" means that there is none.

    Attributes:
        certificate: The node's certificate and its chain.
        key: The key of that certificate.
        authorities: The certificates that sign those of callers and of the archive.
    """

    certificate: str
    key: str
    authorities: str

    def server(self) -> ssl.SSLContext | None:
        """Return the TLS of the receiver, or None without a certificate.

        Raises SettingsError for a file of another kind.

        With authorities, a caller needs a certificate.
        """
        if not self.certificate:
            return None
        context = self._loaded(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
        if self.authorities:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self) -> ssl.SSLContext:
        """Return the TLS of the sender. Raises SettingsError for a file of another kind."""
        return self._loaded(ssl.create_default_context())

    def _loaded(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key, password=_no_password)
            if self.authorities:
                context.load_verify_locations(self.authorities)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise SettingsError(
                "KNEEOA_NODE_TLS_CERT, KNEEOA_NODE_TLS_KEY or KNEEOA_NODE_TLS_CA can't be used"
                f" ({type(error).__name__}); give files in PEM that this user can read, and a key without a password."
            ) from None
        return context


def _no_password() -> str:
    """Keep OpenSSL from asking for the password of a key on the terminal, where it would wait for ever."""
    raise ValueError("the key has a password")
