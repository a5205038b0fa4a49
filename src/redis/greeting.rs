//! What a connection says first: which protocol it speaks, who is speaking, and in which database.
//! The answers tell what the server knows the connection by, and whether it is the right server: a
//! replica and a part of a cluster are not.
//!
//! `HELLO` comes first. Where a server or a proxy does not know it, the same connection goes on in
//! RESP2: `AUTH` says who is speaking. `ROLE` tells whether the server is a replica, and `INFO` whether it
//! is a part of a cluster, where `HELLO` does not.

#[cfg(test)]
mod tests;

use redis::{Cmd, Value};

use crate::keys;
use crate::redis::refusal::{Refusal, error_line};
use crate::redis::resp::encode::Command;

pub(crate) const REPLICA: &str = "it is a replica: connect to its master";

/// Why a part of a cluster is not used as a server of its own.
pub(crate) const CLUSTER: &str = "it is a part of a cluster";

/// Why another database than 0 is not used there.
const NO_DATABASES: &str = "it is a part of a cluster, which has no database but 0: leave db out";

/// Why a server of its own is not used as a part of a cluster.
const NO_CLUSTER: &str = "it is not a part of a cluster: name it by redis:// or { host, port }";

/// A password of no more bytes may be a part of any word.
const SHORT: usize = 3;

/// The user of whoever gives a password alone.
const DEFAULT_USER: &str = "default";

/// Who is speaking, and in which database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub username: Option<String>,
    pub password: Option<String>,
    pub db: i64,
}

/// In which shapes a server replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Strings, integers, lists and null. What clients have always shown their callers.
    Resp2,
    /// More types, and pushes among the replies.
    Resp3,
}

/// Enough to find a connection again from another one. Ids alone are not: a restarted server
/// hands them out again from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the server calls it.
    pub id: i64,
    /// What it has called itself.
    pub name: String,
}

/// A greeting that is not finished: the commands to send next, and what is to be made of their
/// answers.
pub(crate) struct Greeting {
    login: Login,
    protocol: Protocol,
    name: String,
    /// Whether `HELLO` is asked. Else it was refused.
    with_hello: bool,
    /// Whether `ROLE` is asked.
    with_role: bool,
    expected: Expected,
}

/// What a server is expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A master, not in a cluster.
    Alone,
    /// A master in a cluster.
    Master,
    /// Any node of a cluster.
    Node,
    /// A sentinel.
    Sentinel,
    /// Any node of a cluster, or a master: each is sent what is published to channels that are not sharded.
    Publisher,
}

/// How a server is asked for its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// `HELLO` without arguments.
    Hello,
    /// `ROLE`, where `HELLO` is refused, or does not tell.
    Role,
}

impl Question {
    pub fn word(self) -> &'static str {
        match self {
            Self::Hello => "HELLO",
            Self::Role => "ROLE",
        }
    }

    pub fn encode(self, out: &mut Vec<u8>) {
        Command::new(out, 1).word(self.word());
    }
}

/// What the answers to a greeting lead to.
pub(crate) enum Next {
    /// The connection is to be greeted in another way.
    Again(Greeting),
    /// The connection is ready.
    Done(Greeted),
}

/// What is known of a connection that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeted {
    /// What it speaks.
    pub protocol: Protocol,
    /// What the server knows it by: `None` where it does not tell this user.
    pub identity: Option<Identity>,
    /// What the server tells its role by: `None` where it does not.
    pub question: Option<Question>,
    /// Whether the server is a sentinel, which has no data.
    pub is_sentinel: bool,
}

impl Greeting {
    pub fn new(login: &Login, protocol: Protocol, expected: Expected) -> Self {
        let name = keys::link_name(fastrand::u64(..));
        Self { login: login.clone(), protocol, name, with_hello: true, with_role: false, expected }
    }

