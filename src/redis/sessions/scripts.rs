//! The scripts that change sessions: one for each rule, with the constants of its namespace written
//! into it, because Redis spends much of a call on the arguments.
//!
//! A script is the concatenation of the ledger's part ([`Script::noting`]), the constants, and the
//! files in `scripts/`, each of which names its keys, arguments and answers.

use crate::keys::Keys;
use crate::operation::names::Namespace;
use crate::operation::record;
use crate::operation::rule::Rule;
use crate::redis::script::Script;

const RIGHTS: &str = include_str!("scripts/rights.lua");
const BACKLOG: &str = include_str!("scripts/backlog.lua");
const ANNOUNCE: &str = include_str!("scripts/announce.lua");
const EXPIRY: &str = include_str!("scripts/expiry.lua");
const LIFE: &str = include_str!("scripts/life.lua");
const VERSION: &str = include_str!("scripts/version.lua");
const CREATE: &str = include_str!("scripts/create.lua");
const ABSENT: &str = include_str!("scripts/absent.lua");
const LOCKED: &str = include_str!("scripts/locked.lua");
const ANY: &str = include_str!("scripts/any.lua");
const RESTORE: &str = include_str!("scripts/restore.lua");
const STORE: &str = include_str!("scripts/store.lua");
const DELETE: &str = include_str!("scripts/delete.lua");
const EXPIRE: &str = include_str!("scripts/expire.lua");

/// The scripts of one namespace.
pub(crate) struct Scripts {
    create: Script,
    absent: Script,
    locked: Script,
    any: Script,
    restore: Script,
    delete: Script,
    expire: Script,
}

impl Scripts {
    /// The scripts of a namespace, with these names: those of one of so many partitions; `None`: those of
    /// one server.
    pub fn new(namespace: &Namespace, keys: &Keys, partitions: Option<usize>) -> Self {
        let constants = |event: &str| constants(namespace, keys, partitions, event);
        let life = if namespace.announce_expiry { [EXPIRY, LIFE].concat() } else { String::new() };
        let script = |event: &str, parts: &[&str]| {
            let shared = [&*constants(event), RIGHTS, BACKLOG, ANNOUNCE, &life].concat();
            Script::noting(&[&*shared, &parts.concat()].concat())
        };
        let expire = [&*constants(record::EXPIRED), RIGHTS, BACKLOG, EXPIRY, EXPIRE].concat();
        Self {
            create: script(record::CREATED, &[CREATE, STORE]),
            absent: script(record::CREATED, &[ABSENT, STORE]),
            locked: script(record::UPDATED, &[VERSION, LOCKED, STORE]),
            any: script(record::UPDATED, &[VERSION, ANY, STORE]),
            restore: script(record::RESTORED, &[VERSION, RESTORE, STORE]),
            delete: script(record::DELETED, &[DELETE]),
            expire: Script::new(&expire),
        }
    }

    /// The script that writes by a rule.
    pub fn write(&self, rule: Rule) -> &Script {
        match rule {
            Rule::Create => &self.create,
            Rule::CreateIfAbsent => &self.absent,
            Rule::Locked { .. } => &self.locked,
            Rule::Any => &self.any,
            Rule::Restore { .. } => &self.restore,
        }
    }

    /// The script that deletes.
    pub fn delete(&self) -> &Script {
        &self.delete
    }

    /// The script that tells of sessions that have expired.
    pub fn expire(&self) -> &Script {
        &self.expire
    }
}

/// The constants, as the files in `scripts/` name them.
fn constants(namespace: &Namespace, keys: &Keys, partitions: Option<usize>, event: &str) -> String {
    let Namespace { ttl_seconds, audit, .. } = namespace;
    let limit = audit.as_deref().map_or(0, |stream| stream.share(partitions.unwrap_or(1)));
    [
        // Before the session id in a session's key.
        ("KEY_PREFIX", quoted(&keys.session_prefix)),
        // What updates say their sessions' prefix is.
        ("TOLD_PREFIX", quoted(&namespace.keys.session_prefix)),
        // How and where updates and deletions are published.
        ("PUBLISH", quoted(if partitions.is_some() { "SPUBLISH" } else { "PUBLISH" })),
        ("CHANNEL", quoted(&keys.updates_channel)),
        // Of a session, seconds. A string: Redis formats each number that a command gets.
        ("TTL", quoted(&ttl_seconds.to_string())),
        // What the audit record says has happened.
        ("EVENT", quoted(event)),
        // How many audit records may wait; 0: any number.
        ("BACKLOG_LIMIT", limit.to_string()),
    ]
    .map(|(name, literal)| format!("local {name} = {literal}\n"))
    .concat()
}

/// A string as a Lua literal. Whatever is not plain ASCII becomes a decimal escape, byte by byte.
fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => literal.extend(['\\', char::from(byte)]),
            b' '..=b'~' => literal.push(char::from(byte)),
            // Of three digits: the next character may be a digit, too.
            _ => literal.push_str(&format!("\\{byte:03}")),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::keys::AuditKeys;
    use crate::operation::names::Stream;
    use crate::operation::rule::Over;

    fn namespace(session_prefix: &str) -> Namespace {
        let keys = Keys { session_prefix: session_prefix.into(), ..Keys::default() };
        Namespace { keys, ttl_seconds: 60, replicas: None, announce_expiry: false, audit: None }
    }

    fn scripts(session_prefix: &str) -> Scripts {
        let namespace = namespace(session_prefix);
        Scripts::new(&namespace, &namespace.keys, None)
    }

    #[test]
    fn a_literal_escapes_what_would_end_or_change_it() {
        assert_eq!(quoted(""), r#""""#);
        assert_eq!(quoted("session:a-b_c~"), r#""session:a-b_c~""#);
        assert_eq!(quoted(r#"'"\n]]--"#), r#""'\"\\n]]--""#);
        assert_eq!(quoted("a\nb\r\t\u{7f}"), r#""a\010b\013\009\127""#);
        assert_eq!(quoted("\u{0}1é"), r#""\0001\195\169""#);
    }

    #[test]
    fn the_constants_are_those_of_the_namespace() {
        let stream = Stream { keys: AuditKeys::of("q"), max_backlog: Some(7), replicas: None };
        let namespace = Namespace { audit: Some(Arc::new(stream)), ..namespace("p:\n") };
        assert_eq!(
            constants(&namespace, &namespace.keys, None, "happened"),
            r#"local KEY_PREFIX = "p:\010"
local TOLD_PREFIX = "p:\010"
local PUBLISH = "PUBLISH"
local CHANNEL = "session-updates"
local TTL = "60"
local EVENT = "happened"
local BACKLOG_LIMIT = 7
"#
        );
    }

    #[test]
    fn each_rule_and_each_namespace_has_scripts_of_its_own() {
        let rules = [
            Rule::Create,
            Rule::CreateIfAbsent,
            Rule::Locked { expected: 1 },
            Rule::Any,
            Rule::Restore { least: 1, over: Over::Anything },
        ];
        let namespaces = ["session:", "other:"].map(scripts);
        let mut digests: Vec<&str> = namespaces
            .iter()
            .flat_map(|scripts| {
                let writes = rules.map(|rule| scripts.write(rule).digest());
                writes.into_iter().chain([scripts.delete().digest()])
            })
            .collect();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 2 * (rules.len() + 1));
    }

    #[test]
    fn equal_namespaces_share_their_scripts() {
        let [one, other] = [(); 2].map(|()| scripts("p:"));
        assert_eq!(one.write(Rule::Any).digest(), other.write(Rule::Any).digest());
    }
}
