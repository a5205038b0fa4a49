//! The types of the columns in PostgreSQL.
//!
//! The tables that `migrate()` creates and those of services in production differ only in types
//! (ids as `text` or `uuid`, milliseconds as `bigint` or `int`, modes as `text` or enums). The sink
//! reads the types, and serves both.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::super::fault::Fault;
use super::super::table::{Column, EVENTS, Kind, SESSIONS, Table, TableNames, Tables};
use super::sqlstate;

/// The columns that identify a row of `sync_sessions`.
const SESSION_IDENTITY: &[&str] = &["session_id"];

/// The columns that are the same whenever the sink stores a record. A partitioned table has the
/// partition's column in each unique index. The first column identifies a row; a unique index may have
/// the others, too.
const EVENT_IDENTITY: &[&str] = &["id", "session_id", "event_type", "timestamp"];

/// The columns of both tables, as PostgreSQL's catalog describes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schema {
    pub tables: Tables,
    pub sessions: Description,
    pub events: Description,
}

/// What only PostgreSQL's tables have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    /// The names of the columns' types in SQL, quoted where necessary, without a length.
    pub types: Vec<String>,
    /// The columns of the unique index that keeps a row from being stored twice. Empty without one.
    pub key: Vec<&'static str>,
}

/// A unique index counts if `ON CONFLICT` can use it: without an expression or a predicate, and not
/// deferrable.
const QUERY: &str = "
    SELECT t.name AS table_name, a.attname::text AS column_name,
           format_type(a.atttypid, NULL) AS type_name, y.typname::text AS type_key,
           (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)::text
              FROM pg_catalog.pg_enum e WHERE e.enumtypid = a.atttypid) AS labels,
           k.keys
      FROM (VALUES ('sync_sessions'), ('sync_events')) AS t (name)
     CROSS JOIN LATERAL (
           SELECT json_agg((
                    SELECT json_agg(c.attname) FROM pg_catalog.pg_attribute c
                     WHERE c.attrelid = i.indrelid
                       AND c.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])))::text AS keys
             FROM pg_catalog.pg_index i
            WHERE i.indrelid = to_regclass(t.name) AND i.indisunique AND i.indimmediate
              AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL) AS k
      JOIN pg_catalog.pg_attribute a ON a.attrelid = to_regclass(t.name)
      JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
     WHERE a.attnum > 0 AND NOT a.attisdropped";

impl Schema {
    /// Reads the schema from PostgreSQL's catalog, in one round trip. `begin` begins a transaction.
    pub async fn read(connection: &mut PgConnection, begin: &str) -> Result<Self, Fault> {
        let query = AssertSqlSafe(format!("{begin}; {QUERY}; COMMIT"));
        let rows = sqlx::raw_sql(query).fetch_all(connection).await?;
        let found = rows.iter().map(CatalogColumn::of).collect::<sqlx::Result<Vec<_>>>()?;
        let (sessions, session_description) = described(&SESSIONS, SESSION_IDENTITY, &found)?;
        let (events, event_description) = described(&EVENTS, EVENT_IDENTITY, &found)?;
        if session_description.key.is_empty() {
            return Err(Fault::unsuitable_table(
                "42P10",
                format!(
                    "table \"{0}\" has no unique index on {1}: CREATE UNIQUE INDEX ON {0} ({1})",
                    SESSIONS.table, "session_id"
                ),
            ));
        }
        Ok(Self {
            tables: Tables { sessions, events },
            sessions: session_description,
            events: event_description,
        })
    }
}

impl Description {
    /// The type of a column of the table that this describes.
    pub fn type_of<'a>(&'a self, table: &Table, column: &str) -> &'a str {
        let mut types = table.names().zip(&self.types);
        types.find(|(name, _)| *name == column).map_or("text", |(_, name)| name)
    }
}

/// A column as the catalog describes it.
struct CatalogColumn {
    table: String,
    column: String,
    type_name: String,
    type_key: String,
    labels: Option<String>,
    /// The columns of each unique index of the table, as JSON.
    keys: Option<String>,
}

impl CatalogColumn {
    fn of(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            table: row.try_get(0)?,
            column: row.try_get(1)?,
            type_name: row.try_get(2)?,
            type_key: row.try_get(3)?,
            labels: row.try_get(4)?,
            keys: row.try_get(5)?,
        })
    }

    fn kind(&self) -> Kind {
        if let Some(labels) = &self.labels {
            return Kind::Enum(serde_json::from_str(labels).unwrap_or_default());
        }
        match self.type_key.as_str() {
            "text" | "varchar" | "bpchar" => Kind::Text,
            "int2" => Kind::Integer { min: i16::MIN.into(), max: i16::MAX.into() },
            "int4" => Kind::Integer { min: i32::MIN.into(), max: i32::MAX.into() },
            "int8" => Kind::Integer { min: i64::MIN, max: i64::MAX },
            "uuid" => Kind::Uuid,
            "timestamptz" | "timestamp" => Kind::Date,
            _ => Kind::Other,
        }
    }
}

/// A table that was found, and what PostgreSQL says of it.
fn described(
    wanted: &TableNames,
    identity: &[&'static str],
    found: &[CatalogColumn],
) -> Result<(Table, Description), Fault> {
    let name = wanted.table;
    let of_table: Vec<&CatalogColumn> = found.iter().filter(|found| found.table == name).collect();
    let Some(first) = of_table.first() else { return Err(sqlstate::missing_table(name)) };
    let mut columns = Vec::with_capacity(wanted.columns.len());
    let mut types = Vec::with_capacity(wanted.columns.len());
    for column in wanted.columns {
        let Some(found) = of_table.iter().find(|found| found.column == *column) else {
            let message = format!("table \"{name}\" has no column \"{column}\"");
            return Err(Fault::unsuitable_table("42703", message));
        };
        columns.push(Column { name: column, kind: found.kind() });
        types.push(found.type_name.clone());
    }
    let key = key(identity, first.keys.as_deref());
    Ok((Table { name, columns }, Description { types, key }))
}

/// The shortest unique index that identifies a row by these columns.
fn key(identity: &[&'static str], keys: Option<&str>) -> Vec<&'static str> {
    let keys: Vec<Vec<String>> = serde_json::from_str(keys.unwrap_or("[]")).unwrap_or_default();
    let known = |name: &String| identity.iter().copied().find(|column| column == name);
    let keys = keys.iter().filter_map(|key| key.iter().map(known).collect::<Option<Vec<_>>>());
    let identifying = keys.filter(|key| identity.first().is_some_and(|first| key.contains(first)));
    identifying.min_by_key(Vec::len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_identified_by_the_shortest_index_of_columns_that_never_change() {
        let events = |keys| key(EVENT_IDENTITY, keys);
        assert_eq!(events(Some(r#"[["id"]]"#)), ["id"]);
        assert_eq!(events(Some(r#"[["timestamp","id"],["id"]]"#)), ["id"]);
        assert_eq!(events(Some(r#"[["id","timestamp"]]"#)), ["id", "timestamp"]);
        for keys in [None, Some("[]"), Some(r#"[["id","participant_id"],["timestamp"]]"#)] {
            assert!(events(keys).is_empty(), "{keys:?}");
        }
    }
}
