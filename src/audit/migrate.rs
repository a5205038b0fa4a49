//! Makes the tables where there are none.

/// Run inside a transaction, whose end gives the lock back: PgBouncer would give a lock of the
/// connection to somebody else. Of several processes the first makes the tables, and the others
/// find them.
pub(super) const MIGRATION: &str = concat!(
    "SELECT pg_advisory_xact_lock(7238127164910227); ", // Any number that nobody else uses.
    include_str!("../../migrations/0001_tables.sql")
);
