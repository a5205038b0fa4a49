//! What an error reply means for the command that drew it.

use redis::ServerError;

use super::topology::endpoint::Endpoint;
use super::topology::slot::Slot;

const WAIT_ON_REPLICA: &str = "ERR WAIT cannot be used with replica instances";

/// What a blocked command is told that another client has ended.
const ENDED_BY_OTHERS: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

/// What a server error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The script cache was flushed: send the script's source. Nothing changed.
    UnknownScript,
    /// This server is the wrong one, or not ready: another connection may lead to a better one.
    /// Nothing changed.
    WrongServer,
    /// The server cannot do it now, and will later. Nothing changed.
    NotNow,
    /// The server never will.
    Final,
}

impl Refusal {
    /// What an error line means, as `error_line` gives it.
    pub fn of(line: &str) -> Self {
        match line.split(' ').next().unwrap_or_default() {
            "NOSCRIPT" => Self::UnknownScript,
            "UNBLOCKED" if line.starts_with(ENDED_BY_OTHERS) => Self::Final,
            // Who blocks is told the latter, when a master becomes a replica.
            "READONLY" | "LOADING" | "MASTERDOWN" | "UNBLOCKED" => Self::WrongServer,
            "ERR" if line.starts_with(WAIT_ON_REPLICA) => Self::WrongServer,
            "BUSY" | "CLUSTERDOWN" | "MISCONF" | "NOREPLICAS" | "TRYAGAIN" => Self::NotNow,
            _ => Self::Final,
        }
    }

    /// Whether the server will never let this user do it, or does not know how to. Servers and
    /// proxies have many words for that, but few codes.
    pub fn is_for_good(line: &str) -> bool {
        let code = line.split(' ').next().unwrap_or_default();
        let is_code = code.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_general = !is_code || matches!(code, "ERR" | "NOPERM" | "NOPROTO");
        is_general && !line.contains("max number of clients")
    }
}

/// A node's word that another one has a key. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Redirection {
    /// From now on.
    Moved(Slot, Endpoint),
    /// This time, and the command is to be sent behind `ASKING`.
    Ask(Endpoint),
    /// To a node whose address it does not know.
    Unknown,
}

impl Redirection {
    /// What an error line of the node at `asked` says: `MOVED 3999 host:port`. Where it names no host, it
    /// is that of `asked`.
    pub fn of(line: &str, asked: &Endpoint) -> Option<Self> {
        let mut words = line.split(' ');
        let (code, slot, to) = (words.next()?, words.next()?, words.next()?);
        let slot = Slot::new(slot.parse().ok()?)?;
        let (host, port) = to.rsplit_once(':')?;
        let host = match host {
            "?" => return matches!(code, "MOVED" | "ASK").then_some(Self::Unknown),
            "" => asked.host.clone(),
            host => host.to_owned(),
        };
        let to = Endpoint { host, port: port.parse().ok()? };
        match code {
            "MOVED" => Some(Self::Moved(slot, to)),
            "ASK" => Some(Self::Ask(to)),
            _ => None,
        }
    }
}

/// Whether a node refuses because of the state of its cluster: another one has the slot, or is about to have
/// it, or nobody has. Nothing changed, and the map may be old.
pub(crate) fn is_of_cluster(line: &str) -> bool {
    matches!(line.split(' ').next(), Some("MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN"))
}

