"""The catalog: all of SQLAlchemy, and nothing else has it."""
