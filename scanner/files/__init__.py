"""The file system: listing, comparing, ignoring. Knows no database and no broker."""
