"""Sets what the package relies on in other libraries and in the system, in one place.

Each machine has its own settings: a keras.json that other software left, the proxy of a hospital, the encoding of a
pipe. A program of the package calls what it needs here before it imports the library. The library itself changes
nothing in the process of its user; it names the setting that is wrong.
"""

import io
import ipaddress
import os
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

KERAS_HOME = Path(__file__).parent / "keras"
"""This folder has our own keras.json: channels last, float32."""
TRAINED_ON = ("tensorflow", "jax", "torch")
"""The networks train on these backends."""
OTHER_KERAS = {
    "KERAS_MAX_EPOCHS": "it would end every training early",
    "KERAS_MAX_STEPS_PER_EPOCH": "it would cut every epoch, and every evaluation too",
    "KERAS_NNX_ENABLED": "it would make other layers of the networks on JAX",
}
"""These variables of Keras change a training. Each has a sentence that says how."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


def prepare_streams() -> None:
    """Make standard output UTF-8 if it goes into a file or a pipe, as every file that the package writes is.

    Windows, and a POSIX system without a locale, encode it in a way that cannot hold every film's name. On a terminal
    the encoding stays, and characters that it lacks become codes. A closed stream becomes one that drops everything.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # a shell may close it (>&-), and pythonw has none
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper):
        return
    if stream.isatty() and stream.encoding.lower() != "utf-8":
        stream.reconfigure(errors="backslashreplace")
    else:
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # a film's name may not be UTF-8


def prepare_keras() -> list[str]:
    """Make Keras use the layout and the float type that the networks are written for, whatever keras.json says.

    Call it before Keras is imported. Where it was imported already, its settings are changed; its backend cannot be.

    Returns:
        A sentence for each of OTHER_KERAS that was set, and that was dropped.
    """
    dropped = [f"{name} is ignored; {reason}." for name, reason in OTHER_KERAS.items() if os.environ.pop(name, "")]
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ["KERAS_HOME"] = str(KERAS_HOME)
    if keras := sys.modules.get("keras"):
        keras.config.set_image_data_format("channels_last")
        keras.config.set_floatx("float32")
        keras.config.set_epsilon(1e-7)
        keras.config.set_dtype_policy("float32")
        keras.config.set_max_epochs(None)
        keras.config.set_max_steps_per_epoch(None)
    return dropped


def wrong_keras_backend() -> str:
    """Return why the backend that KERAS_BACKEND names cannot train a network, or "" if it can."""
    backend = os.environ.get("KERAS_BACKEND") or TRAINED_ON[0]
    if backend not in TRAINED_ON:
        known = ", ".join(TRAINED_ON)
        return f"KERAS_BACKEND is {backend!r}, and the networks train on {known} only; correct or unset it."
    if not find_spec(backend):
        return f"KERAS_BACKEND is {backend}, which is not installed; pip install {backend}, or name one that is."
    return ""


def prepare_network() -> list[str]:
    """Let this process reach its own machine past every proxy, and drop network settings that no client can use.

    Gradio asks its own server at the start, and the processes of a search ask each other. Both end with a traceback
    if a proxy answers for this machine, or if a variable is wrong.

    Returns:
        A sentence for each variable, or host of NO_PROXY, that was dropped.
    """
    wrong = dict(wrong_network_settings())
    for name in wrong:
        del os.environ[name]
    dropped = [f"{reason} It is ignored." for reason in wrong.values()]
    searched = os.environ.get("KERASTUNER_ORACLE_IP", "")
    for name in ("NO_PROXY", "no_proxy"):
        listed = [host.strip() for host in os.environ.get(name, "").split(",") if host.strip()]
        odd = [host for host in listed if not _is_exempt_host(host)]
        dropped += [f"{name} lists {host}; write HOST, HOST:PORT or an address. It is ignored." for host in odd]
        listed = [host for host in listed if host not in odd]
        added = [host for host in (*LOOPBACK, searched) if host and host not in listed]
        os.environ[name] = ",".join(listed if "*" in listed else [*listed, *added])
    return dropped


def wrong_network_settings() -> Iterator[tuple[str, str]]:
    """Yield each variable of a proxy or certificate that no HTTP client here can use, and a sentence that says why."""
    for name in (*PROXIES, *map(str.lower, PROXIES)):
        value = os.environ.get(name, "")
        scheme = value.partition("://")[0].lower() if "://" in value else "http"
        if value and scheme not in PROXY_SCHEMES:
            yield name, f"{name} names a proxy of the kind {scheme}://; write http://HOST:PORT or socks5://HOST:PORT."
        elif value and scheme.startswith("socks") and not find_spec("socksio"):
            yield name, f"{name} names a SOCKS proxy, which needs the package socksio (pip install socksio)."
        elif value and not _names_a_host(value if "://" in value else f"http://{value}"):
            yield name, f"{name} is no address of a proxy; write http://HOST:PORT or socks5://HOST:PORT."
    import ssl  # which loads OpenSSL, and a grading needs neither

    for name, file in (("SSL_CERT_FILE", True), ("SSL_CERT_DIR", False)):
        value = os.environ.get(name, "")
        if value and not (os.path.isfile(value) if file else os.path.isdir(value)):
            yield name, f"{name} is {value}, and there is no such {'file' if file else 'folder'}; correct or unset it."
        elif value and file:
            try:
                ssl.create_default_context(cafile=value)
            except OSError as error:  # ssl.SSLError is one
                reason = getattr(error, "reason", None) or error.strerror
                yield (
                    name,
                    f"{name} is {value}, which is no PEM file of certificates ({reason}); correct or unset it.",
                )


def _names_a_host(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or half a bracket
        return False


def _is_exempt_host(host: str) -> bool:
    """Tell whether httpx can read an item of NO_PROXY. It raises for brackets, and for networks of IPv6."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(re.fullmatch(r"(\w+://)?[^:\[\]]*(:\d+)?", host))
    return True


def lighten_gradio() -> None:
    """Keep Gradio from building a grammar that the demo has no use for: it takes a second and a half at every start.

    Its server for assistants imports jsonschema, which builds a grammar of addresses where rfc3987_syntax is installed,
    as it is beside the tools of a checkout.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def quiet_onnxruntime() -> None:
    """Keep onnxruntime from reporting every process and model to its maker, as it does from version 1.29 on."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def quiet_ray() -> None:
    """Keep Ray from reporting every cluster to its maker. Call it before Ray is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def limit_xet(seconds: int) -> None:
    """Limit Xet's library, which asks the chunk store by itself and would wait two minutes for each answer."""
    answer = f"{max(1, seconds // 3)}s"
    for name, value in (
        ("HF_XET_CLIENT_CONNECT_TIMEOUT", answer),
        ("HF_XET_CLIENT_READ_TIMEOUT", answer),
        ("HF_XET_CLIENT_RETRY_MAX_ATTEMPTS", "1"),
    ):
        os.environ.setdefault(name, value)
