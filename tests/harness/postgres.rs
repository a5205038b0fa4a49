//! A real PostgreSQL of the test's own, with a database for each test. Missing programs fail it.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use synckairos_state::audit::sink::{DatabaseOptions, Sink};

/// The tables that services have today; the Jest tests use the same.
pub const DEPLOYED: &str = include_str!("../../__test__/harness/deployed-schema.sql");

const TLS_CERTIFICATE: &str = include_str!("../../__test__/harness/tls/cert.pem");
const TLS_KEY: &str = include_str!("../../__test__/harness/tls/key.pem");

pub struct PostgresServer {
    pub port: u16,
    directory: PathBuf,
    /// Holds the pipe whose end ends the server.
    _guard: Child,
}

/// Runs the server until its own input ends, which it does with the test's process, however that
/// ends. SIGQUIT is an immediate shutdown.
const GUARD: &str = r#"directory=$1; shift
"$@" >"$directory/log" 2>&1 &
read -r _; kill -QUIT $!; wait; rm -rf "$directory""#;

impl PostgresServer {
    /// The same for all tests of a process.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<PostgresServer> = LazyLock::new(PostgresServer::start);
        &SHARED
    }

    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = std::env::temp_dir().join(format!("synckairos-postgres-rs-{port}"));
        std::fs::create_dir_all(&directory).unwrap();
        let user = unprivileged_user();
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(&directory, Some(uid), Some(gid)).unwrap();
        }
        let data = directory.join("data");
        let made = as_user(find("initdb"), user, &directory)
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--pgdata"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("initdb must be there").success(), "initdb failed");
        // PostgreSQL wants a key that nobody else can read.
        let key = data.join("server.key");
        std::fs::write(data.join("server.crt"), TLS_CERTIFICATE).unwrap();
        std::fs::write(&key, TLS_KEY).unwrap();
        std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(&key, Some(uid), Some(gid)).unwrap();
        }
        let guard = as_user("sh", user, &directory)
            .args(["-c", GUARD, "guard"])
            .args([&directory, &find("postgres")])
            .args([
                "-p",
                &port.to_string(),
                "-h",
                "127.0.0.1,127.0.0.2,localhost",
                "-F",
                "-l",
                "-D",
            ])
            .args([&data, Path::new("-k"), &directory])
            .stdin(Stdio::piped())
            .spawn()
            .expect("postgres must be there");
        Self { port, directory, _guard: guard }
    }

    /// A new database with these tables.
    pub async fn database(&'static self, tables: &'static str) -> Database {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.connect("postgres").await;
        run(&mut connection, &format!("CREATE DATABASE {name}")).await;
        let database = Database { server: self, name };
        run(&mut database.connect().await, tables).await;
        database
    }

    async fn connect(&self, database: &str) -> PgConnection {
        let options = PgConnectOptions::new()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .database(database)
            .ssl_mode(PgSslMode::Disable);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match options.connect().await {
                Ok(connection) => return connection,
                Err(error) => assert!(Instant::now() < deadline, "no PostgreSQL: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops processes of the server, as if the machine stood still.
    pub fn pause(&self, backends: &[i64]) {
        signal("-STOP", backends);
    }

    pub fn resume(&self, backends: &[i64]) {
        signal("-CONT", backends);
    }
}

pub struct Database {
    pub server: &'static PostgresServer,
    pub name: String,
}

impl Database {
    pub fn options(&self, pool_max: u32) -> DatabaseOptions {
        let url = format!("postgres://postgres@127.0.0.1:{}/{}", self.server.port, self.name);
        options(&url, pool_max)
    }

    /// By the socket of this machine.
    pub fn socket_options(&self) -> DatabaseOptions {
        let Self { server: PostgresServer { port, directory, .. }, name } = self;
        let directory = directory.display();
        options(&format!("postgres:///{name}?host={directory}&port={port}&user=postgres"), 2)
    }

    pub fn sink(&self) -> Sink {
        Sink::new(self.options(4)).unwrap()
    }

    pub async fn connect(&self) -> PgConnection {
        self.server.connect(&self.name).await
    }

    pub async fn run(&self, sql: &str) {
        run(&mut self.connect().await, sql).await;
    }

    /// The rows of a query, as JSON.
    pub async fn rows(&self, query: &str) -> Vec<serde_json::Value> {
        let query = format!("SELECT row_to_json(t)::text FROM ({query}) AS t");
        let rows = sqlx::raw_sql(AssertSqlSafe(query)).fetch_all(&mut self.connect().await).await;
        let texts = rows.unwrap().into_iter().map(|row| row.get::<String, _>(0));
        texts.map(|text| serde_json::from_str(&text).unwrap()).collect()
    }

    pub async fn number(&self, query: &str) -> i64 {
        let rows = self.rows(&format!("SELECT ({query}) AS n")).await;
        rows[0]["n"].as_i64().unwrap()
    }
}

pub fn options(url: &str, pool_max: u32) -> DatabaseOptions {
    with_tls(url, pool_max, serde_json::Value::Null)
}

/// `tls`: as `lib/audit/database.js` writes it.
pub fn with_tls(url: &str, pool_max: u32, tls: serde_json::Value) -> DatabaseOptions {
    let parts: PgConnectOptions = url.parse().unwrap();
    let socket = parts.get_socket().map(|directory| directory.display().to_string());
    let json = serde_json::json!({
        "hosts": [{
            "host": socket.as_deref().unwrap_or(parts.get_host()),
            "port": parts.get_port(),
        }],
        "login": {
            "user": parts.get_username(),
            "password": "secret",
            "database": parts.get_database(),
            "applicationName": "synckairos-state",
        },
        "tls": tls,
        "connectTimeoutMs": 5000,
        "poolMin": 1,
        "poolMax": pool_max,
    });
    serde_json::from_value(serde_json::json!({ "postgres": json })).unwrap()
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

fn signal(signal: &str, processes: &[i64]) {
    let ids = processes.iter().map(ToString::to_string);
    assert!(Command::new("kill").arg(signal).args(ids).status().unwrap().success());
}

/// A program that a user runs whom PostgreSQL accepts.
fn as_user(program: impl AsRef<OsStr>, user: Option<(u32, u32)>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// On the PATH, or where Debian keeps it: the newest.
fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    debian.sort();
    std::env::split_paths(&path)
        .chain(debian.into_iter().rev())
        .map(|directory| directory.join(name))
        .find(|file| file.exists())
        .unwrap_or_else(|| panic!("{name} of PostgreSQL is needed: not on the PATH"))
}

/// PostgreSQL refuses to run as root: then `postgres`, or else `nobody`.
fn unprivileged_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?)))
}
