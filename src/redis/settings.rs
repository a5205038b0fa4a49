//! Where a server is, as `lib/client/server.js` says it, which reads URLs and settings.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::error::Result;
use crate::redis::greeting::Login;
use crate::redis::options::{Address, Options, Place};
use crate::redis::topology::endpoint::{Endpoint, NatMap};
use crate::redis::topology::master::{Group, Master};
use crate::redis::topology::seeds::Seeds;
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
    /// Who tells where the server is, instead of host and port.
    sentinel: Option<SentinelSettings>,
    /// The cluster that is meant, instead of host and port.
    cluster: Option<ClusterSettings>,
    /// Into how many partitions a cluster's sessions are divided.
    partitions: Option<u16>,
}

/// The sentinels of a server.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SentinelSettings {
    name: String,
    sentinels: Vec<Endpoint>,
    username: Option<String>,
    password: Option<String>,
    tls: Option<Trust>,
    nat_map: NatMap,
}

/// The nodes of a cluster.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClusterSettings {
    nodes: Vec<Endpoint>,
    nat_map: NatMap,
}

impl Settings {
    /// The options for this server.
    pub fn into_options(self) -> Result<Options> {
        let Self { host, port, path, username, password, db, tls, sentinel, cluster, partitions } =
            self;
        let tls = tls.map(Trust::into_config).transpose()?;
        let place = match (cluster, sentinel, path) {
            (Some(ClusterSettings { nodes, nat_map }), ..) => {
                Place::Cluster { seeds: Arc::new(Seeds { nodes, nat_map }), tls }
            }
            (None, Some(sentinel), _) => {
                Place::Named { master: Master::new(sentinel.into_group()?), tls }
            }
            (None, None, Some(path)) => Place::Fixed(Address::Unix(path)),
            (None, None, None) => {
                Place::Fixed(Address::Tcp { endpoint: Endpoint { host, port }, tls })
            }
        };
        let options = Options::new(place, Login { username, password, db });
        Ok(Options { partitions, ..options })
    }
}

impl SentinelSettings {
    fn into_group(self) -> Result<Group> {
        let Self { name, sentinels, username, password, tls, nat_map } = self;
        let login = Login { username, password, db: 0 };
        let tls = tls.map(Trust::into_config).transpose()?;
        Ok(Group { name, sentinels, login, tls, nat_map })
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
    fn sentinels_that_share_one_and_a_name_look_after_one_server() {
        let of = |name: &str, ports: &[u16], db: u8| {
            let sentinels: Vec<_> =
                ports.iter().map(|port| format!(r#"{{"host":"h","port":{port}}}"#)).collect();
            let sentinels = sentinels.join(",");
            options(&format!(
                r#"{{"host":"","port":1,"db":{db},"sentinel":{{"name":"{name}","sentinels":[{sentinels}],"natMap":{{}}}}}}"#,
            ))
            .unwrap_or_else(|error| panic!("{error}"))
        };
        let one = of("m", &[1, 2], 0);
        assert!(one.is_same_server(&of("m", &[2, 3], 0)));
        for other in [of("m", &[3], 0), of("n", &[1, 2], 0), of("m", &[1, 2], 1)] {
            assert!(!one.is_same_server(&other));
        }
        assert_eq!(one.to_string(), "m (sentinels h:1, h:2)");
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
