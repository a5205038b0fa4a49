//! Answers questions about the stored records, in transactions that only read.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column as _, Row as _};

use super::super::fault::Fault;
use super::super::history::{Answer, Dialect, MAX_BYTES, Query, Question};
use super::connection::run;
use super::schema::Schema;

/// How many rows are fetched first. How large they are is known then.
const FIRST: usize = 4;

/// The most rows that are fetched at a time.
const MOST: usize = 1000;

/// Each question is about some of the sessions. In tables that have grown since PostgreSQL has looked at
/// them, it would rather read the whole.
const READ: &str = "SET TRANSACTION READ ONLY; SET LOCAL enable_seqscan = off";

/// Answers a question. `begin` begins a transaction.
pub(super) async fn answer(
    connection: &mut PgConnection,
    begin: &str,
    schema: &Schema,
    question: Question,
) -> Result<Answer, Fault> {
    let events = &schema.tables.events;
    let can_hold = |column, id: &str| events.kind(column).is_none_or(|kind| kind.can_hold(id));
    let possible = question.possible(|id| can_hold("session_id", id), |id| can_hold("id", id));
    let Some(question) = possible else { return Ok(Answer::default()) };
    run(connection, &format!("{begin}; {READ}")).await?;
    let answer = fetch(connection, dialect(schema).query(&question)).await?;
    run(connection, "COMMIT").await?;
    Ok(answer)
}

fn dialect(schema: &Schema) -> Dialect {
    let of = |column| schema.events.type_of(&schema.tables.events, column).to_owned();
    Dialect {
        session_id: of("session_id"),
        id: of("id"),
        timestamp: of("timestamp"),
        json: |column| format!("CAST({column} AS jsonb)"),
        is_number: |column, member| {
            format!("jsonb_typeof(CAST({column} AS jsonb) -> '{member}') = 'number'")
        },
        milliseconds: |column| {
            format!("round(CAST(extract(epoch FROM {column}) * 1000 AS numeric), 3)")
        },
        list: |parameter| {
            format!(
                "(SELECT l.value, l.n FROM json_array_elements_text(CAST({parameter} AS json)) \
                 WITH ORDINALITY AS l (value, n))"
            )
        },
        // With an array the index on the sessions is used whatever PostgreSQL thinks of their number.
        among: |query| format!("= ANY (ARRAY({query}))"),
    }
}

/// Executes a query, in a transaction that has begun. A cursor bounds how much comes at a time.
async fn fetch(connection: &mut PgConnection, query: Query) -> Result<Answer, Fault> {
    let declare = format!("DECLARE answer NO SCROLL CURSOR FOR {}", query.sql);
    let mut declare = sqlx::query(AssertSqlSafe(declare)).persistent(false);
    for parameter in query.parameters {
        declare = declare.bind(parameter);
    }
    declare.execute(&mut *connection).await?;

    let mut answer = Answer::default();
    let (mut count, mut bytes, mut largest) = (FIRST, 0, 1);
    loop {
        let fetch = AssertSqlSafe(format!("FETCH {count} FROM answer"));
        let rows = sqlx::raw_sql(fetch).fetch_all(&mut *connection).await?;
        for row in &rows {
            let (row, size) = object(row)?;
            answer.rows.push(row);
            bytes += size;
            largest = largest.max(size);
        }
        if rows.len() < count {
            return Ok(answer);
        }
        if bytes >= MAX_BYTES {
            answer.more = true;
            return Ok(answer);
        }
        count = ((MAX_BYTES - bytes) / largest).clamp(1, MOST);
    }
}

/// A row of texts, and how large it is.
fn object(row: &PgRow) -> Result<(serde_json::Value, usize), Fault> {
    let mut object = serde_json::Map::new();
    let mut size = 0;
    for column in row.columns() {
        let text: Option<String> = row.try_get(column.ordinal())?;
        size += text.as_ref().map_or(0, String::len);
        object.insert(column.name().to_owned(), text.into());
    }
    Ok((object.into(), size))
}
