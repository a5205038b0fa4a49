//! What a client asks a sentinel, and what the answers say.

use std::collections::HashMap;

use redis::{Cmd, Value, from_redis_value};

use crate::redis::refusal::error_line;
use crate::redis::topology::endpoint::Endpoint;

/// What a sentinel knows of a group of servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub master: Endpoint,
    /// The `config-epoch`. Each failover has a higher one than all failovers before it.
    pub epoch: u64,
    /// The other sentinels of the group.
    pub sentinels: Vec<Endpoint>,
}

/// The commands, to be sent in this order. The address comes after the epoch, so that a report never
/// has an old address with a new epoch. `SENTINEL MASTER` names the old address until a failover is
/// over, and the new epoch before that: its address does not count.
pub(crate) fn questions(name: &str) -> [Cmd; 3] {
    ["MASTER", "GET-MASTER-ADDR-BY-NAME", "SENTINELS"]
        .map(|what| redis::cmd("SENTINEL").arg(what).arg(name).to_owned())
}

/// Reads the answers to `questions`. `Err`: why this sentinel is of no use, and what to change.
pub(crate) fn read(name: &str, [master, address, sentinels]: [Value; 3]) -> Result<Report, String> {
    let epoch = fields(name, master)?
        .get("config-epoch")
        .and_then(|epoch| epoch.parse().ok())
        .ok_or_else(unreadable)?;
    if address == Value::Nil {
        return Err(unknown(name));
    }
    let (host, port) =
        from_redis_value::<(String, String)>(known(name, address)?).map_err(|_| unreadable())?;
    let master = endpoint(Some(&host), Some(&port)).ok_or_else(unreadable)?;
    let sentinels = match sentinels {
        Value::Array(sentinels) => sentinels,
        _ => Vec::new(), // A user that may not list them knows the configured ones.
    };
    let sentinels = sentinels
        .into_iter()
        .filter_map(|sentinel| fields(name, sentinel).ok())
        .filter_map(|sentinel| {
            endpoint(
                sentinel.get("ip").map(String::as_str),
                sentinel.get("port").map(String::as_str),
            )
        })
        .collect();
    Ok(Report { master, epoch, sentinels })
}

/// Adds to the reason why a sentinel refused a connection what to change.
pub(crate) fn advised(reason: String) -> String {
    let begins = |code: &str| reason.starts_with(code);
    if begins("NOAUTH") {
        // Redis' own text is about `HELLO`.
        String::from("NOAUTH it requires a password: set sentinelPassword")
    } else if ["WRONGPASS", "ERR AUTH", "ERR Client sent AUTH", "ERR invalid password", "NOPERM"]
        .into_iter()
        .any(begins)
    {
        format!("{reason}: check sentinelUsername and sentinelPassword")
    } else {
        reason
    }
}

fn fields(name: &str, value: Value) -> Result<HashMap<String, String>, String> {
    from_redis_value(known(name, value)?).map_err(|_| unreadable())
}

/// The value, unless it is an error.
fn known(name: &str, value: Value) -> Result<Value, String> {
    let Value::ServerError(error) = value else { return Ok(value) };
    let line = error_line(&error);
    if line.starts_with("ERR No such master") {
        return Err(unknown(name));
    }
    if line.to_ascii_lowercase().starts_with("err unknown command") {
        return Err(String::from(
            "it is no sentinel: name the port of a sentinel, or use a redis:// URL for this server",
        ));
    }
    Err(advised(line))
}

fn endpoint(host: Option<&str>, port: Option<&str>) -> Option<Endpoint> {
    // Errors name it.
    let is_host = |host: &&str| {
        let is_part =
            |one: char| !one.is_whitespace() && !one.is_control() && !"/@?#".contains(one);
        !host.is_empty() && host.chars().all(is_part)
    };
    let host = host.filter(is_host)?.to_owned();
    let port = port?.parse().ok().filter(|port| *port != 0)?;
    Some(Endpoint { host, port })
}

fn unknown(name: &str) -> String {
    format!("it knows no master named \"{name}\": check the name")
}

fn unreadable() -> String {
    String::from("its answer cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        redis::parse_redis_value(text.replace(' ', "\r\n").as_bytes()).expect("RESP")
    }

    const EPOCH: &str = "$12 config-epoch $1 7 ";
    const ADDRESS: &str = "*2 $9 127.0.0.1 $4 6380 ";

    fn at(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.into(), port }
    }

    #[test]
    fn a_report_is_read_in_both_protocols() {
        let sentinel = "$2 ip $3 ::1 $4 port $5 26380 ";
        for [map, list] in [["%1 ", "*1 %2 "], ["*2 ", "*1 *4 "]] {
            let answers = [
                value(&format!("{map}{EPOCH}")),
                value(ADDRESS),
                value(&format!("{list}{sentinel}")),
            ];
            let report = read("m", answers).expect("a report");
            assert_eq!(report.master, at("127.0.0.1", 6380));
            assert_eq!(report.epoch, 7);
            assert_eq!(report.sentinels, [at("::1", 26380)]);
            assert_eq!(report.sentinels[0].to_string(), "[::1]:26380");
        }
    }

    #[test]
    fn a_refusal_says_what_to_change() {
        let refused = |line: &str| {
            let error =
                || redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).expect("RESP");
            read("games", [error(), error(), error()]).expect_err("a refusal")
        };
        assert!(refused("ERR unknown command 'SENTINEL', with args").contains("no sentinel"));
        assert!(refused("ERR No such master with that name").contains("\"games\""));
        for line in ["ERR Client sent AUTH, but no password is set", "ERR invalid password"] {
            assert!(refused(line).contains("sentinelPassword"), "{line}");
        }
        assert!(refused("NOAUTH Authentication required.").contains("sentinelPassword"));
        let master = value(&format!("%1 {EPOCH}"));
        let gone = read("games", [master, Value::Nil, Value::Nil]).expect_err("a refusal");
        assert!(gone.contains("no master named"));
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for address in [
            "*2 $0  $4 6380 ",
            "*2 $1 h $1 0 ",
            "*2 $1 h $2 -1 ",
            "*2 $3 a\tb $4 6380 ",
            "*2 $15 redis://:p4ss@h $4 6380 ",
        ] {
            let answers = [value(&format!("%1 {EPOCH}")), value(address), Value::Nil];
            assert!(read("m", answers).is_err(), "{address}");
        }
    }
}
