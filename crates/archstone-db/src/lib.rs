//! Storage: one text of each query for SQLite, MariaDB/MySQL and PostgreSQL, schema, clock.
