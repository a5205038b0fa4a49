//! Where a server is, as callers say it: by a URL, or in parts for what a URL cannot say.

use std::path::PathBuf;

use redis::{ConnectionAddr, IntoConnectionInfo};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::redis::greeting::Login;
use crate::redis::options::{Address, Options};
use crate::redis::trust::Trust;

/// The parts, as `lib/server.js` writes them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    host: String,
    port: u16,
    /// Of a Unix socket, which is then used instead of host and port.
    path: Option<PathBuf>,
    username: Option<String>,
    password: Option<String>,
    db: i64,
    tls: Option<Trust>,
}

impl Settings {
    /// The options for this server.
    pub fn into_options(self) -> Result<Options> {
        let Self { host, port, path, username, password, db, tls } = self;
        let address = match path {
            Some(path) => Address::Unix(path),
            None => Address::Tcp { host, port, tls: tls.map(Trust::into_config).transpose()? },
        };
        Ok(Options::new(address, Login { username, password, db }))
    }
}

impl Options {
    /// Options for a URL: `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS, or
    /// `unix:///path?db=n`.
    pub fn from_url(url: &str) -> Result<Self> {
        let refused = |reason: String| {
            Error::invalid("url", format!("{} cannot be used: {reason}", redacted(url)))
        };
        let info = url.into_connection_info().map_err(|error| {
            refused(error.detail().map_or_else(|| error.to_string(), str::to_owned))
        })?;
        let address = match info.addr().clone() {
            ConnectionAddr::Tcp(host, port) => Address::Tcp { host, port, tls: None },
            ConnectionAddr::TcpTls { host, port, insecure, .. } => {
                let trust = Trust { verify: !insecure, ..Trust::default() };
                Address::Tcp { host, port, tls: Some(trust.into_config()?) }
            }
            ConnectionAddr::Unix(path) => Address::Unix(path),
            _ => return Err(refused("it names no server".into())),
        };
        let redis = info.redis_settings();
        let login = Login {
            username: redis.username().map(str::to_owned),
            password: redis.password().map(str::to_owned),
            db: redis.db(),
        };
        Ok(Self::new(address, login))
    }
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

    fn options(json: &str) -> Result<Options> {
        serde_json::from_str::<Settings>(json).expect("settings").into_options()
    }

    #[test]
    fn parts_and_a_url_that_say_the_same_are_the_same_server() {
        let parts = options(r#"{"host":"h","port":7000,"username":"u","password":"p","db":3}"#);
        let url = Options::from_url("redis://u:p@h:7000/3").expect("a URL");
        assert!(parts.expect("parts").is_same_server(&url));
    }

    #[test]
    fn what_is_no_certificate_is_refused_without_showing_it() {
        for field in ["ca", "cert"] {
            let pem = "-----BEGIN CERTIFICATE-----\\n???\\n-----END CERTIFICATE-----";
            let refused = options(&format!(
                r#"{{"host":"h","port":1,"db":0,"tls":{{"verify":true,"{field}":"{pem}","key":"{pem}"}}}}"#,
            ));
            let Err(Error::InvalidState { field, reason }) = refused else { panic!("accepted") };
            assert_eq!(field, "tls");
            assert!(!reason.contains("???"), "{reason}");
        }
    }

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
