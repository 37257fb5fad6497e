"""Turns what the Hub's client and the network raise into the package's own errors, which say what a person can do."""

import json
import ssl
from typing import TYPE_CHECKING

from ..errors import (
    HubConflict,
    HubDenied,
    HubError,
    HubNotFound,
    HubUnreachable,
    KneeOAError,
    OutputError,
    SettingsError,
)
from ..third_party import wrong_network_settings

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError


def explain(error: Exception, repo: str) -> KneeOAError:
    """Return this package's error for an exception of the Hub's client, or of what lies below it, about `repo`."""
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        FileMetadataError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
    )

    hub = constants.ENDPOINT
    error = _innermost(error)
    if isinstance(error, KneeOAError):
        return error
    if isinstance(error, LocalTokenNotFoundError):
        return HubDenied(f"A push to {repo} needs a token with write access; give token=, or set HF_TOKEN.")
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, HfHubHTTPError):
        return _of_status(error, repo, hub)
    untrusted = _untrusted_certificate(error)
    if untrusted or not isinstance(error, httpx2.HTTPError):
        wrong = " ".join(reason for _, reason in wrong_network_settings())
        if wrong:
            return SettingsError(f"{hub} can't be asked. {wrong}")
    if untrusted:
        return HubUnreachable(
            f"The certificate of {hub} is not trusted ({untrusted}). Where a proxy of your organisation answers in the"
            " Hub's place, ask IT for its CA certificate as a PEM file, and give that file's path in SSL_CERT_FILE."
        )
    if isinstance(error, httpx2.InvalidURL | ImportError):
        return HubUnreachable(f"{hub} can't be asked ({error}); check HF_ENDPOINT and the proxy settings.")
    if isinstance(error, UnicodeEncodeError):
        return HubDenied(
            "The token in HF_TOKEN, or of the stored login, contains characters that no token has; copy it again from"
            " the Hub's settings."
        )
    # The client raises the last three types where JSON lacks what a Hub answers.
    if isinstance(error, FileMetadataError | AttributeError | KeyError | TypeError):
        return HubUnreachable(f"{hub} does not answer like a Hub; check HF_ENDPOINT and the proxy settings.")
    if isinstance(error, httpx2.HTTPError | ConnectionError | LocalEntryNotFoundError | json.JSONDecodeError):
        return HubUnreachable(
            f"{hub} gave no proper answer ({type(error).__name__}: {error}); check the network and HF_ENDPOINT, and try"
            " again."
        )
    if isinstance(error, OSError) and error.errno:
        return OutputError(
            f"{error.filename or 'The cache'} can't be written ({error.strerror}); make room or give access, or set"
            " HF_HOME or cache_dir=."
        )
    if isinstance(error, RuntimeError):  # Xet's library raises it
        return HubUnreachable(
            f"The chunk store of {hub} gave nothing of {repo} ({error}); try again later, or without it:"
            " HF_HUB_DISABLE_XET=1."
        )
    if isinstance(error, ValueError):  # of an address or a proxy that cannot be parsed
        return SettingsError(f"{hub!r} can't be asked ({error}); check HF_ENDPOINT and the proxy settings.")
    return HubError(f"{repo}: {error}")


def _untrusted_certificate(error: BaseException | None) -> str:
    """Return why a server's certificate was not trusted, or "" if something else failed."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return ""


def _innermost(error: Exception) -> Exception:
    """Unwrap the RuntimeError in which the client hides the failure of an upload."""
    import httpx2

    inner = error
    while isinstance(inner, RuntimeError) and isinstance(inner.__cause__, Exception):
        inner = inner.__cause__
    return inner if isinstance(inner, KneeOAError | httpx2.HTTPError | OSError) else error


def _of_status(error: "HfHubHTTPError", repo: str, hub: str) -> KneeOAError:
    """Return the error for a response whose HTTP status is not a success."""
    from huggingface_hub.errors import GatedRepoError

    status = error.response.status_code
    answer = f"{status} {error.server_message or error.response.reason_phrase}"
    if isinstance(error, GatedRepoError):
        return HubDenied(
            f"{repo} requires that its terms are accepted: accept them on {hub}/{repo}, then give the token of that"
            " account."
        )
    if status in (401, 403):
        return HubDenied(
            f"{hub} denies access to {repo} ({answer}). Check the name. For a private repo or a push, give token= or"
            " set HF_TOKEN, to a token that may read or write the repo."
        )
    if status == 404:
        return HubNotFound(
            f"{hub} has no repo {repo} that this account can see ({answer}); check the name, and the token of a private"
            " repo."
        )
    if status in (409, 412):
        return HubConflict(f"{repo} was changed by someone else meanwhile ({answer}); look at it, and push again.")
    if status not in (408, 429) and status < 500:
        return HubError(f"{hub} refused {repo}: {answer}.")
    return HubUnreachable(f"{hub} is out of order or busy ({answer}); try again later.")
