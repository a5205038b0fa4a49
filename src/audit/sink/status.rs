//! Whether a database is ready for the audit.

use serde::Serialize;

/// What a database is, and what it lacks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The name of the database: `host:port/database`, or `sqlite:` and the path.
    pub database: String,
    /// The version of the server, or of SQLite.
    pub version: String,
    /// What time it is by the database's clock, milliseconds since the epoch.
    pub now_ms: f64,
    /// How long the database took to answer, milliseconds.
    pub round_trip_ms: f64,
    /// The names of the tables that are missing.
    pub missing_tables: Vec<String>,
    /// The rights that this user lacks, such as `INSERT on sync_events`.
    pub missing_rights: Vec<String>,
}
