"""What few calls have, to be found among many."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Three indexes, each of some of the attempts only."""
    failed, session, tagged = (
        sa.text(one) for one in ("status >= 400 OR error IS NOT NULL", "session <> ''", "tags <> ''")
    )
    op.create_index("ix_attempts_failed", "attempts", ["at_ms"], sqlite_where=failed)
    op.create_index("ix_attempts_session", "attempts", ["session", "at_ms"], sqlite_where=session)
    op.create_index("ix_attempts_tagged", "attempts", ["at_ms"], sqlite_where=tagged)
