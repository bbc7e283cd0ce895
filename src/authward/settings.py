"""Settings, frozen: from arguments, `AUTHWARD_*`, then `authward.toml`.

What cannot be honoured stops start-up with the cure.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from authward.checks import (
    check_database_url,
    check_redis_url,
    explain,
    lies_on_network,
    parse_duration,
    parse_duration_or_off,
    parse_limit,
    refuse_unknown_variables,
    split,
)
from authward.core.clients import ClientRule, check_header
from authward.core.hosts import configured_host, host_name, is_loopback
from authward.core.keys import Algorithm
from authward.core.limits import HeaderStyle, Limit
from authward.core.origins import configured_origin
from authward.errors import ConfigurationError

PREFIX = "AUTHWARD_"
TOML = "authward.toml"
MAX_TTL = 3650 * 86400
MAX_GRACE = 300
MAX_FEED_LAG = 600
MOST_IN_DATABASE = 1000
"""Of a limit that is counted there, one row a key."""


Duration = Annotated[float, BeforeValidator(parse_duration), Field(allow_inf_nan=False)]
DurationOrOff = Annotated[float | None, BeforeValidator(parse_duration_or_off)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]
Rate = Annotated[Limit | None, NoDecode, BeforeValidator(parse_limit)]
Protection = Literal["cors", "csrf", "rate_limit"]


class Settings(BaseSettings):
    """Every setting, with its default. Durations in seconds, or text like `15m`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        toml_file=TOML,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    env: Literal["development", "production"] = "development"
    debug: bool = False
    database_url: str = "sqlite:///authward.db"
    redis_url: str | None = None
    secret: SecretStr | None = None
    secret_file: Path | None = None
    secret_previous: SecretStr | None = None
    algorithm: Algorithm = "HS256"
    key_rotation: DurationOrOff = Field(default=None, ge=3600, le=MAX_TTL)
    public_url: str | None = None
    origins: Names = ()
    hosts: Names = ()
    trusted_proxies: Names = ()
    proxy_header: str = "X-Forwarded-For"
    ipv6_prefix: int = Field(default=56, ge=32, le=128)
    csrf: Literal["standard", "strict"] = "standard"
    rate_limit: Rate = Limit(100, 900)
    auth_rate_limit: Rate = Limit(5, 900)
    rate_limit_clients: int = Field(default=100_000, ge=100, le=10_000_000)
    rate_limit_headers: HeaderStyle = "draft-6"
    body_limit: int = Field(default=1024 * 1024, ge=1024)
    report_only: Annotated[tuple[Protection, ...], NoDecode, BeforeValidator(split)] = ()
    access_ttl: Duration = Field(default=900, ge=1)
    refresh_ttl: Duration = Field(default=7 * 86400, ge=60, le=MAX_TTL)
    refresh_grace: Duration = Field(default=10, ge=0, le=MAX_GRACE)
    session_ttl: Duration = Field(default=30 * 86400, ge=60, le=MAX_TTL)
    issuer: str = Field(default="authward", min_length=1, max_length=200)
    audience: str = Field(default="authward", min_length=1, max_length=200)
    token_email: bool = True
    password_min_length: int = Field(default=8, ge=8, le=64)
    hashing_threads: int = Field(default=2, ge=1, le=64)
    hashing_queue: int = Field(default=64, ge=1, le=4096)
    feed_interval: Duration = Field(default=0.25, ge=0.05, le=1)
    feed_max_lag: Duration = Field(default=60, ge=2, le=MAX_FEED_LAG)
    audit_retention: DurationOrOff = Field(default=None, ge=86400, le=MAX_TTL)
    docs: bool | None = None
    log_format: Literal["console", "json"] | None = None
    drain: Duration = Field(default=0, ge=0, le=300)
    workers: int = Field(default=1, ge=1, le=256)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    dangerously_long_access_tokens: bool = False
    dangerously_plain_http: bool = False

    def __init__(self, **values: Any) -> None:
        refuse_unknown_variables(os.environ, PREFIX, type(self).model_fields)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(explain(error, _durations(type(self)))) from None
        except (ValueError, OSError) as error:
            raise ConfigurationError(f"{TOML}: cannot be read: {error}") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def production(self) -> bool:
        return self.env == "production"

    @property
    def serve_docs(self) -> bool:
        """Whether /docs and /openapi.json answer: by default in development only."""
        return self.docs if self.docs is not None else not self.production

    @field_validator("origins")
    @classmethod
    def _origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        below = "Authward(cors=CorsPolicy(subdomains_of=[{}]))"
        return tuple(
            dict.fromkeys(configured_origin(value, "origins", below=below) for value in values)
        )

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str | None) -> str | None:
        return None if value is None else configured_origin(value.rstrip("/"), "public_url")

    @field_validator("proxy_header")
    @classmethod
    def _proxy_header(cls, value: str) -> str:
        return check_header("proxy_header", value)

    @field_validator("database_url")
    @classmethod
    def _database_url(cls, value: str) -> str:
        return check_database_url(value)

    @property
    def clients(self) -> ClientRule:
        """How a client is told from its socket and the proxies before us. Raises
        ConfigurationError.
        """
        return ClientRule(self.trusted_proxies, self.proxy_header, self.ipv6_prefix)

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, value: str | None) -> str | None:
        return None if value is None else check_redis_url(value)

    @model_validator(mode="after")
    def _safe_together(self) -> Self:
        if self.access_ttl > 3600 and not self.dangerously_long_access_tokens:
            raise ConfigurationError(
                "access_ttl: above 1h a stolen token lives too long. "
                "Lower it, or set dangerously_long_access_tokens"
            )
        if self.access_ttl >= self.refresh_ttl:
            raise ConfigurationError("access_ttl: must be shorter than refresh_ttl")
        if self.refresh_ttl > self.session_ttl:
            raise ConfigurationError("refresh_ttl: must not outlive session_ttl")
        if self.refresh_grace * 2 > self.refresh_ttl:
            raise ConfigurationError("refresh_grace: must be at most half of refresh_ttl")
        if self.secret is not None and self.secret_file is not None:
            raise ConfigurationError(
                "secret: given twice. Set AUTHWARD_SECRET or AUTHWARD_SECRET_FILE, not both"
            )
        if self._same_secret_before():
            raise ConfigurationError(
                "secret_previous: is the secret itself. Set secret to the new one, and "
                "secret_previous to the one before"
            )
        _ = self.clients
        limit = self.auth_rate_limit
        if limit is not None and limit.most > MOST_IN_DATABASE and self.redis_url is None:
            raise ConfigurationError(
                f"auth_rate_limit: {limit.most} requests are too many for the database to count. "
                f"Take {MOST_IN_DATABASE} at most, or set redis_url"
            )
        if self.production:
            self._check_production()
        else:
            self._check_development()
        return self

    def _same_secret_before(self) -> bool:
        if self.secret is None or self.secret_previous is None:
            return False
        now, before = self.secret.get_secret_value(), self.secret_previous.get_secret_value()
        return now.strip() == before.strip()

    def _check_development(self) -> None:
        """A forgotten ENV never serves the world."""
        if self.trusted_proxies:
            raise ConfigurationError(
                "trusted_proxies: ENV is development, which reads no proxy header. "
                "Set AUTHWARD_ENV=production, or remove it"
            )
        stated = [("hosts", host) for host in self.hosts]
        if self.public_url is not None:
            stated.append(("public_url", urlsplit(self.public_url).netloc))
        for setting, host in stated:
            if not is_loopback(host_name(host) or ""):
                raise ConfigurationError(
                    f"{setting}: '{host}' is not this machine, and ENV is development. "
                    "Set AUTHWARD_ENV=production, or use localhost"
                )

    def _check_production(self) -> None:
        if self.secret is None and self.secret_file is None:
            raise ConfigurationError(
                "secret: missing, and ENV is production. "
                "Set AUTHWARD_SECRET or AUTHWARD_SECRET_FILE; "
                "make one with: openssl rand -base64 32"
            )
        if self.debug:
            raise ConfigurationError("debug: must be off when ENV is production")
        for host in self.hosts:
            configured_host(host)
        if not self.dangerously_plain_http:
            stated = [("origins", origin) for origin in self.origins]
            stated.append(("public_url", self.public_url or ""))
            for setting, origin in stated:
                if origin.startswith("http:"):
                    raise ConfigurationError(
                        f"{setting}: '{origin}' is plain http, and ENV is production. Use https"
                    )
        path = self.sqlite_path
        if path is not None and lies_on_network(path):
            raise ConfigurationError(
                f"database_url: {path} lies on a network file system, where SQLite loses data. "
                "Use a local disk or PostgreSQL"
            )

    @property
    def sqlite_path(self) -> Path | None:
        """The SQLite file, absolute; None for PostgreSQL."""
        if not self.database_url.startswith("sqlite:"):
            return None
        return Path(urlsplit(self.database_url).path.removeprefix("/") or "authward.db").absolute()

    @property
    def secret_path(self) -> Path | None:
        """The file the master secret is in, absolute: the one that is set or, in development, the
        one beside the database. None if the secret itself is set.
        """
        if self.secret is not None:
            return None
        if self.secret_file is not None:
            return self.secret_file.absolute()
        database = self.sqlite_path or Path("authward").absolute()
        return database.with_name(f"{database.name}.secret")


def _durations(settings: type[Settings]) -> frozenset[str]:
    """The settings that are durations."""
    parsers = (parse_duration, parse_duration_or_off)
    return frozenset(
        name
        for name, field in settings.model_fields.items()
        if any(getattr(one, "func", None) in parsers for one in field.metadata)
    )
