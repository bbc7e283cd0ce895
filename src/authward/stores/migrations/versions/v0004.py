"""Keys know since when they sign, verify only, and are retired."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for name in ("signing_at", "verifying_at", "retired_at"):
        op.add_column("keys", sa.Column(name, sa.BigInteger(), nullable=True))
    keys = sa.table("keys", *map(sa.column, ("state", "created_at", "signing_at")))
    signing = sa.update(keys).where(keys.c.state == "signing")
    op.execute(signing.values(signing_at=keys.c.created_at))
