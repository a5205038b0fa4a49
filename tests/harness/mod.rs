//! A real Redis of the test's own. A missing redis-server fails the test.

#![allow(dead_code)] // Each test binary uses its part of it.

pub mod postgres;
pub mod records;
pub mod sqlite;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use synckairos_state::engine::Engine;
use synckairos_state::error::Result;
use synckairos_state::operation::record::Record;
use synckairos_state::redis::connection::Connection;
use synckairos_state::redis::engine::RedisEngine;
use synckairos_state::redis::options::Options;
use synckairos_state::redis::settings::Settings;
use synckairos_state::session::store::{Change, Rule, Store, StoreOptions};
use tokio::sync::oneshot;

pub struct RedisServer {
    pub port: u16,
    directory: PathBuf,
    process: Child,
}

impl RedisServer {
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = std::env::temp_dir().join(format!("synckairos-redis-rs-{port}"));
        std::fs::create_dir_all(&directory).unwrap();
        let process = spawn(port, &directory);
        Self { port, directory, process }
    }

    pub fn options(&self) -> Options {
        let parts = format!(r#"{{"host":"127.0.0.1","port":{},"db":0}}"#, self.port);
        serde_json::from_str::<Settings>(&parts).unwrap().into_options().unwrap()
    }

    pub fn connection(&self) -> Connection {
        let (connection, supervisor) =
            Connection::new(self.options(), Arc::new(|_| {}), Arc::new(|_| true));
        tokio::spawn(supervisor);
        connection
    }

    pub fn engine(&self) -> RedisEngine {
        RedisEngine::new(self.options(), self.connection())
    }

    pub fn store(&self) -> Store<RedisEngine> {
        Store::new(&self.engine(), StoreOptions::default(), None)
    }

    /// A command by another connection.
    pub fn ask(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(("127.0.0.1", self.port)).unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut client.get_connection().unwrap()).unwrap()
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.process = spawn(self.port, &self.directory);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn spawn(port: u16, directory: &PathBuf) -> Child {
    let process = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(directory)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server must be on the PATH");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !answers(port) {
        assert!(Instant::now() < deadline, "redis-server did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    process
}

/// Whether it has loaded its data, too.
fn answers(port: u16) -> bool {
    let connection = redis::Client::open(("127.0.0.1", port)).and_then(|c| c.get_connection());
    connection.is_ok_and(|mut connection| redis::cmd("PING").exec(&mut connection).is_ok())
}

/// A call of the store, as a future.
pub async fn settled<T: Send + 'static>(
    call: impl FnOnce(Box<dyn FnOnce(Result<T>) + Send>),
) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    call(Box::new(move |outcome| drop(sender.send(outcome))));
    receiver.await.expect("a call was dropped without an answer")
}

/// A write without a reason.
pub fn change(session_id: String, text: String, rule: Rule, now_ms: i64) -> Change {
    Change { session_id, text, rule, now_ms, reason: None }
}

/// A record of the session `s`, to be queued.
pub fn queued(event_type: String, state: Option<String>) -> Record {
    Record { session_id: "s".into(), event_type, at_ms: 1, state, ..Record::default() }
}

pub async fn write(store: &Store<impl Engine>, id: &str, text: &str, rule: Rule) -> Result<u64> {
    let written = settled(|done| {
        store.write(change(id.into(), text.into(), rule, 1_767_323_045_006), done);
    });
    written.await.map(|written| written.version)
}

pub async fn get(store: &Store<impl Engine>, id: &str) -> Result<Option<String>> {
    settled(|done| store.get(id.into(), done)).await
}

pub fn state(id: &str) -> String {
    format!(
        r#"{{"session_id":"{id}","version":1,"sync_mode":"global","status":"running","participants":[],"own":{{"a":[],"big":9007199254740993}}}}"#
    )
}
