//! Whether PostgreSQL has the tables, and gives this user the rights that the sink needs.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::time::Instant;

use super::super::fault::Fault;
use super::super::status::Status;
use super::super::table::{EVENTS, SESSIONS, TableNames};
use super::connection::run;

const CLOCK: &str = "SELECT current_setting('server_version'), \
                     CAST(extract(epoch FROM clock_timestamp()) * 1000 AS double precision)";

/// Asks the server. `begin` begins a transaction; `database` is the name of the database.
pub(super) async fn status(
    connection: &mut PgConnection,
    begin: &str,
    database: &str,
) -> Result<Status, Fault> {
    run(connection, begin).await?;
    let asked = Instant::now();
    let clock = sqlx::query(CLOCK).persistent(false).fetch_one(&mut *connection).await?;
    let round_trip_ms = asked.elapsed().as_secs_f64() * 1000.0;
    let missing = sqlx::raw_sql(AssertSqlSafe(missing())).fetch_all(&mut *connection).await?;
    run(connection, "COMMIT").await?;

    let (mut missing_tables, mut missing_rights) = (Vec::new(), Vec::new());
    for row in missing {
        let (table, right): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        match right {
            Some(right) => missing_rights.push(format!("{right} on {table}")),
            None => missing_tables.push(table),
        }
    }
    Ok(Status {
        database: database.to_owned(),
        version: clock.try_get(0)?,
        now_ms: clock.try_get(1)?,
        round_trip_ms,
        missing_tables,
        missing_rights,
    })
}

/// A query for the tables that are missing, and for the rights on those that are there. A right may
/// be one on each column that the sink uses.
fn missing() -> String {
    let needs = [(SESSIONS, "SELECT"), (SESSIONS, "INSERT"), (SESSIONS, "UPDATE")]
        .into_iter()
        .chain([(EVENTS, "SELECT"), (EVENTS, "INSERT")])
        .map(|(TableNames { table, columns }, right)| {
            format!("('{table}', '{{{}}}'::text[], '{right}')", columns.join(","))
        });
    format!(
        "SELECT DISTINCT t.name, CASE WHEN to_regclass(t.name) IS NOT NULL THEN t.right END \
         FROM (VALUES {}) AS t (name, columns, \"right\") \
         WHERE to_regclass(t.name) IS NULL OR EXISTS (\
           SELECT FROM pg_catalog.pg_attribute a \
           WHERE a.attrelid = to_regclass(t.name) AND a.attname = ANY (t.columns) \
             AND NOT has_column_privilege(a.attrelid, a.attnum, t.\"right\")) \
         ORDER BY 1, 2",
        needs.collect::<Vec<_>>().join(", ")
    )
}
