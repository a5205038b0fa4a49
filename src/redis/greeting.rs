//! What a connection says first: which protocol it speaks, who is speaking, and in which database.
//! The answers tell what the server knows the connection by, and whether it is the right server: a
//! replica and a part of a cluster are not.
//!
//! `HELLO` comes first. Where a server or a proxy does not know it, the same connection goes on in
//! RESP2: `AUTH` says who is speaking. `ROLE` tells whether the server is a replica, and `INFO` whether it
//! is a part of a cluster, where `HELLO` does not.

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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answers: &[&str]) -> Vec<Value> {
        let read = |text: &&str| redis::parse_redis_value(text.as_bytes()).expect("RESP");
        answers.iter().map(read).collect()
    }

    fn finished(answers: &[&str]) -> Result<Option<i64>, String> {
        match Greeting::new(&Login::default(), Protocol::Resp3, Expected::Alone)
            .answered(read(answers))?
        {
            Next::Done(greeted) => Ok(greeted.identity.map(|one| one.id)),
            Next::Again(_) => panic!("asked again"),
        }
    }

    /// The greeting of a server that refuses `HELLO` by this error.
    fn without_hello(login: &Login, error: &str) -> Result<Greeting, String> {
        let answers = read(&[error, "-NOAUTH x\r\n", "-NOAUTH x\r\n"]);
        match Greeting::new(login, Protocol::Resp3, Expected::Alone).answered(answers)? {
            Next::Again(greeting) => Ok(greeting),
            Next::Done(_) => panic!("greeted"),
        }
    }

    fn greeted(greeting: Greeting, answers: &[&str]) -> Result<Greeted, String> {
        match greeting.answered(read(answers))? {
            Next::Done(greeted) => Ok(greeted),
            Next::Again(_) => panic!("asked again"),
        }
    }

    fn words(greeting: &Greeting) -> Vec<String> {
        let text = |command: &Cmd| String::from_utf8(command.get_packed_command()).expect("text");
        let words =
            |packed: String| packed.split("\r\n").skip(2).step_by(2).collect::<Vec<_>>().join(" ");
        greeting.commands().iter().map(|command| words(text(command))).collect()
    }

    const UNKNOWN: &str = "-ERR unknown command 'HELLO', with args beginning with: '3' \r\n";
    const HELLO: &str = "%1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n";
    const LISTED: &str = "*2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n";
    const SILENT: &str = "*2\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n";
    const ALONE: &str = "$17\r\ncluster_enabled:0\r\n";
    const PART: &str = "$17\r\ncluster_enabled:1\r\n";
    const MASTER: &str = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
    const REPLICA_OF: &str = "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$7\r\nconnect\r\n:-1\r\n";

    #[test]
    fn a_server_that_does_not_know_hello_is_greeted_in_resp2() {
        for error in [
            UNKNOWN,
            "-NOPERM this user has no permissions to run the 'hello' command\r\n",
            "-NOPROTO unsupported protocol version\r\n",
            "-ERR Unsupported command\r\n",
            "-unsupported command 'hello'\r\n",
            "-ERR Command is not available: 'HELLO'\r\n",
            "-ERR wrong number of arguments for 'hello' command\r\n",
        ] {
            let greeting = without_hello(&Login::default(), error).expect(error);
            assert_eq!(words(&greeting)[2..], ["CLIENT ID", "INFO cluster", "ROLE"], "{error}");
            let answers = ["+PONG\r\n", "+OK\r\n", ":7\r\n", ALONE, MASTER];
            let greeted = greeted(greeting, &answers).expect(error);
            assert_eq!(greeted.protocol, Protocol::Resp2);
            assert_eq!(greeted.identity.map(|one| one.id), Some(7));
            assert_eq!(greeted.question, Some(Question::Role));
        }
    }

    #[test]
    fn a_part_of_a_cluster_that_does_not_know_hello_is_known_by_info() {
        let greeting = without_hello(&Login::default(), UNKNOWN).expect("again");
        let answers = ["+PONG\r\n", "+OK\r\n", ":7\r\n", PART, MASTER];
        assert_eq!(greeted(greeting, &answers), Err(CLUSTER.into()));
        let node = Greeting::new(&Login::default(), Protocol::Resp3, Expected::Master);
        let Ok(Next::Again(again)) = node.answered(read(&[UNKNOWN])) else { panic!("again") };
        assert_eq!(words(&again)[2..], ["CLIENT ID", "ROLE"]);
    }

    #[test]
    fn a_server_that_knows_none_of_it_is_used_all_the_same() {
        let greeting = without_hello(&Login::default(), UNKNOWN).expect("again");
        let answers = ["+PONG\r\n", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN];
        let greeted = greeted(greeting, &answers).expect("greeted");
        assert_eq!((greeted.identity, greeted.question), (None, None));
    }

    #[test]
    fn a_proxy_whose_server_is_away_is_not_used() {
        let away = "-ERR upstream failure\r\n";
        let greeting = without_hello(&Login::default(), away).expect("again");
        assert_eq!(greeted(greeting, &[away; 4]), Err("ERR upstream failure".into()));
    }

    #[test]
    fn in_resp2_auth_says_who_is_speaking() {
        let login = |username: Option<&str>, password: Option<&str>, db| Login {
            username: username.map(str::to_owned),
            password: password.map(str::to_owned),
            db,
        };
        let words = |login, error| {
            let words = words(&without_hello(&login, error).expect("again"));
            words[..words.len() - 5].join(", ")
        };
        let noauth = "-NOAUTH Authentication required.\r\n";
        assert_eq!(words(login(None, Some("p"), 3), UNKNOWN), "AUTH p, SELECT 3");
        assert_eq!(words(login(Some("default"), Some("p"), 0), noauth), "AUTH p");
        assert_eq!(words(login(Some("u"), Some("p"), 0), noauth), "AUTH u p");
        assert_eq!(words(login(None, None, 2), UNKNOWN), "SELECT 2");
    }

    #[test]
    fn a_wrong_or_a_missing_password_is_told_as_such() {
        let login = Login { password: Some("p".into()), ..Login::default() };
        let wrong = "WRONGPASS invalid username-password pair";
        let error = |text: &str| format!("-{text}\r\n");
        let first = without_hello(&login, &error(wrong));
        assert_eq!(first.err().as_deref(), Some(wrong));
        for line in [wrong, "ERR invalid password"] {
            let greeting = without_hello(&login, UNKNOWN).expect("again");
            let error = error(line);
            let mut answers = ["-NOAUTH x\r\n"; 5];
            answers[0] = &error;
            assert_eq!(greeted(greeting, &answers), Err(line.into()));
        }
        let missing = without_hello(&Login::default(), "-NOAUTH Authentication required.\r\n");
        assert_eq!(missing.err().as_deref(), Some("NOAUTH Authentication required."));
    }

    #[test]
    fn in_resp2_role_tells_of_a_replica() {
        let greeting = || without_hello(&Login::default(), UNKNOWN).expect("again");
        let answers = |role| ["+PONG\r\n", "+OK\r\n", ":7\r\n", role];
        assert!(greeted(greeting(), &answers(MASTER)).is_ok());
        assert_eq!(greeted(greeting(), &answers(REPLICA_OF)), Err(REPLICA.into()));
    }

    fn asked(login: &Login, hello: &str) -> Result<Next, String> {
        let answers = read(&[hello, "+OK\r\n", ":7\r\n"]);
        Greeting::new(login, Protocol::Resp3, Expected::Alone).answered(answers)
    }

    #[test]
    fn a_server_that_answers_hello_by_a_list_speaks_resp2() {
        for (hello, protocol) in [(HELLO, Protocol::Resp3), (LISTED, Protocol::Resp2)] {
            let Ok(Next::Done(greeted)) = asked(&Login::default(), hello) else {
                panic!("not greeted")
            };
            assert_eq!((greeted.protocol, greeted.question), (protocol, Some(Question::Hello)));
        }
    }

    #[test]
    fn a_server_whose_hello_does_not_tell_the_role_is_asked_by_role() {
        let again = || match asked(&Login::default(), SILENT) {
            Ok(Next::Again(greeting)) => greeting,
            _ => panic!("not asked again"),
        };
        let words = words(&again());
        assert_eq!([words[0].as_str(), words[3].as_str()], ["HELLO 3", "ROLE"]);
        let answers = |role| [SILENT, "+OK\r\n", ":7\r\n", role];
        let question = |role| greeted(again(), &answers(role)).map(|greeted| greeted.question);
        assert_eq!(question(MASTER), Ok(Some(Question::Role)));
        assert_eq!(question(REPLICA_OF), Err(REPLICA.into()));
        assert_eq!(question(UNKNOWN), Ok(None));
    }

    #[test]
    fn a_sentinel_has_no_role() {
        let sentinel = "%1\r\n$4\r\nmode\r\n$8\r\nsentinel\r\n";
        assert!(matches!(asked(&Login::default(), sentinel), Ok(Next::Done(_))));
    }

    #[test]
    fn the_password_is_not_told_where_a_server_quotes_it() {
        let login = Login { password: Some("hunter2".into()), ..Login::default() };
        for quoted in ["`AUTH`, with args beginning with: `hunt", "AUTH hunter2"] {
            let line = format!("-ERR unknown command {quoted}\r\n");
            let greeting = without_hello(&login, UNKNOWN).expect("again");
            let told = greeted(greeting, &[line.as_str(); 5]).expect_err("a refusal");
            assert!(told.starts_with("ERR unknown command") && !told.contains("hunt"), "{told}");
        }
    }

    #[test]
    fn a_sentinel_is_known_by_its_mode_or_its_role() {
        let hello = "%1\r\n$4\r\nmode\r\n$8\r\nsentinel\r\n";
        let greeting = Greeting::new(&Login::default(), Protocol::Resp3, Expected::Alone);
        let by_hello = greeted(greeting, &[hello, "+OK\r\n", ":7\r\n"]).expect("greeted");
        assert!(by_hello.is_sentinel);
        let role = "*2\r\n$8\r\nsentinel\r\n*1\r\n$1\r\nm\r\n";
        let greeting = || without_hello(&Login::default(), UNKNOWN).expect("again");
        let by_role = greeted(greeting(), &["+PONG\r\n", "+OK\r\n", ":7\r\n", role]);
        assert!(by_role.expect("greeted").is_sentinel);
        let master = greeted(greeting(), &["+PONG\r\n", "+OK\r\n", ":7\r\n", MASTER]);
        assert!(!master.expect("greeted").is_sentinel);
    }

    #[test]
    fn a_connection_is_known_by_its_id_and_its_name() {
        for hello in [HELLO, LISTED] {
            assert_eq!(finished(&[hello, "+OK\r\n", ":7\r\n"]), Ok(Some(7)));
        }
    }

    #[test]
    fn who_may_not_ask_does_without_an_identity() {
        for error in ["-NOPERM no\r\n", "-ERR unknown command 'CLIENT'\r\n"] {
            assert_eq!(finished(&[HELLO, error, ":7\r\n"]), Ok(None));
            assert_eq!(finished(&[HELLO, "+OK\r\n", error]), Ok(None));
        }
    }

    #[test]
    fn a_refusal_of_the_moment_is_no_missing_right() {
        for error in ["-BUSY x\r\n", "-LOADING x\r\n"] {
            assert!(finished(&[HELLO, error, ":7\r\n"]).is_err());
            assert!(finished(&[HELLO, "+OK\r\n", error]).is_err());
        }
        assert_eq!(
            finished(&["-WRONGPASS no\r\n", "+OK\r\n", ":7\r\n"]),
            Err("WRONGPASS no".into())
        );
    }

    #[test]
    fn neither_a_replica_nor_a_part_of_a_cluster_is_used() {
        let of = |role: &str, mode: &str| {
            let (roles, modes) = (role.len(), mode.len());
            let fields =
                format!("$4\r\nrole\r\n${roles}\r\n{role}\r\n$4\r\nmode\r\n${modes}\r\n{mode}\r\n");
            let [map, array] = [format!("%2\r\n{fields}"), format!("*4\r\n{fields}")];
            let map = finished(&[&map, "+OK\r\n", ":7\r\n"]);
            assert_eq!(map, finished(&[&array, "+OK\r\n", ":7\r\n"]));
            map
        };
        assert_eq!(of("master", "standalone"), Ok(Some(7)));
        assert_eq!(of("master", "sentinel"), Ok(Some(7)));
        assert_eq!(of("replica", "standalone"), Err(REPLICA.into()));
        assert_eq!(of("slave", "standalone"), Err(REPLICA.into()));
        assert_eq!(of("master", "cluster"), Err(CLUSTER.into()));
        assert_eq!(of("replica", "cluster"), Err(CLUSTER.into()));
    }

    #[test]
    fn a_node_of_a_cluster_is_one_and_has_sharded_channels() {
        let greeted = |expected, role: &str, mode: &str, version: &str| {
            let field = |text: &str| format!("${}\r\n{text}\r\n", text.len());
            let fields = ["role", role, "mode", mode, "version", version].map(field).concat();
            let answers = [&*format!("%3\r\n{fields}"), "+OK\r\n", ":7\r\n"];
            let greeting = Greeting::new(&Login::default(), Protocol::Resp3, expected);
            greeting.answered(read(&answers)).map(|_| ())
        };
        for expected in [Expected::Master, Expected::Node] {
            assert_eq!(greeted(expected, "master", "cluster", "7.0.15"), Ok(()));
            assert_eq!(greeted(expected, "master", "cluster", "10.0.0"), Ok(()));
            let old = greeted(expected, "master", "cluster", "6.2.14");
            assert!(old.is_err_and(|reason| reason.contains("6.2.14")));
            let alone = greeted(expected, "master", "standalone", "7.0.15");
            assert_eq!(alone, Err(NO_CLUSTER.into()));
        }
        assert_eq!(greeted(Expected::Node, "replica", "cluster", "7.0.15"), Ok(()));
        assert_eq!(greeted(Expected::Publisher, "replica", "cluster", "7.0.15"), Ok(()));
        for (expected, mode) in [(Expected::Master, "cluster"), (Expected::Publisher, "standalone")]
        {
            assert_eq!(greeted(expected, "replica", mode, "7.0.15"), Err(REPLICA.into()));
        }
        for mode in ["standalone", "cluster"] {
            assert_eq!(greeted(Expected::Publisher, "master", mode, "7.0.15"), Ok(()));
        }
    }

    #[test]
    fn another_database_than_the_first_is_refused_in_a_cluster() {
        let hello = "%2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$4\r\nmode\r\n$7\r\ncluster\r\n";
        let login = Login { db: 3, ..Login::default() };
        let greeting = Greeting::new(&login, Protocol::Resp3, Expected::Alone);
        let select = "-ERR SELECT is not allowed in cluster mode\r\n";
        let answers = read(&[hello, select, "+OK\r\n", ":7\r\n"]);
        assert_eq!(greeting.answered(answers).err().as_deref(), Some(NO_DATABASES));
    }

    #[test]
    fn who_is_speaking_is_said_with_the_protocol() {
        let login = Login { username: None, password: Some("p".into()), db: 3 };
        let words = words(&Greeting::new(&login, Protocol::Resp2, Expected::Alone));
        assert_eq!(words[..2], ["HELLO 2 AUTH default p", "SELECT 3"]);
        assert_eq!(words.len(), 4);
    }

    #[test]
    fn a_user_without_a_password_is_spoken_for_with_an_empty_one() {
        let hello = |username: Option<&str>| {
            let login = Login { username: username.map(str::to_owned), ..Login::default() };
            let commands = Greeting::new(&login, Protocol::Resp3, Expected::Alone).commands();
            String::from_utf8(commands[0].get_packed_command()).expect("text")
        };
        assert!(hello(Some("reader")).ends_with("$4\r\nAUTH\r\n$6\r\nreader\r\n$0\r\n\r\n"));
        assert!(!hello(None).contains("AUTH"));
    }
}
