//! Where a server is, as `lib/client/server.js` says it, which reads URLs and settings.

use std::path::PathBuf;

use serde::Deserialize;

use crate::error::Result;
use crate::redis::greeting::Login;
use crate::redis::options::{Address, Options};
use crate::tls::trust::Trust;

/// The parts.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn options(json: &str) -> Result<Options> {
        serde_json::from_str::<Settings>(json).expect("settings").into_options()
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
}
