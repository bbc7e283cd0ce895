"""Settings: where each comes from, and that what cannot be honoured stops start-up."""

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from authward import checks as module
from authward.checks import parse_duration
from authward.errors import ConfigurationError
from authward.settings import PREFIX, Settings
from tests.generating import few

SECRET = "m3f0Qn8zR1vXc7LJw2KpTt5yHsBdGa9eUiOoZqWxYk4="
PRODUCTION: dict[str, Any] = {"env": "production", "secret": SECRET}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder and an environment without a word of ours."""
    for name in os.environ:
        if name.upper().startswith(PREFIX) and not name.startswith("AUTHWARD_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(**values: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Settings(**values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"env": "dev"}, "env: 'dev' is none of the choices. Did you mean 'development'?"),
        (
            {"env": "Production"},
            "env: 'Production' is none of the choices. Did you mean 'production'?",
        ),
        (
            {"env": "live"},
            "env: 'live' is none of the choices. Use one of: development, production",
        ),
        ({"csrf": "strct"}, "csrf: 'strct' is none of the choices. Did you mean 'strict'?"),
        (
            {"env": "x\n" + "y" * 99},
            "env: 'x\\x0a"
            + "y" * 38
            + "' is none of the choices. Use one of: development, production",
        ),
        (
            {"algorithm": "ES-256"},
            "algorithm: 'ES-256' is none of the choices. Did you mean 'ES256'?",
        ),
        (
            {"algorithm": "none"},
            "algorithm: 'none' is none of the choices. Use one of: HS256, EdDSA, ES256, RS256",
        ),
        (
            {"report_only": "csrf,cros"},
            "report_only.1: 'cros' is none of the choices. Did you mean 'cors'?",
        ),
    ],
)
def test_a_value_that_is_no_choice(values: dict[str, str], said: str):
    assert refused(**values) == said


def test_the_defaults():
    found = Settings()
    assert found.env == "development"
    assert not found.production
    assert found.database_url == "sqlite:///authward.db"
    assert (found.access_ttl, found.refresh_ttl) == (15 * 60, 7 * 86400)
    assert (found.session_ttl, found.refresh_grace) == (30 * 86400, 10)
    assert (found.host, found.port, found.workers) == ("127.0.0.1", 8000, 1)
    assert found.password_min_length == 8
    assert found.feed_max_lag == 60
    assert found.csrf == "standard"
    assert (found.origins, found.hosts, found.public_url) == ((), (), None)
    assert (found.secret, found.secret_file) == (None, None)


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_an_argument_is_above_the_environment_and_that_above_the_file(monkeypatch, nowhere: Path):
    (nowhere / "authward.toml").write_text('port = 1\nhost = "file"\nissuer = "file"\n')
    monkeypatch.setenv("AUTHWARD_PORT", "2")
    monkeypatch.setenv("AUTHWARD_HOST", "environment")
    found = Settings(port=3)
    assert (found.port, found.host, found.issuer) == (3, "environment", "file")


def test_an_empty_variable_is_none(monkeypatch, nowhere: Path):
    (nowhere / "authward.toml").write_text("port = 1\n")
    monkeypatch.setenv("AUTHWARD_PORT", "")
    monkeypatch.setenv("AUTHWARD_ORIGINS", "")
    assert Settings().port == 1
    assert Settings().origins == ()


def test_names_of_variables_may_be_lower_case(monkeypatch):
    monkeypatch.setenv("authward_port", "9")
    assert Settings().port == 9


def test_a_misspelt_variable_is_not_ignored(monkeypatch):
    monkeypatch.setenv("AUTHWARD_ORIGIN", "https://app.example.com")
    assert refused() == "AUTHWARD_ORIGIN: no such setting. Did you mean AUTHWARD_ORIGINS?"
    monkeypatch.delenv("AUTHWARD_ORIGIN")
    monkeypatch.setenv("AUTHWARD_ZZZZZZ", "1")
    assert refused() == "AUTHWARD_ZZZZZZ: no such setting. See the settings page of the docs"


def test_variables_of_tests_and_of_others_are_left_alone(monkeypatch):
    monkeypatch.setenv("AUTHWARD_TEST_ANYTHING", "1")
    monkeypatch.setenv("AUTHWARDEN_PORT", "1")
    monkeypatch.setenv("PORT", "1")
    assert Settings().port == 8000


def test_a_misspelt_argument_or_line_of_the_file_is_not_ignored(nowhere: Path):
    assert refused(prot=1) == "prot: no such setting"
    (nowhere / "authward.toml").write_text("prot = 1\n[server]\nport = 2\n")
    assert refused() == "prot: no such setting\nserver: no such setting"


@pytest.mark.parametrize(
    "content", [b"port = ", b"port 1", b"\xff\xfe", b"port = 1\nport = 2"], ids=repr
)
def test_a_broken_file_is_named(nowhere: Path, content: bytes):
    (nowhere / "authward.toml").write_bytes(content)
    assert refused().startswith("authward.toml: cannot be read: ")


def test_every_wrong_setting_is_told_at_once():
    text = refused(port="x", workers=0, csrf="off")
    assert [line.partition(":")[0] for line in text.splitlines()] == ["csrf", "workers", "port"]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 90),
        (" 90 ", 90),
        ("500ms", 0.5),
        ("30s", 30),
        ("15m", 900),
        ("1h", 3600),
        ("7d", 604_800),
        ("2w", 1_209_600),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_durations(written, seconds):
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        *("", "x", "m", "15 m", "-1s", "1.5h", "15M", "1h30m", "1e3"),
        *("²", "٣d", "9" * 13, "9" * 5000 + "ms"),
    ],
    ids=lambda written: repr(written)[:20],
)
def test_what_is_no_duration_says_how_to_write_one(written: str):
    assert "Write it like '15m', '7d' or '30s'" in refused(access_ttl=written)


@few
@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_value_error(written: str):
    with contextlib.suppress(ValueError):
        assert parse_duration(written) >= 0  # type: ignore[operator]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1, "0", "11y", None])
@pytest.mark.parametrize("name", ["access_ttl", "refresh_ttl", "session_ttl"])
def test_a_lifetime_is_a_finite_number(name: str, value):
    assert f"{name}: " in refused(**{name: value})


def test_no_lifetime_is_above_ten_years():
    assert Settings(session_ttl="3650d").session_ttl == 3650 * 86400
    assert "session_ttl: " in refused(session_ttl="3651d")
    assert "refresh_ttl: " in refused(refresh_ttl="3651d", session_ttl="3650d")


def test_a_long_access_token_needs_its_dangerous_name():
    assert Settings(access_ttl="1h").access_ttl == 3600
    assert "dangerously_long_access_tokens" in refused(access_ttl="61m")
    found = Settings(access_ttl="61m", dangerously_long_access_tokens=True)
    assert found.access_ttl == 3660


@pytest.mark.parametrize(
    ("values", "cure"),
    [
        ({"access_ttl": "10m", "refresh_ttl": "10m"}, "access_ttl: must be shorter"),
        ({"access_ttl": "10m", "refresh_ttl": "9m"}, "access_ttl: must be shorter"),
        ({"refresh_ttl": "8d", "session_ttl": "7d"}, "refresh_ttl: must not outlive session_ttl"),
        (
            {"access_ttl": "30s", "refresh_ttl": "60s", "refresh_grace": "31s"},
            "refresh_grace: must be at most half",
        ),
        ({"refresh_grace": "301s"}, "refresh_grace: "),
        ({"refresh_grace": -1}, "refresh_grace: "),
    ],
)
def test_lifetimes_fit_each_other(values: dict[str, Any], cure: str):
    assert cure in refused(**values)


def test_the_tightest_lifetimes_that_fit():
    found = Settings(access_ttl=1, refresh_ttl=60, session_ttl=60, refresh_grace=30)
    assert found.refresh_grace == 30
    assert Settings(refresh_grace=0).refresh_grace == 0


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://a.example", ("https://a.example",)),
        (" https://a.example , HTTP://B.example:80,,", ("https://a.example", "http://b.example")),
        (["https://a.example", "https://A.example:443"], ("https://a.example",)),
        ("", ()),
    ],
)
def test_origins_are_a_list_parsed_once(given, read: tuple[str, ...]):
    assert Settings(origins=given).origins == read


def test_origins_from_the_environment_and_the_file(monkeypatch, nowhere: Path):
    (nowhere / "authward.toml").write_text('origins = ["https://file.example"]\n')
    assert Settings().origins == ("https://file.example",)
    monkeypatch.setenv("AUTHWARD_ORIGINS", "https://a.example,https://b.example")
    assert Settings().origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize("origin", ["*", "null", "a.example", "https://a.example/x", "ftp://a.b"])
def test_a_wrong_origin_stops_start_up(origin: str):
    assert refused(origins=["https://good.example", origin]).startswith("origins: '")


def test_the_public_url_is_an_origin():
    stated = Settings(**PRODUCTION, public_url="https://API.example.com/")
    assert stated.public_url == "https://api.example.com"
    assert refused(public_url="https://api.example.com/auth").startswith("public_url: ")
    assert refused(public_url="api.example.com").startswith("public_url: ")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user@host/name",
        "postgresql://user:p%40ss@[::1]:5432/name?ssl=require",
        "sqlite:///authward.db",
        "sqlite:////var/lib/authward.db",
        "sqlite:///",
    ],
)
def test_known_databases(url: str):
    assert Settings(database_url=url).database_url == url


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("mysql://host/name", "scheme 'mysql' is not known"),
        ("postgres://host/name", "Use sqlite:///authward.db or postgresql://user@host/name"),
        ("postgresql+asyncpg://host/name", "scheme 'postgresql+asyncpg' is not known"),
        ("", "scheme '' is not known"),
        ("authward.db", "scheme 'authward.db' is not known"),
        ("sqlite://authward.db", "Did you mean 'sqlite:///authward.db'?"),
        ("sqlite:authward.db", "Did you mean 'sqlite:///authward.db'?"),
        ("sqlite://", "Did you mean 'sqlite:///authward.db'?"),
        ("sqlite:///:memory:", "Name a file"),
    ],
)
def test_an_unknown_database_is_refused_with_the_cure(url: str, cure: str):
    assert cure in refused(database_url=url)


def test_a_password_in_a_wrong_database_url_is_not_told():
    assert "hunter2" not in refused(database_url="mysql://root:hunter2@host/name")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///authward.db", "authward.db"),
        ("sqlite:///data/auth.db?mode=rw", "data/auth.db"),
        ("sqlite:///", "authward.db"),
    ],
)
def test_the_sqlite_file(nowhere: Path, url: str, path: str):
    assert Settings(database_url=url).sqlite_path == nowhere / path


def test_the_sqlite_file_elsewhere_and_none_of_postgresql():
    assert Settings(database_url="sqlite:////var/lib/a.db").sqlite_path == Path("/var/lib/a.db")
    assert Settings(database_url="postgresql://host/name").sqlite_path is None


def test_a_secret_is_never_printed(monkeypatch):
    found = Settings(secret=SECRET)
    assert found.secret is not None
    assert found.secret.get_secret_value() == SECRET
    assert SECRET not in repr(found) + str(found) + str(found.model_dump())
    # What is wrong elsewhere does not print it either.
    monkeypatch.setenv("AUTHWARD_SECRET", SECRET)
    assert SECRET not in refused(port="x")
    assert "4242" not in refused(secret=4242_4242)
    assert SECRET not in refused(secret_file="/run/secret")


def test_one_secret_or_its_file_not_both():
    assert refused(secret=SECRET, secret_file="/run/secret").startswith("secret: given twice")
    assert Settings(secret_file="/run/secret").secret_file == Path("/run/secret")


def test_production_needs_a_secret(monkeypatch):
    text = refused(env="production")
    assert "secret: missing" in text
    assert "openssl rand -base64 32" in text
    monkeypatch.setenv("AUTHWARD_SECRET", "")
    assert "secret: missing" in refused(env="production")
    assert Settings(env="production", secret_file="/run/secret").production
    assert Settings(**PRODUCTION).production


def test_production_is_not_debugged():
    assert refused(**PRODUCTION, debug=True).startswith("debug: must be off")
    assert Settings(debug=True).debug


@pytest.mark.parametrize("name", ["origins", "public_url"])
def test_production_is_https(name: str):
    Settings(**{name: "http://localhost:8000"})
    Settings(**PRODUCTION, **{name: "https://a.example"})
    text = refused(**PRODUCTION, **{name: "http://a.example"})
    assert text == f"{name}: 'http://a.example' is plain http, and ENV is production. Use https"
    Settings(**PRODUCTION, **{name: "http://a.example"}, dangerously_plain_http=True)


@pytest.mark.parametrize(
    ("host", "cure"),
    [
        ("*", "Names are compared whole. Write each out"),
        ("*.example.com", "Names are compared whole. Write each out"),
        ("https://api.example.com/x", "Did you mean 'api.example.com'?"),
        ("::1", "Did you mean '[::1]'?"),
        ("not a host", "Write it like 'api.example.com', other alphabets as xn--…"),
        ("-a.example.com", "Write it like 'api.example.com', other alphabets as xn--…"),
    ],
)
def test_a_host_that_nobody_can_name_stops_production(host: str, cure: str):
    text = refused(**PRODUCTION, hosts=[host])
    assert text == f"hosts: '{host}' is not a host. {cure}"


def test_hosts_of_production():
    named = ["api.example.com:8000", "API.example.com.", "10.0.0.1", "[::1]", "my_api"]
    assert Settings(**PRODUCTION, hosts=named).hosts == tuple(named)


@pytest.mark.parametrize("given", ['["https://a.example"]', "https://a.example;https://b.example"])
def test_a_list_of_another_kind_is_told_how_lists_are_written(
    monkeypatch: pytest.MonkeyPatch, given: str
):
    monkeypatch.setenv("AUTHWARD_ORIGINS", given)
    text = refused()
    assert text == f"origins: '{given}' is no list. Write commas between, without quotes: 'a, b'"


@pytest.mark.parametrize(
    "stated",
    [
        {"public_url": "https://api.example.com"},
        {"hosts": ["localhost", "api.example.com"]},
        {"hosts": ["not a host"]},
    ],
)
def test_development_never_serves_the_world(stated: dict[str, Any]):
    text = refused(**stated)
    assert text.startswith(f"{next(iter(stated))}: ")
    assert "AUTHWARD_ENV=production" in text
    Settings(public_url="http://localhost:8000", hosts=["127.0.0.1", "app.localhost"])


@pytest.mark.parametrize("env", ["prod", "Production", "PRODUCTION", "", "test"])
def test_an_environment_is_spelt_out(env: str):
    assert refused(env=env).startswith("env: ")


def test_documentation_is_for_development_unless_asked_for():
    assert Settings().serve_docs
    assert not Settings(docs=False).serve_docs
    assert not Settings(**PRODUCTION).serve_docs
    assert Settings(**PRODUCTION, docs=True).serve_docs


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password_min_length", 7),
        ("password_min_length", 65),
        ("port", -1),
        ("port", 65_536),
        ("workers", 0),
        ("workers", 257),
        ("hashing_threads", 0),
        ("hashing_queue", 0),
        ("feed_interval", 2),
        ("feed_max_lag", 1),
        ("issuer", ""),
        ("audience", "x" * 201),
        ("log_format", "xml"),
        ("csrf", "off"),
        ("token_email", "perhaps"),
    ],
)
def test_bounds(name: str, value: object):
    assert refused(**{name: value}).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("feed_max_lag", "30m", "is too much. Take 10m at most"),
        ("feed_max_lag", 1, "is too little. Take 2s at least"),
        ("feed_interval", "5s", "is too much. Take 1s at most"),
        ("feed_interval", "1ms", "is too little. Take 50ms at least"),
        ("refresh_ttl", "9999d", "is too much. Take 3650d at most"),
        ("refresh_ttl", 0, "is too little. Take 1m at least"),
        ("refresh_grace", -1, "is too little. Take 0 at least"),
        ("refresh_grace", "1h", "is too much. Take 5m at most"),
        ("audit_retention", "1h", "is too little. Take 1d at least"),
        ("port", 70_000, "is too much. Take 65535 at most"),
        ("port", "web", "is no whole number. Write it in digits"),
        ("debug", "maybe", "is neither true nor false"),
        ("issuer", "", "is empty. Leave it out, or write a word"),
        ("issuer", "x" * 201, "is too long. Take 200 characters at most"),
        ("proxy_header", "X Real", "'X Real' is no header's name. Take 'x-forwarded-for' or"),
    ],
)
def test_a_value_out_of_bounds_is_told_what_to_take(name: str, value: object, said: str):
    assert refused(**{name: value}).startswith(f"{name}: {said}")


@pytest.mark.parametrize(
    ("origin", "cure"),
    [
        ("https://*.example.com", "CorsPolicy(subdomains_of=['https://example.com'])"),
        ("https://münchen.de", "other alphabets as xn--…"),
    ],
)
def test_origins_that_people_write(origin: str, cure: str):
    told = refused(origins=origin)
    assert told.startswith(f"origins: '{origin}' is not an origin")
    assert cure in told


def mounts(monkeypatch, folder: Path, *lines: str) -> None:
    table = folder / "mounts"
    table.write_text("\n".join(["/dev/sda1 / ext4 rw 0 0", "", "broken", *lines]))
    monkeypatch.setattr(module, "MOUNTS", table)


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "9p", "fuse.sshfs"])
def test_sqlite_on_a_network_path_stops_a_production_start(monkeypatch, nowhere: Path, kind: str):
    mounts(monkeypatch, nowhere, f"nas:/export {nowhere}/data {kind} rw 0 0")
    on_nas = f"sqlite:///{nowhere}/data/deep/auth.db"
    assert "network file system" in refused(**PRODUCTION, database_url=on_nas)
    Settings(database_url=on_nas)
    Settings(**PRODUCTION, database_url=f"sqlite:///{nowhere}/database/auth.db")
    Settings(**PRODUCTION, database_url="postgresql://host/name")


def test_the_innermost_and_latest_mount_counts(monkeypatch, nowhere: Path):
    inner = [
        f"nas:/export {nowhere} nfs rw 0 0",
        f"/dev/sdb1 {nowhere}/local ext4 rw 0 0",
        f"tmpfs {nowhere}/over tmpfs rw 0 0",
        f"nas:/two {nowhere}/over nfs4 rw 0 0",
    ]
    mounts(monkeypatch, nowhere, *inner)
    Settings(**PRODUCTION, database_url=f"sqlite:///{nowhere}/local/auth.db")
    assert "network" in refused(**PRODUCTION, database_url=f"sqlite:///{nowhere}/over/auth.db")
    assert "network" in refused(**PRODUCTION, database_url=f"sqlite:///{nowhere}/auth.db")


def test_neither_a_link_nor_a_space_hides_a_network_path(monkeypatch, nowhere: Path):
    shared = nowhere / "my data"
    shared.mkdir()
    (nowhere / "link").symlink_to(shared)
    mounts(monkeypatch, nowhere, f"nas:/export {nowhere}/my\\040data cifs rw 0 0")
    for path in (shared / "auth.db", nowhere / "link" / "auth.db"):
        assert "network" in refused(**PRODUCTION, database_url=f"sqlite:///{path}")


def test_a_system_without_a_list_of_mounts_passes(monkeypatch, nowhere: Path):
    monkeypatch.setattr(module, "MOUNTS", nowhere / "absent")
    Settings(**PRODUCTION)


def test_how_often_keys_rotate():
    assert Settings().key_rotation is None
    for text, seconds in (("off", None), (" None", None), ("30d", 30 * 86400), ("3600", 3600)):
        assert Settings(key_rotation=text).key_rotation == seconds
    for text, said in (("1m", "Take 1h at least"), ("monthly", "not a duration")):
        assert said in refused(key_rotation=text)


def test_the_secret_before_is_another():
    assert Settings(secret=SECRET, secret_previous=SECRET[::-1]).secret_previous is not None
    assert "secret_previous: is the secret itself. Set" in refused(
        secret=SECRET, secret_previous=f" {SECRET}"
    )
