//! Converts the database options of JavaScript to those of sqlx.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::error::{Error, Result};

/// The address of PostgreSQL and the size of the pool, as JSON from JavaScript.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseOptions {
    /// `postgres://[user[:password]@]host[:port][/database][?parameter=value&…]`. `env` supplies
    /// the missing parts.
    #[serde(default)]
    pub url: Option<String>,
    /// `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`, `PGSSLMODE`, `PGSSLROOTCERT`,
    /// `PGAPPNAME`.
    #[serde(default)]
    pub env: HashMap<String, String>,
    /// TLS. Overrides `sslmode` in the URL and `PGSSLMODE`.
    #[serde(default)]
    pub ssl: Option<Ssl>,
    /// How many idle connections stay open. Default 2.
    #[serde(default = "default_pool_min")]
    pub pool_min: u32,
    /// The most connections at a time. Default 20.
    #[serde(default = "default_pool_max")]
    pub pool_max: u32,
}

/// The TLS options.
#[derive(Clone, Deserialize)]
pub struct Ssl {
    /// Whether to use TLS, and what to verify.
    pub mode: SslMode,
    /// A certificate to trust in addition to the system's, in PEM.
    #[serde(default)]
    pub ca: Option<String>,
}

/// Whether to use TLS, and what to verify.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// No TLS.
    Off,
    /// TLS that verifies the certificate and its host name.
    Verify,
    /// TLS that verifies nothing.
    NoVerify,
}

fn default_pool_min() -> u32 {
    2
}

fn default_pool_max() -> u32 {
    20
}

const URL_FIELD: &str = "databaseUrl";

impl DatabaseOptions {
    /// The options of a connection.
    ///
    /// sqlx reads the process's environment when it creates options. This method overrides what
    /// sqlx reads there, except `PGOPTIONS`, `PGSSLCERT` and `PGSSLKEY`.
    pub(super) fn connect_options(&self) -> Result<PgConnectOptions> {
        let mut server = ServerSettings::default();
        server.read_env(&self.env)?;
        if let Some(url) = &self.url {
            server.read_url(url).map_err(|reason| {
                Error::invalid(URL_FIELD, format!("{} cannot be used: {reason}", redacted(url)))
            })?;
        }
        if let Some(Ssl { mode, ca }) = &self.ssl {
            server.ssl_mode = Some(match mode {
                SslMode::Off => PgSslMode::Disable,
                SslMode::Verify => PgSslMode::VerifyFull,
                SslMode::NoVerify => PgSslMode::Require,
            });
            if let Some(pem) = ca {
                check_ca(pem)?;
                server.ca = Some(Ca::Pem(pem.clone()));
            }
        }
        Ok(server.into_options())
    }
}

/// The settings of the server, collected from several sources; the later source wins.
#[derive(Default)]
struct ServerSettings {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    application_name: Option<String>,
    options: Vec<(String, String)>,
    ssl_mode: Option<PgSslMode>,
    ca: Option<Ca>,
}

enum Ca {
    Pem(String),
    File(String),
}

impl ServerSettings {
    fn read_env(&mut self, env: &HashMap<String, String>) -> Result<()> {
        let names = [
            ("PGHOST", "host"),
            ("PGPORT", "port"),
            ("PGUSER", "user"),
            ("PGPASSWORD", "password"),
            ("PGDATABASE", "dbname"),
            ("PGAPPNAME", "application_name"),
            ("PGSSLMODE", "sslmode"),
            ("PGSSLROOTCERT", "sslrootcert"),
        ];
        for (name, parameter) in names {
            // As in libpq, an empty variable counts as unset.
            if let Some(value) = env.get(name).filter(|value| !value.is_empty()) {
                self.set(parameter, value).map_err(|reason| Error::invalid(name, reason))?;
            }
        }
        Ok(())
    }

