"""Items as the database stores them."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, Dialect, String, TypeDecorator
from sqlalchemy.dialects.mysql import DATETIME
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC, for columns that know no time zone."""

    impl = DATETIME(fsp=6)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Drop the time zone on the way in."""
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Add it on the way out."""
        return value and value.replace(tzinfo=UTC)


class ItemRow(Base):
    """A row of the table."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
