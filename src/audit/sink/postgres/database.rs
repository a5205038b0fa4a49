//! Where PostgreSQL is, and how to connect to it.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use serde::Deserialize;

use crate::error::Result;
use crate::tls::trust::Trust;

/// The settings of the database, as `lib/audit/database.js` reads them from a URL, the environment and the
/// options.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresOptions {
    hosts: Vec<Host>,
    login: Login,
    tls: Option<TlsOptions>,
    /// The schema of the tables; without it, the server's `search_path` decides.
    pub(super) schema: Option<String>,
    /// The time limit for a connection.
    connect_timeout_ms: u64,
    /// How many idle connections stay open.
    pub(super) pool_min: usize,
    /// The most connections at a time.
    pub(super) pool_max: usize,
}

/// A host of the server.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    /// A name, an IP address, or the directory of a Unix socket, which begins with `/`.
    pub host: String,
    pub port: u16,
}

/// Who the client is, and what the session begins with.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Login {
    pub user: String,
    pub password: Option<String>,
    pub database: String,
    pub application_name: String,
    /// Settings of the session, as PostgreSQL's `options` has them: `-c name=value …`.
    pub options: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TlsOptions {
    /// Whether the connection is refused if the server does not support TLS.
    is_required: bool,
    /// Whether TLS begins without a request (PostgreSQL 17).
    is_direct: bool,
    /// The name in the server's certificate, if it is not that of the host.
    server_name: Option<String>,
    trust: Trust,
}

/// A server, and how to connect to it.
pub(super) struct Server {
    pub hosts: Vec<Host>,
    pub login: Login,
    pub tls: Option<Tls>,
    pub connect_timeout: Duration,
}

/// How to encrypt a connection.
pub(super) struct Tls {
    pub is_required: bool,
    pub is_direct: bool,
    pub server_name: Option<String>,
    pub config: Arc<ClientConfig>,
}

impl PostgresOptions {
    /// Reads the certificates.
    pub(super) fn into_server(self) -> Result<Server> {
        let Self { hosts, login, tls, connect_timeout_ms, .. } = self;
        let connect_timeout = Duration::from_millis(connect_timeout_ms);
        Ok(Server { hosts, login, tls: tls.map(Tls::new).transpose()?, connect_timeout })
    }
}

impl Tls {
    fn new(options: TlsOptions) -> Result<Self> {
        let TlsOptions { is_required, is_direct, server_name, trust } = options;
        let mut config = trust.into_config()?;
        if is_direct {
            // The server insists on it there.
            Arc::make_mut(&mut config).alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(Self { is_required, is_direct, server_name, config })
    }
}

impl Server {
    /// The hosts and ports, for messages.
    pub fn name(&self) -> String {
        let hosts = self.hosts.iter().map(|Host { host, port }| format!("{host}:{port}"));
        hosts.collect::<Vec<_>>().join(", ")
    }
}
