//! Rows by `COPY … FROM STDIN`, in PostgreSQL's text format: what costs it least.

use sqlx::postgres::PgConnection;

use super::row::Row;

/// How many bytes are sent at a time: PostgreSQL works on them while the next are written.
const CHUNK: usize = 64 << 10;

/// Sends rows. What PostgreSQL refuses it tells at the end.
pub(super) async fn copy(
    connection: &mut PgConnection,
    statement: &str,
    rows: &[Row<'_>],
) -> sqlx::Result<()> {
    let mut copying = connection.copy_in_raw(statement).await?;
    let mut text = Vec::with_capacity(2 * CHUNK);
    for row in rows {
        write(row.values(), &mut text);
        if text.len() >= CHUNK {
            copying.send(text.as_slice()).await?;
            text.clear();
            // Where the socket takes all of it at once, nothing has waited.
            tokio::task::yield_now().await;
        }
    }
    copying.send(text.as_slice()).await?;
    copying.finish().await.map(drop)
}

fn write<'a>(values: impl Iterator<Item = Option<&'a str>>, text: &mut Vec<u8>) {
    for (column, value) in values.enumerate() {
        if column > 0 {
            text.push(b'\t');
        }
        match value {
            Some(value) => escape(value.as_bytes(), text),
            None => text.extend_from_slice(b"\\N"),
        }
    }
    text.push(b'\n');
}

/// Most values have nothing to escape: what there is between is taken as a whole.
fn escape(value: &[u8], text: &mut Vec<u8>) {
    let mut rest = value;
    let special = |byte: &u8| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r');
    while let Some(at) = rest.iter().position(special) {
        text.extend_from_slice(&rest[..at]);
        text.extend_from_slice(match rest[at] {
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    text.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(values: &[Option<&str>]) -> String {
        let mut text = Vec::new();
        write(values.iter().copied(), &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_means_something_to_copy_is_escaped() {
        assert_eq!(written(&[Some("a"), None, Some("")]), "a\t\\N\t\n");
        assert_eq!(written(&[Some("\\N"), Some("\\."), Some("é\\")]), "\\\\N\t\\\\.\té\\\\\n");
        assert_eq!(written(&[Some("\t\n\r\\n")]), "\\t\\n\\r\\\\n\n");
    }
}