    fn read_url(&mut self, text: &str) -> Result<(), String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err("it does not begin with postgres://".into());
        }
        let parts = [
            ("host", url.host_str().unwrap_or_default()),
            ("user", url.username()),
            ("password", url.password().unwrap_or_default()),
            ("dbname", url.path().trim_start_matches('/')),
        ];
        for (name, part) in parts.into_iter().filter(|(_, part)| !part.is_empty()) {
            let decoded = percent_decode_str(part).decode_utf8();
            self.set(name, &decoded.map_err(|_| format!("its {name} is not UTF-8"))?)?;
        }
        self.port = url.port().or(self.port);
        for (name, value) in url.query_pairs() {
            self.set(&name, &value)?;
        }
        Ok(())
    }

    /// Sets a parameter by its name in a URL. Ignores unknown parameters, which may be meant for other
    /// drivers.
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            // Remove the brackets of an IPv6 address.
            "host" | "hostaddr" => {
                self.host = Some(value.trim_matches(['[', ']']).to_owned());
            }
            "port" => self.port = Some(value.parse().map_err(|_| "its port is no port number")?),
            "user" => self.user = Some(value.to_owned()),
            "password" => self.password = Some(value.to_owned()),
            "dbname" => self.database = Some(value.to_owned()),
            "application_name" => self.application_name = Some(value.to_owned()),
            "sslmode" => self.ssl_mode = Some(ssl_mode(value)?),
            "ssl" if matches!(value, "true" | "1") => self.ssl_mode = Some(PgSslMode::VerifyFull),
            "sslrootcert" => self.ca = Some(Ca::File(value.to_owned())),
            // As in libpq: `-c name=value`, or `--name=value`.
            "options" => self.options.extend(
                value
                    .split_whitespace()
                    .filter_map(|word| {
                        word.trim_start_matches("-c").trim_matches('-').split_once('=')
                    })
                    .map(|(name, value)| (name.to_owned(), value.to_owned())),
            ),
            _ => {}
        }
        Ok(())
    }

    fn into_options(self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass();
        let host = self.host.unwrap_or_else(|| String::from("localhost"));
        let user = self.user.unwrap_or_else(|| options.get_username().to_owned());
        let database = self.database.unwrap_or_else(|| user.clone());
        // As in libpq, there is no TLS on a Unix socket.
        let ssl_mode = match self.ssl_mode {
            Some(mode) if !host.starts_with('/') => mode,
            _ => PgSslMode::Disable,
        };
        let mut options = options
            .host(&host)
            .port(self.port.unwrap_or(5432))
            .username(&user)
            .password(&self.password.unwrap_or_default())
            .database(&database)
            .application_name(self.application_name.as_deref().unwrap_or("synckairos-state"))
            .ssl_mode(ssl_mode)
            .statement_cache_capacity(0)
            // PgBouncer refuses a connection that sets this; the sink reads no floats.
            .extra_float_digits(None)
            .disable_statement_logging();
        if !self.options.is_empty() {
            // sqlx would send an empty parameter, which PgBouncer refuses.
            options = options.options(self.options);
        }
        match self.ca {
            Some(Ca::Pem(pem)) => options.ssl_root_cert_from_pem(pem.into_bytes()),
            Some(Ca::File(path)) => options.ssl_root_cert(path),
            None => options,
        }
    }
}

/// Checks a certificate. sqlx would check it when it connects, and quote all of it in the error.
fn check_ca(pem: &str) -> Result<()> {
    let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).peekable();
    if certificates.peek().is_none() || certificates.any(|certificate| certificate.is_err()) {
        return Err(Error::invalid("ssl.ca", "it is no certificate in PEM"));
    }
    Ok(())
}

/// Converts an `sslmode`. `require` and `verify-ca` verify the host name, too, as in Node's `pg` and
/// unlike in libpq. `no-verify` turns verification off.
fn ssl_mode(name: &str) -> Result<PgSslMode, String> {
    Ok(match name {
        "disable" => PgSslMode::Disable,
        "allow" => PgSslMode::Allow,
        "prefer" => PgSslMode::Prefer,
        "require" | "verify-ca" | "verify-full" => PgSslMode::VerifyFull,
        // `Require` of sqlx verifies nothing.
        "no-verify" => PgSslMode::Require,
        _ => return Err("its sslmode is unknown".into()),
    })
}

