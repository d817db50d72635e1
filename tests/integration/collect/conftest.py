"""A scanned library on each database: what results are about."""

from tests.integration.scan.conftest import database, library, migrated_postgresql, migrated_sqlite

__all__ = ["database", "library", "migrated_postgresql", "migrated_sqlite"]
