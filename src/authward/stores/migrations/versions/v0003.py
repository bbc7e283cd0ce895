"""Roles that include others, accounts with more than one, an admin who may do everything, and
changes that tell of many sessions at once.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "role_includes",
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("included", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["role"], ["roles.name"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["included"], ["roles.name"]),
        sa.PrimaryKeyConstraint("role", "included"),
    )
    op.create_index(op.f("ix_role_includes_included"), "role_includes", ["included"], unique=False)
    op.add_column(
        "users", sa.Column("additional_roles", sa.JSON(), nullable=False, server_default="[]")
    )
    op.add_column("changes", sa.Column("before", sa.BigInteger(), nullable=True))
    granted = sa.table("role_permissions", sa.column("role"), sa.column("permission"))
    op.execute(sa.delete(granted).where(granted.c.role == "admin"))
    op.bulk_insert(granted, [{"role": "admin", "permission": "*:*"}])
