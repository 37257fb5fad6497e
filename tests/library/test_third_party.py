"""No setting that other software or the owner has made on a machine changes an answer or ends a program."""

import io
import json
import os
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from kneeoa_hub import third_party
from kneeoa_hub.cli import main
from kneeoa_hub.errors import SettingsError
from kneeoa_hub.settings import Settings, read_environ
from tuning.__main__ import main as tuning_main

from ..support.hub_people import REPO, Person

OTHER_KERAS = {"floatx": "float16", "epsilon": 1e-3, "backend": "torch", "image_data_format": "channels_first"}
"""What other software may leave in ~/.keras/keras.json; layers would take rows for channels."""


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("KNEEOA_API_KEY", "KNEEOA_API_KEYS"),
        ("KNEEOA_TRUSTED_HOST", "KNEEOA_TRUSTED_HOSTS"),
        ("KNEEOA_RATELIMIT", "KNEEOA_RATE_LIMIT"),
        ("KNEEOA_MAX_BYTE", "KNEEOA_MAX_BYTES"),
        ("kneeoa_api_keys", "KNEEOA_API_KEYS"),
    ],
)
def test_a_misspelt_setting_is_an_error_with_the_nearest_name(name, nearest):
    with pytest.raises(SettingsError, match=f"^{name} is no setting of kneeoa_hub; did you mean {nearest}"):
        Settings.from_environ({name: "1"})


def test_a_setting_unlike_any_other_is_an_error_with_all_names():
    with pytest.raises(SettingsError, match="there are KNEEOA_MODEL, KNEEOA_REVISION"):
        Settings.from_environ({"KNEEOA_QQ": ""})


@pytest.mark.parametrize("service", ["KNEEOA", "KNEEOA_WEB", "KNEEOA_NODE"])
def test_variables_that_kubernetes_sets_for_a_service_are_no_settings(service):
    from flask_app.node.settings import NodeSettings

    beside = {
        f"{service}_PORT": "tcp://10.0.0.7:8000",
        f"{service}_PORT_8000_TCP": "tcp://10.0.0.7:8000",
        f"{service}_PORT_8000_TCP_ADDR": "10.0.0.7",
        f"{service}_PORT_8000_TCP_PORT": "8000",
        f"{service}_PORT_8000_TCP_PROTO": "tcp",
        f"{service}_SERVICE_HOST": "10.0.0.7",
        f"{service}_SERVICE_PORT": "8000",
        f"{service}_SERVICE_PORT_HTTP": "8000",
    }
    assert Settings.from_environ(beside) == Settings()
    assert read_environ(NodeSettings, "KNEEOA_NODE_", beside) == {}
    with pytest.raises(SettingsError, match="KNEEOA_WEB_PORT is no setting"):
        Settings.from_environ({"KNEEOA_WEB_PORT": "8000"})


def test_every_command_stops_at_a_misspelt_setting(monkeypatch, capsys):
    monkeypatch.setenv("KNEEOA_THREAD", "2")
    assert main(["list"]) == 2
    assert "did you mean KNEEOA_THREADS?" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("form", ["--csv", "--json", "--workers=1"])
def test_a_pipe_of_another_encoding_gets_utf8_and_every_film(films, tmp_path, monkeypatch, form):
    """As on Windows, where redirected output has the code page of the country."""
    for name in ("a.png", "kolano_Łukasz.png", "z.png"):
        (tmp_path / name).write_bytes(films["mild"].read_bytes())
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "cp1252"))
    assert main(["grade", str(tmp_path), form]) == 0
    text = out.getvalue().decode("utf-8")
    assert ("kolano_\\u0141ukasz.png" if form == "--json" else "kolano_Łukasz.png") in text
    assert text.count(".png") == 3


