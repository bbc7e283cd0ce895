"""What signed the generations of a session before the present key did."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("kid_before", sa.String(length=64), nullable=True))
    op.add_column("sessions", sa.Column("kid_from", sa.Integer(), nullable=True))
