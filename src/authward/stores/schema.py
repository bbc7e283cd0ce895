"""The tables. Times are milliseconds since the epoch, so both databases keep and compare them
alike.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA_VERSION = "0006"
"""The alembic revision this code is written for."""

metadata = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")

users = Table(
    "users",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("email", String(320), nullable=False),
    Column("email_canonical", String(640), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", String(64), nullable=False, index=True),
    Column("permissions", JSON, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("ver", Integer, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("email_verified", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    # Address and name, folded by us: the databases' own lower() differ.
    Column("search", Text, nullable=False),
    # Beside `role`. The default is for rows that were there before the column.
    Column("additional_roles", JSON, nullable=False, server_default="[]"),
    Index("users_by_age", "created_at", "id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column(
        "user_id",
        String(64),
        ForeignKey("users.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("epoch", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("rotated_at", BigInteger, nullable=False),
    Column("kid", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("auth_time", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("ip", String(64), nullable=False),
    Column("user_agent", Text, nullable=False),
    # The key before `kid`, and the first generation of `kid`. Older rows have none.
    Column("kid_before", String(64)),
    Column("kid_from", Integer),
)

keys = Table(
    "keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("ring", String(16), nullable=False),
    Column("algorithm", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    # Empty once it is retired.
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # Since when it is in each further state.
    Column("signing_at", BigInteger),
    Column("verifying_at", BigInteger),
    Column("retired_at", BigInteger),
)

roles = Table("roles", metadata, Column("name", String(64), primary_key=True))

role_permissions = Table(
    "role_permissions",
    metadata,
    Column("role", String(64), ForeignKey("roles.name", ondelete="CASCADE"), primary_key=True),
    Column("permission", String(128), primary_key=True),
)

role_includes = Table(
    "role_includes",
    metadata,
    Column("role", String(64), ForeignKey("roles.name", ondelete="CASCADE"), primary_key=True),
    Column("included", String(64), ForeignKey("roles.name"), primary_key=True, index=True),
)

changes = Table(
    "changes",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    # The writing transaction on PostgreSQL, 0 on SQLite, where commits are ordered and `id` is
    # cursor enough.
    Column("xid", BigInteger, nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("subject", String(64), nullable=False, index=True),
    Column("ver", Integer, nullable=False),
    Column("keep_session", String(64)),
    Column("at", BigInteger, nullable=False, index=True),
    # Of many sessions at once: which were opened before then.
    Column("before", BigInteger),
    sqlite_autoincrement=True,
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("actor", String(64)),
    Column("subject", String(64)),
    Column("session", String(64)),
    Column("ip", String(64), nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("detail", JSON, nullable=False),
    # What chains a row to the one before it (core.chain). Rows older than the chain have none.
    Column("writer", String(32)),
    Column("seq", BigInteger),
    Column("after", BigInteger),
    Column("who_salt", LargeBinary),
    Column("who_digest", LargeBinary),
    Column("what_salt", LargeBinary),
    Column("what_digest", LargeBinary),
    Column("hash", LargeBinary),
    Column("erased", LargeBinary),
    Index("audit_by_time", "at", "id"),
    Index("audit_by_subject", "subject", "at", "id"),
    Index("audit_by_actor", "actor", "at", "id"),
    Index("audit_by_ip", "ip", "at", "id"),
    Index("audit_by_kind", "kind", "at", "id"),
    Index("audit_by_writer", "writer", "seq", unique=True),
    sqlite_autoincrement=True,
)

# The end of each chain. A connection writes its own row alone, so none waits for another.
audit_writers = Table(
    "audit_writers",
    metadata,
    Column("writer", String(32), primary_key=True),
    Column("kid", String(64), nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    # Our sign that a checkpoint told of it as it is (core.chain.mark_of).
    Column("marked", BigInteger, nullable=False, server_default="0"),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("kid", String(64), nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("body", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("id", String(200), primary_key=True),
    # When each place was taken, in order: signed 64-bit, big-endian.
    Column("places", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)
