//! Answers questions about the stored records.

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column as _, Row as _};

use super::super::history::{Answer, Dialect, MAX_BYTES, Question};

/// Answers a question.
pub(super) async fn answer(
    connection: &mut SqliteConnection,
    question: &Question,
) -> sqlx::Result<Answer> {
    let query = dialect().query(question);
    let mut select = sqlx::query(AssertSqlSafe(query.sql)).persistent(false);
    for parameter in query.parameters {
        select = select.bind(parameter);
    }
    let mut rows = select.fetch(connection);
    let mut answer = Answer::default();
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await? {
        if bytes >= MAX_BYTES {
            answer.more = true;
            break;
        }
        let (row, size) = object(&row)?;
        answer.rows.push(row);
        bytes += size;
    }
    Ok(answer)
}

fn dialect() -> Dialect {
    Dialect {
        session_id: "text".to_owned(),
        id: "text".to_owned(),
        timestamp: "text".to_owned(),
        json: str::to_owned,
        is_number: |column, member| {
            format!("json_type({column}, '$.{member}') IN ('integer', 'real')")
        },
        milliseconds: |column| format!("round((julianday({column}) - 2440587.5) * 86400000)"),
        list: |parameter| format!("(SELECT value, key AS n FROM json_each({parameter}))"),
        among: |query| format!("IN ({query})"),
    }
}

/// A row of texts, and how large it is.
fn object(row: &SqliteRow) -> sqlx::Result<(serde_json::Value, usize)> {
    let mut object = serde_json::Map::new();
    let mut size = 0;
    for column in row.columns() {
        let text: Option<String> = row.try_get(column.ordinal())?;
        size += text.as_ref().map_or(0, String::len);
        object.insert(column.name().to_owned(), text.into());
    }
    Ok((object.into(), size))
}