def test_a_closed_output_ends_no_program(films, monkeypatch):
    for command in (["grade", str(films["mild"])], ["list"]):
        monkeypatch.setattr(sys, "stdout", None)
        assert main(command) == 0
        sys.stdout.close()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:1080", "names a proxy of the kind socks://"),
        ("https_proxy", "socks5://127.0.0.1:1080", "needs the package socksio"),
        ("HTTPS_PROXY", "foo:bar", "is no address of a proxy"),
        ("ALL_PROXY", "http://[::1", "is no address of a proxy"),
        ("ALL_PROXY", "http://", "is no address of a proxy"),
        ("SSL_CERT_FILE", "/nowhere.pem", "there is no such file"),
        ("SSL_CERT_DIR", "/nowhere", "there is no such folder"),
        ("SSL_CERT_FILE", __file__, "is no PEM file of certificates"),
    ],
)
def test_a_network_setting_that_no_client_can_use_is_named_and_a_program_goes_on_without_it(
    monkeypatch, name, value, says
):
    monkeypatch.setattr(os, "environ", {name: value, "HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "pacs.example"})
    ((wrong, reason),) = third_party.wrong_network_settings()
    assert wrong == name
    assert says in reason
    assert third_party.prepare_network() == [f"{reason} It is ignored."]
    assert os.environ["HTTP_PROXY"] == "http://proxy:3128"
    assert os.environ["NO_PROXY"] == "pacs.example,localhost,127.0.0.1,::1"
    assert name not in os.environ


def test_a_host_of_no_proxy_that_a_client_cannot_read_is_named_and_left_out(monkeypatch):
    monkeypatch.setattr(os, "environ", {"NO_PROXY": "10.0.0.0/8,[::1],fd00::/8,pacs:b,.example:80,fe80::1"})
    warnings = third_party.prepare_network()
    assert [sentence.split(";")[0] for sentence in warnings] == [
        f"NO_PROXY lists {host}" for host in ("[::1]", "fd00::/8", "pacs:b")
    ]
    assert os.environ["NO_PROXY"] == "10.0.0.0/8,.example:80,fe80::1,localhost,127.0.0.1,::1"


class ServerOfNobody:
    """A server with an untrusted certificate, as that of a proxy that inspects the traffic."""

    def __init__(self, folder: Path):
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        subprocess.run([*made, *named, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return f"https://localhost:{self.server.server_port}"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "kind", "says"),
    [
        (
            {"SSL_CERT_FILE": "/nowhere.pem"},
            "SettingsError",
            "SSL_CERT_FILE is /nowhere.pem, and there is no such",
        ),
        ({"ALL_PROXY": "socks://127.0.0.1:1"}, "SettingsError", "ALL_PROXY names a proxy of the kind socks://"),
        ({"HF_TOKEN": "hf_ä"}, "HubDenied", "The token in HF_TOKEN"),
        ({}, "HubUnreachable", "is not trusted (self-signed certificate)"),
    ],
    ids=["no certificate file", "socks", "token", "company proxy"],
)
def test_an_error_of_a_pull_explains_what_the_network_of_a_hospital_does(tmp_path, variables, kind, says):
    with ServerOfNobody(tmp_path) as address:
        person = Person(tmp_path / "home", address)
        person.environment |= variables
        said = person.does("pull", REPO)
    assert said["error"] == kind, said
    assert says in said["message"]
    assert variables or "give that file's path in SSL_CERT_FILE" in said["message"]


@pytest.mark.keras
def test_keras_gets_the_settings_of_the_networks_whatever_was_set_before():
    import keras

    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("float16")
    keras.config.set_max_epochs(1)
    keras.config.set_max_steps_per_epoch(1)
    assert third_party.prepare_keras() == []
    layer = keras.layers.Conv2D(2, 3)
    assert (layer.data_format, layer.dtype_policy.name) == ("channels_last", "float32")
    assert (keras.config.max_epochs(), keras.config.max_steps_per_epoch()) == (None, None)
    assert os.environ["KERAS_HOME"] == str(third_party.KERAS_HOME)
    kept = json.loads((third_party.KERAS_HOME / "keras.json").read_text("utf-8"))
    assert kept["image_data_format"] == "channels_last"


@pytest.mark.keras
def test_variables_of_keras_that_cut_a_training_are_named_and_dropped_and_its_file_is_not_read(tmp_path):
    """In a process of its own, since Keras reads them once. It cannot even be imported with these values."""
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(OTHER_KERAS), "utf-8")
    odd = {
        "KERAS_MAX_EPOCHS": "few",
        "KERAS_MAX_STEPS_PER_EPOCH": "1",
        "KERAS_NNX_ENABLED": "1",
        "KERAS_BACKEND": "jax",
    }
    code = (
        "from tuning.run import console; console.prepare(); import keras; c = keras.config;"
        " print(c.max_steps_per_epoch(), c.floatx(), c.image_data_format(), c.backend())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_HOME"}
    environment |= odd | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "None float32 channels_last jax\n"), done.stderr
    assert [line.split(" ")[0] for line in done.stderr.splitlines() if "is ignored; it would" in line] == list(odd)[:3]


@pytest.mark.keras
@pytest.mark.parametrize(
    ("backend", "says"),
    [
        ("theano", "KERAS_BACKEND is 'theano', and the networks train on tensorflow, jax, torch only"),
        ("TensorFlow", "KERAS_BACKEND is 'TensorFlow'"),
        ("torch", "KERAS_BACKEND is torch, which is not installed"),
    ],
)
def test_a_backend_that_keras_cannot_use_is_one_error(monkeypatch, capsys, tmp_path, backend, says):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(third_party, "find_spec", lambda _: None)
    assert tuning_main(["audit", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {says}")
    assert len(said.splitlines()) == 1
