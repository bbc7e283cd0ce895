"""Audit rows in chains, their heads and checkpoints, and indexes to find them by."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

CHAIN: dict[str, Any] = {
    "writer": sa.String(length=32),
    "seq": sa.BigInteger(),
    "after": sa.BigInteger(),
    "who_salt": sa.LargeBinary(),
    "who_digest": sa.LargeBinary(),
    "what_salt": sa.LargeBinary(),
    "what_digest": sa.LargeBinary(),
    "hash": sa.LargeBinary(),
    "erased": sa.LargeBinary(),
}
INDEXES: dict[str, list[str]] = {
    "time": [],
    "subject": ["subject"],
    "actor": ["actor"],
    "ip": ["ip"],
    "kind": ["kind"],
}


def upgrade() -> None:
    for name, kind in CHAIN.items():
        op.add_column("audit_events", sa.Column(name, kind, nullable=True))
    op.drop_index(op.f("ix_audit_events_at"), table_name="audit_events")
    op.drop_index(op.f("ix_audit_events_subject"), table_name="audit_events")
    for name, columns in INDEXES.items():
        op.create_index(f"audit_by_{name}", "audit_events", [*columns, "at", "id"], unique=False)
    op.create_index("audit_by_writer", "audit_events", ["writer", "seq"], unique=True)
    op.create_table(
        "audit_writers",
        sa.Column("writer", sa.String(length=32), nullable=False),
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("marked", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("writer"),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