/// A URL for error messages: without the password, even if the URL is malformed, and without
/// everything after the host, which may contain a password, too.
fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let after_host = ['/', '?', '#'];
    let shown = match rest.rsplit_once('@') {
        Some(_) if rest.contains("password=") => String::from("…"),
        Some((credentials, host)) => {
            let user = credentials.split([':', '/', '?', '#']).next().unwrap_or_default();
            format!("{user}:***@{}", host.split(after_host).next().unwrap_or_default())
        }
        None => rest.split(after_host).next().unwrap_or_default().to_owned(),
    };
    if scheme.is_empty() { shown } else { format!("{scheme}://{shown}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(json: &str) -> PgConnectOptions {
        serde_json::from_str::<DatabaseOptions>(json).unwrap().connect_options().unwrap()
    }

    fn with_url(url: &str) -> PgConnectOptions {
        options(&serde_json::json!({ "url": url }).to_string())
    }

    #[test]
    fn a_url_wins_over_the_environment() {
        let options = options(
            r#"{"url":"postgres://u%40x:p@h:7000/d%20b","env":{"PGHOST":"other","PGUSER":"other","PGPORT":"1","PGAPPNAME":"app"}}"#,
        );
        assert_eq!(options.get_host(), "h");
        assert_eq!(options.get_port(), 7000);
        assert_eq!(options.get_username(), "u@x");
        assert_eq!(options.get_database(), Some("d b"));
        assert_eq!(options.get_application_name(), Some("app"));
    }

    #[test]
    fn the_environment_fills_in_what_the_url_does_not_say() {
        let options = options(
            r#"{"url":"postgres:///?host=/tmp/s","env":{"PGUSER":"u","PGPORT":"7","PGHOST":"","PGDATABASE":"d"},"poolMin":1,"poolMax":3}"#,
        );
        assert_eq!(options.get_host(), "/tmp/s");
        assert_eq!(options.get_port(), 7);
        assert_eq!((options.get_username(), options.get_database()), ("u", Some("d")));
    }

    #[test]
    fn hosts_of_all_kinds() {
        assert_eq!(with_url("postgresql://u@%2Ftmp%2Fs/d").get_host(), "/tmp/s");
        assert_eq!(with_url("postgres://u@[::1]:1/d").get_host(), "::1");
        assert_eq!(with_url("postgres://u@10.0.0.1/d").get_host(), "10.0.0.1");
        assert_eq!(with_url("postgres://u@h").get_database(), Some("u"));
        assert_eq!(options("{}").get_host(), "localhost");
    }

    #[test]
    fn settings_come_with_the_url() {
        let options = with_url("postgres://h/d?options=-c%20search_path%3Da,b%20--jit%3Doff");
        assert_eq!(options.get_options(), Some("-c search_path=a,b -c jit=off"));
        assert_eq!(with_url("postgres://h/d?other=1").get_options(), None);
    }

    #[test]
    fn tls_verifies_unless_told() {
        let mode = |json: &str| format!("{:?}", options(json).get_ssl_mode());
        for (expected, json) in [
            ("Disable", r#"{"url":"postgres://h"}"#),
            ("VerifyFull", r#"{"url":"postgres://h?sslmode=require"}"#),
            ("VerifyFull", r#"{"url":"postgres://h?sslmode=verify-ca"}"#),
            ("VerifyFull", r#"{"url":"postgres://h?ssl=true"}"#),
            ("Require", r#"{"url":"postgres://h?sslmode=no-verify"}"#),
            ("Prefer", r#"{"url":"postgres://h?sslmode=prefer"}"#),
            ("VerifyFull", r#"{"env":{"PGSSLMODE":"verify-full"}}"#),
            ("Disable", r#"{"url":"postgres://h?sslmode=require","ssl":{"mode":"off"}}"#),
            ("Require", r#"{"url":"postgres://h","ssl":{"mode":"no-verify"}}"#),
            ("VerifyFull", r#"{"url":"postgres://h?sslmode=disable","ssl":{"mode":"verify"}}"#),
            ("Disable", r#"{"url":"postgres:///d?host=/tmp","ssl":{"mode":"verify"}}"#),
        ] {
            assert_eq!(mode(json), expected, "{json}");
        }
    }

    #[test]
    fn a_ca_must_be_a_certificate() {
        for ca in ["", "secret", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----"] {
            let json = serde_json::json!({ "ssl": { "mode": "verify", "ca": ca } });
            let options: DatabaseOptions = serde_json::from_value(json).unwrap();
            let Err(Error::InvalidState { field, reason }) = options.connect_options() else {
                panic!("{ca} was accepted");
            };
            assert!(field == "ssl.ca" && !reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn a_bad_url_is_named_without_its_password() {
        for url in [
            "http://u:secret@h",
            "postgres://u:secret@h:port",
            "u:secret@h",
            "postgres://u:se?cret@h:x",
            "postgres://u:secret@h/d?sslmode=sideways",
            "postgres://h/d?password=secret&sslmode=x",
            "postgres://h/d?password=x@secret&sslmode=x",
            "",
        ] {
            let options = DatabaseOptions {
                url: Some(url.to_owned()),
                env: HashMap::new(),
                ssl: None,
                pool_min: 2,
                pool_max: 20,
            };
            let Err(Error::InvalidState { field, reason }) = options.connect_options() else {
                panic!("{url} was accepted");
            };
            assert_eq!(field, "databaseUrl");
            assert!(!reason.contains("secret") && !reason.contains("cret"), "{reason}");
        }
    }
}
