//! Where a server is, told in parts: for what a URL cannot say.

use std::path::PathBuf;

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, TlsCertificates,
};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::redis::options::Options;
use crate::redis::trust;

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
    tls: Option<Tls>,
}

/// TLS, with files in PEM.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    verify: bool,
    /// The only authorities that are trusted.
    ca: Option<String>,
    /// Else these, and the system's.
    others: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

impl Settings {
    /// The options for this server.
    pub fn into_options(self) -> Result<Options> {
        let mut redis = RedisConnectionInfo::default().set_db(self.db);
        if let Some(username) = self.username {
            redis = redis.set_username(username);
        }
        if let Some(password) = self.password {
            redis = redis.set_password(password);
        }
        let (addr, tls) = match (self.path, self.tls) {
            (Some(path), _) => (ConnectionAddr::Unix(path), None),
            (None, None) => (ConnectionAddr::Tcp(self.host, self.port), None),
            (None, Some(tls)) => {
                let (host, port, insecure) = (self.host, self.port, !tls.verify);
                (ConnectionAddr::TcpTls { host, port, insecure, tls_params: None }, Some(tls))
            }
        };
        let info = addr
            .into_connection_info()
            .map_err(|error| Error::invalid("host", error.to_string()))?
            .set_redis_settings(redis);
        let info = match tls {
            Some(tls) => tls.secure(info)?,
            None => info,
        };
        Ok(Options::new(info))
    }
}

impl Tls {
    pub(super) fn secure(self, info: ConnectionInfo) -> Result<ConnectionInfo> {
        let client_tls = self.cert.zip(self.key).map(|(cert, key)| ClientTlsConfig {
            client_cert: cert.into_bytes(),
            client_key: key.into_bytes(),
        });
        let root_cert = match self.ca {
            Some(ca) => ca.into_bytes(),
            None => trust::with_system(&self.others.unwrap_or_default()),
        };
        let certificates = TlsCertificates { client_tls, root_cert: Some(root_cert) };
        let client = Client::build_with_tls(info, certificates)
            .map_err(|error| Error::invalid("tls", error.to_string()))?;
        Ok(client.get_connection_info().clone())
    }
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
        let refused = options(
            r#"{"host":"h","port":1,"db":0,"tls":{"verify":true,"ca":"-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----","cert":null,"key":null}}"#,
        );
        let Err(Error::InvalidState { field, reason }) = refused else { panic!("accepted") };
        assert_eq!(field, "tls");
        assert!(!reason.contains("???"), "{reason}");
    }
}