    pub fn commands(&self) -> Vec<Cmd> {
        let mut commands = self.login_commands();
        // The name is for the fence, and for operators who read `CLIENT LIST`.
        commands.push(redis::cmd("CLIENT").arg("SETNAME").arg(&self.name).to_owned());
        commands.push(redis::cmd("CLIENT").arg("ID").to_owned());
        if !self.with_hello && self.expected == Expected::Alone {
            // Nothing else tells of clusters then.
            commands.push(redis::cmd("INFO").arg("cluster").to_owned());
        }
        if self.with_role {
            commands.push(redis::cmd("ROLE"));
        }
        commands
    }

    /// What the connection cannot be used without.
    fn login_commands(&self) -> Vec<Cmd> {
        let mut commands = Vec::new();
        if self.with_hello {
            commands.push(self.hello());
        } else if let Some((username, password)) = self.credentials() {
            let mut auth = redis::cmd("AUTH");
            if username != DEFAULT_USER {
                auth.arg(username); // Old servers know no users.
            }
            commands.push(auth.arg(password).to_owned());
        }
        if self.login.db != 0 {
            commands.push(redis::cmd("SELECT").arg(self.login.db).to_owned());
        }
        if !self.with_hello {
            // All else may be refused by a proxy whose server is away, or wants a password.
            commands.push(redis::cmd("PING"));
        }
        commands
    }

    fn hello(&self) -> Cmd {
        let mut hello = redis::cmd("HELLO");
        hello.arg(match self.protocol {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        });
        if let Some((username, password)) = self.credentials() {
            hello.arg("AUTH").arg(username).arg(password);
        }
        hello
    }

    /// A user name and a password. A user may need no password: an empty one then.
    fn credentials(&self) -> Option<(&str, &str)> {
        let Login { username, password, .. } = &self.login;
        (username.is_some() || password.is_some()).then(|| {
            let username = username.as_deref().unwrap_or(DEFAULT_USER);
            (username, password.as_deref().unwrap_or_default())
        })
    }

    /// Takes the answers to the commands. `Err` where the connection is not to be used.
    pub fn answered(mut self, answers: Vec<Value>) -> Result<Next, String> {
        let hello = answers.first().filter(|_| self.with_hello);
        if hello.is_some_and(|answer| self.is_without_hello(answer)) {
            (self.with_hello, self.with_role) = (false, true);
            self.protocol = Protocol::Resp2;
            return Ok(Next::Again(self));
        }
        let mut question = hello.filter(|answer| tells_role(answer)).map(|_| Question::Hello);
        if !self.with_role && hello.is_some_and(is_silent) {
            self.with_role = true;
            return Ok(Next::Again(self));
        }
        if let Some(Value::Array(_)) = hello {
            self.protocol = Protocol::Resp2; // Some speak nothing else, and do not say so.
        }
        let rights = self.login_commands().len();
        let (mut id, mut is_named) = (None, false);
        let mut is_sentinel = false;
        for (at, answer) in answers.into_iter().enumerate() {
            // A replica in a cluster tells of the cluster first: it knows the masters.
            self.check_mode(&answer)?;
            self.expected.check_role(&answer)?;
            is_sentinel |= role_of(&answer).is_some_and(|role| is(role, "sentinel"))
                || field(&answer, "mode").is_some_and(|mode| is(mode, "sentinel"));
            match answer {
                Value::ServerError(error) => {
                    let line = error_line(&error);
                    // Who may not ask for that can do without.
                    if at < rights || !Refusal::is_for_good(&line) {
                        return Err(self.without_password(&line));
                    }
                }
                Value::Okay => is_named |= at == rights,
                Value::Int(int) => id = Some(int),
                Value::Array(_) if at > rights => question = Some(Question::Role),
                _ => {}
            }
        }
        let identity = id.filter(|_| is_named).map(|id| Identity { id, name: self.name });
        Ok(Next::Done(Greeted { protocol: self.protocol, identity, question, is_sentinel }))
    }

