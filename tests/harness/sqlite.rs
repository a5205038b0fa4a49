//! SQLite files of the test's own, each in a directory that ends with it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Row};
use synckairos_state::audit::sink::{DatabaseOptions, Sink};

pub struct SqliteFile {
    pub directory: PathBuf,
    pub path: PathBuf,
}

impl SqliteFile {
    /// A path where no file is yet.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory =
            std::env::temp_dir().join(format!("synckairos-sqlite-rs-{process}-{count}"));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("audit.db");
        Self { directory, path }
    }

    pub fn sink(&self) -> Sink {
        Sink::new(options(self.path.to_str())).unwrap()
    }

    async fn connect(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(&self.path).connect().await.unwrap()
    }

    /// A connection that keeps all others from writing, until it is closed.
    pub async fn lock(&self) -> SqliteConnection {
        let mut connection = self.connect().await;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
        connection
    }

    pub async fn run(&self, sql: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap(); // Dropped, it would end at some time.
    }

    /// The rows of a query, as JSON.
    pub async fn rows(&self, query: &str) -> Vec<Value> {
        let mut connection = self.connect().await;
        let rows = sqlx::raw_sql(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows.iter().map(to_json).collect()
    }
}

impl Drop for SqliteFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// `None`: a database in memory.
pub fn options(path: Option<&str>) -> DatabaseOptions {
    serde_json::from_value(json!({ "sqlite": { "file": path } })).unwrap()
}

fn to_json(row: &SqliteRow) -> Value {
    let value = |index: usize, name: &str| -> Value {
        if let Ok(text) = row.try_get::<Option<String>, _>(index) {
            return match (name, text) {
                (_, None) => Value::Null,
                ("metadata" | "state_snapshot", Some(text)) => serde_json::from_str(&text).unwrap(),
                (_, Some(text)) => text.into(),
            };
        }
        row.try_get::<i64, _>(index).map_or_else(|_| json!(row.get::<f64, _>(index)), Value::from)
    };
    let columns = row.columns().iter();
    columns.map(|c| (c.name().to_owned(), value(c.ordinal(), c.name()))).collect()
}
