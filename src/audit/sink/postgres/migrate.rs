//! The migration that creates missing tables.

/// Run it in a transaction. The lock lets one process create the tables while others wait and then
/// find them. The end of the transaction releases it: behind PgBouncer a lock of the connection
/// would pass to another client.
pub(super) const MIGRATION: &str = concat!(
    "SELECT pg_advisory_xact_lock(7238127164910227); ", // An arbitrary key.
    include_str!("../../../../migrations/0001_tables.sql")
);