    /// Looks at what `HELLO` or `INFO` tells of clusters. `Err`: why the server is not to be used.
    fn check_mode(&self, answer: &Value) -> Result<(), String> {
        let Some(is_cluster) = tells_cluster(answer) else { return Ok(()) };
        match (self.expected == Expected::Alone, is_cluster) {
            _ if matches!(self.expected, Expected::Publisher | Expected::Sentinel) => Ok(()),
            (true, true) if self.login.db != 0 => Err(String::from(NO_DATABASES)),
            (true, true) => Err(String::from(CLUSTER)),
            (true, false) => Ok(()),
            (false, false) => Err(String::from(NO_CLUSTER)),
            (false, true) => match field(answer, "version").and_then(text) {
                Some(version) if is_before_sharded_channels(version) => Err(format!(
                    "it is Redis {version}, which has no sharded channels (SPUBLISH): a cluster needs \
                     Redis 7, Valkey 7.2 or later"
                )),
                _ => Ok(()),
            },
        }
    }

    /// Servers quote what came with a command that they do not know: a password, with `AUTH`.
    fn without_password(&self, line: &str) -> String {
        let told = line.split_once(", with args").map_or(line, |(told, _)| told);
        match self.login.password.as_deref() {
            Some(password) if password.len() > SHORT => told.replace(password, "***"),
            _ => told.to_owned(),
        }
    }

    /// Whether this answer to `HELLO` means that the server does not know it. Some that do not know
    /// it ask for `AUTH` before they say so.
    fn is_without_hello(&self, answer: &Value) -> bool {
        let Value::ServerError(error) = answer else { return false };
        let line = error_line(error);
        Refusal::is_for_good(&line) || (error.code() == "NOAUTH" && self.credentials().is_some())
    }
}

impl Expected {
    /// Looks at what `HELLO` or `ROLE` tells of the server's role. `Err`: why the server is not to be used.
    pub fn check_role(self, answer: &Value) -> Result<(), String> {
        match self {
            Self::Alone | Self::Master => check_server(answer),
            Self::Node | Self::Sentinel => Ok(()),
            Self::Publisher => match field(answer, "mode") {
                Some(mode) if is(mode, "cluster") => Ok(()),
                _ => check_server(answer),
            },
        }
    }
}

/// Looks at what `HELLO` or `ROLE` tells of the server. `Err`: why the server is not to be used.
pub(crate) fn check_server(answer: &Value) -> Result<(), String> {
    let is_replica = |role: &Value| is(role, "replica") || is(role, "slave");
    let roles = [role_of(answer), field(answer, "role")];
    if roles.into_iter().flatten().any(is_replica) { Err(String::from(REPLICA)) } else { Ok(()) }
}

/// Whether this answer to `HELLO` says which role the server has.
pub(crate) fn tells_role(answer: &Value) -> bool {
    field(answer, "role").is_some()
}

/// Whether the server is a part of a cluster, where this answer to `HELLO` or `INFO` tells.
fn tells_cluster(answer: &Value) -> Option<bool> {
    let mode = field(answer, "mode").map(|mode| is(mode, "cluster"));
    mode.or_else(|| text(answer)?.contains("cluster_enabled:1").then_some(true))
}

/// Whether this answer to `HELLO` leaves out the role. A sentinel has none.
fn is_silent(answer: &Value) -> bool {
    let is_sentinel = field(answer, "mode").is_some_and(|mode| is(mode, "sentinel"));
    matches!(answer, Value::Map(_) | Value::Array(_)) && !tells_role(answer) && !is_sentinel
}

/// A field of the answer to `HELLO`: a list in RESP2.
fn field<'a>(answer: &'a Value, field: &str) -> Option<&'a Value> {
    match answer {
        Value::Map(fields) => {
            fields.iter().find(|(name, _)| is(name, field)).map(|(_, value)| value)
        }
        Value::Array(fields) => {
            fields.chunks_exact(2).find(|pair| is(&pair[0], field)).map(|pair| &pair[1])
        }
        _ => None,
    }
}

/// The first word of `ROLE`. In RESP2 `HELLO` begins with the name of its first field.
fn role_of(answer: &Value) -> Option<&Value> {
    if let Value::Array(parts) = answer { parts.first() } else { None }
}

fn is(value: &Value, word: &str) -> bool {
    text(value) == Some(word)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(line) => Some(line),
        _ => None,
    }
}

/// Valkey 7.2 is the first of its name.
fn is_before_sharded_channels(version: &str) -> bool {
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|it| it < 7)
}