/// The error as Redis wrote it.
pub(crate) fn error_line(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

/// The error that a script met, as Redis 7 and later write it.
pub(crate) fn without_script(line: String) -> String {
    unwrapped(&line).map(str::to_owned).unwrap_or(line)
}

/// What a script met, without what Redis 6.2 wraps around it:
/// `ERR Error running script (call to f_…): @user_script:1: @user_script: 1: -READONLY You can't …`.
fn unwrapped(line: &str) -> Option<&str> {
    let mut rest = line.strip_prefix("ERR Error running script (call to f_")?.split_once("): ")?.1;
    while let Some(inner) = rest.strip_prefix("@user_script:") {
        let (number, inner) = inner.split_once(": ")?;
        number.trim().parse::<u32>().ok()?;
        rest = inner;
    }
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    // An error of Lua's own has no code.
    let code = rest.split(' ').next()?;
    let is_code = code.len() > 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    is_code.then_some(rest)
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn line(reply: &str) -> String {
        match redis::parse_redis_value(format!("-{reply}\r\n").as_bytes()) {
            Ok(Value::ServerError(error)) => error_line(&error),
            other => panic!("{other:?}"),
        }
    }

    const READONLY: &str = "READONLY You can't write against a read only replica.";

    #[test]
    fn lines_are_as_redis_wrote_them() {
        for reply in [READONLY, "ERR unknown command 'X'", "BUSY later", "ERR", "MYCODE with text"]
        {
            assert_eq!(line(reply), reply);
        }
    }

    #[test]
    fn what_redis_6_2_wraps_is_unwrapped() {
        let wrapped = |text: &str| {
            let script = "ERR Error running script (call to f_0123456789abcdef)";
            without_script(line(&format!("{script}: {text}")))
        };
        assert_eq!(wrapped(&format!("@user_script:1: @user_script: 1: -{READONLY}")), READONLY);
        let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(wrapped(&format!("@user_script:5: {wrong_type}")), wrong_type);
        let lua = "@user_script:3: user_script:3: attempt to call a nil value";
        assert!(wrapped(lua).starts_with("ERR Error running script"));
    }

    #[test]
    fn only_the_wrong_server_asks_for_another_connection() {
        let wait = "ERR WAIT cannot be used with replica instances. Please also note that";
        for line in [READONLY, wait, "UNBLOCKED force unblock from blocking operation"] {
            assert_eq!(Refusal::of(line), Refusal::WrongServer);
        }
        for line in ["MISCONF x", "NOREPLICAS x", "BUSY x", "TRYAGAIN x", "CLUSTERDOWN x"] {
            assert_eq!(Refusal::of(line), Refusal::NotNow);
        }
        assert_eq!(Refusal::of("NOSCRIPT x"), Refusal::UnknownScript);
        assert_eq!(Refusal::of("NOPERM x"), Refusal::Final);
        let by_others = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
        assert_eq!(Refusal::of(by_others), Refusal::Final);
    }

    #[test]
    fn a_redirection_names_a_slot_and_a_node() {
        let at = |host: &str, port| Endpoint { host: host.into(), port };
        let asked = at("asked", 1);
        let slot = Slot::new(3999).expect("a slot");
        let of = |line: &str| Redirection::of(line, &asked);
        assert_eq!(of("MOVED 3999 h:6381"), Some(Redirection::Moved(slot, at("h", 6381))));
        assert_eq!(of("MOVED 3999 :6381"), Some(Redirection::Moved(slot, at("asked", 6381))));
        assert_eq!(of("MOVED 3999 ::1:6381"), Some(Redirection::Moved(slot, at("::1", 6381))));
        assert_eq!(of("ASK 3999 h:6381"), Some(Redirection::Ask(at("h", 6381))));
        assert_eq!(of("MOVED 3999 ?:1"), Some(Redirection::Unknown));
        for line in ["ERR 3999 ?:1", "MOVED 16384 h:1", "MOVED 1", "MOVED 1 h:x", "ERR 1 h:1"] {
            assert_eq!(of(line), None, "{line}");
        }
    }

    #[test]
    fn a_missing_right_and_an_unknown_command_stay_as_they_are() {
        for line in [
            "NOPERM this user has no permissions",
            "ERR unknown command 'CLIENT'",
            "ERR Command is not available: 'CLIENT|KILL'",
            "unsupported command",
        ] {
            assert!(Refusal::is_for_good(line), "{line}");
        }
        for line in
            ["BUSY x", "LOADING x", "NOAUTH x", "WRONGPASS x", "ERR max number of clients reached"]
        {
            assert!(!Refusal::is_for_good(line), "{line}");
        }
    }
}
