//! Where a server is, and how long to wait for it.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::backoff::Backoff;
use crate::error::{Error, Result};
use crate::redis::settings::Tls;

/// How a server is reached. Cheap to clone.
#[derive(Clone)]
pub struct Options {
    pub(crate) info: ConnectionInfo,
    /// The longest wait for a connection to be made. Default 2 s.
    pub connect_timeout: Duration,
    /// How long the oldest command in flight may go unanswered before the connection counts as
    /// dead and is replaced. Default 2 s.
    pub stall_timeout: Duration,
    /// The waits between attempts to connect. Default 50 ms to 2 s.
    pub backoff: Backoff,
}

impl Options {
    /// Options for a URL: `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS, or
    /// `unix:///path?db=n`.
    pub fn from_url(url: &str) -> Result<Self> {
        let info = url.into_connection_info().map_err(|error| {
            let reason = error.detail().map_or_else(|| error.to_string(), str::to_owned);
            Error::invalid("url", format!("{} cannot be used: {reason}", redacted(url)))
        })?;
        Ok(Self::new(match info.addr() {
            ConnectionAddr::TcpTls { .. } => Tls::default().secure(info)?,
            _ => info,
        }))
    }

    pub(crate) fn new(info: ConnectionInfo) -> Self {
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            // The provider is a setting of the process; an error means that one is set already.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Self {
            info: info.set_redis_settings(redis).set_tcp_settings(tcp_settings()),
            connect_timeout: Duration::from_secs(2),
            stall_timeout: Duration::from_secs(2),
            backoff: Backoff { floor: Duration::from_millis(50), ceiling: Duration::from_secs(2) },
        }
    }
}

impl Options {
    /// Whether another's connections reach the same data, with the same rights.
    pub fn is_same_server(&self, other: &Self) -> bool {
        let of = |options: &Self| {
            let redis = options.info.redis_settings();
            (options.info.addr().to_string(), redis.db(), redis.username().map(str::to_owned))
        };
        of(self) == of(other)
    }
}

/// Without these a request waits for Nagle's algorithm, and a peer that vanished without a word
/// is noticed after a quarter of an hour.
fn tcp_settings() -> TcpSettings {
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(10))
        .with_interval(Duration::from_secs(5));
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(Duration::from_secs(10));
    settings
}

/// A URL that may be shown: the password is replaced, also where the rest is malformed.
fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let shown = match rest.rsplit_once('@') {
        Some((credentials, host)) => {
            let user = credentials.split(':').next().unwrap_or_default();
            format!("{user}:***@{host}")
        }
        None => rest.to_owned(),
    };
    if scheme.is_empty() { shown } else { format!("{scheme}://{shown}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(redacted("redis://u:secret@h:1/0"), "redis://u:***@h:1/0");
        assert_eq!(redacted("redis://:se@cret@h"), "redis://:***@h");
        assert_eq!(redacted("nonsense:secret@h"), "nonsense:***@h");
        assert_eq!(redacted("redis://h"), "redis://h");
    }

    #[test]
    fn a_bad_url_is_named_without_its_password() {
        for url in ["http://u:secret@h", "redis://u:secret@h:port", "u:secret@", ""] {
            let Err(Error::InvalidState { field, reason }) = Options::from_url(url) else {
                panic!("{url} was accepted");
            };
            assert_eq!(field, "url");
            assert!(!reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn the_usual_urls_are_accepted() {
        for url in ["redis://localhost", "redis://u:p@h:7000/3", "rediss://h", "unix:///tmp/s"] {
            assert!(Options::from_url(url).is_ok(), "{url}");
        }
    }
}
