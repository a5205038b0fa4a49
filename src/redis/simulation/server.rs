//! A simulated Redis: sessions that are counted up, a ledger, and whatever makes it refuse.

use std::collections::{HashMap, HashSet};

use redis::Value;
use tokio::time::{Duration, Instant};

use crate::redis::ledger::Ledger;
use crate::redis::resp::decoder::{Decoder, Frame};

/// How many words the command of a request has. Those that the client asks for itself have fewer.
pub const WORDS: usize = 7;

/// A reply, the request that it is for, and for how long the server blocks before it.
pub struct Reply {
    pub id: i64,
    pub bytes: Vec<u8>,
    pub after: Duration,
}

/// What a server is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Well,
    /// It refuses changes, with this error.
    RefusesChanges(&'static str),
    /// It refuses everything, with this error.
    RefusesAll(&'static str),
    /// It can be reached, and does nothing.
    Paused,
    /// It cannot be reached.
    Down,
}

/// A command that was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executed {
    pub id: i64,
    pub session: u64,
    /// What it was answered with.
    pub answer: i64,
}

#[derive(Default)]
struct Connection {
    input: Decoder,
    is_killed: bool,
    /// What is executed by `EXEC`; `None` outside of a transaction.
    queued: Option<Vec<Executed>>,
    /// Whether something could not be queued.
    is_aborted: bool,
    /// It leads to a server that is a replica now, since when, and what that one has stored.
    demoted: Option<(Instant, HashMap<u64, i64>)>,
}

/// Which commands this user may call, but for those that it calls always.
#[derive(Debug, Clone, Copy)]
pub struct Rights {
    /// To end connections.
    pub fence: bool,
    pub hello: bool,
    pub role: bool,
    pub wait: bool,
}

pub struct Server {
    pub mode: Mode,
    pub rights: Rights,
    /// Whether the replica has what is executed when `WAIT` comes.
    pub is_replica_well: bool,
    /// The changes that the replica has for certain.
    pub replicated: HashSet<i64>,
    /// Reads that were answered by a server that had become a replica, and when it had.
    pub stale: HashMap<i64, Instant>,
    /// Whether the scripts are known.
    pub knows_scripts: bool,
    /// The changes, in the order in which they were executed.
    pub executed: Vec<Executed>,
    /// Requests that were refused for now, at least once.
    pub refused: HashSet<i64>,
    versions: HashMap<u64, i64>,
    ledger: HashMap<u64, (u64, i64)>,
    connections: HashMap<i64, Connection>,
}

impl Server {
    pub fn new(rights: Rights) -> Self {
        Self {
            mode: Mode::Well,
            rights,
            is_replica_well: true,
            replicated: HashSet::new(),
            stale: HashMap::new(),
            knows_scripts: false,
            executed: Vec::new(),
            refused: HashSet::new(),
            versions: HashMap::new(),
            ledger: HashMap::new(),
            connections: HashMap::new(),
        }
    }

    pub fn open(&mut self, connection: i64) {
        self.connections.insert(connection, Connection::default());
    }

    /// Executes nothing more that comes by this connection.
    pub fn kill(&mut self, connection: i64) {
        if let Some(one) = self.connections.get_mut(&connection) {
            one.is_killed = true;
        }
    }

    /// Another server takes over, which new connections lead to. The old one becomes a replica that
    /// gets nothing more, and keeps its connections.
    pub fn demote(&mut self, now: Instant) {
        for one in self.connections.values_mut() {
            one.demoted.get_or_insert((now, self.versions.clone()));
        }
    }

    pub fn restart(&mut self) {
        self.knows_scripts = false;
        self.connections.values_mut().for_each(|one| one.is_killed = true);
    }

    pub fn version(&self, session: u64) -> i64 {
        self.versions.get(&session).copied().unwrap_or(0)
    }

    /// Takes bytes in.
    pub fn receive(&mut self, connection: i64, bytes: &[u8]) -> Vec<Reply> {
        let Some(one) = self.connections.get_mut(&connection).filter(|one| !one.is_killed) else {
            return Vec::new();
        };
        one.input.buffer().extend_from_slice(bytes);
        let mut commands = Vec::new();
        while let Ok(Some(Frame::Reply(Value::Array(words), _))) = one.input.next() {
            commands.push(words);
        }
        let mut replies = Vec::new();
        for words in commands {
            let words: Vec<String> = words.iter().map(text_of).collect();
            replies.push(if words.len() == WORDS {
                let (id, bytes) = self.execute(connection, &words);
                Reply { id, bytes, after: Duration::ZERO }
            } else {
                let (bytes, after) = self.execute_internal(connection, &words);
                Reply { id: 0, bytes, after }
            });
        }
        replies
    }

    /// What the client asks for itself: the reply, and for how long it blocks.
    fn execute_internal(&mut self, connection: i64, words: &[String]) -> (Vec<u8>, Duration) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let is_replica = self.is_demoted(connection);
        let Rights { hello, role, wait, .. } = self.rights;
        if let Mode::RefusesAll(error) = self.mode
            && (role || words[0] != "ROLE")
            && words[0] != "HELLO"
        {
            return (format!("-{error} by the simulation\r\n").into_bytes(), Duration::ZERO);
        }
        let reply = match words[..] {
            ["HELLO"] if hello && is_replica => "%1\r\n$4\r\nrole\r\n$7\r\nreplica\r\n",
            ["HELLO"] if hello => "%1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n",
            ["HELLO"] => "-ERR unknown command 'HELLO'\r\n",
            ["ROLE"] if role && is_replica => "*1\r\n$5\r\nslave\r\n",
            ["ROLE"] if role => "*1\r\n$6\r\nmaster\r\n",
            ["ROLE"] | ["WAIT", ..] if !wait || words[0] == "ROLE" => "-NOPERM no rights\r\n",
            ["WAIT", ..] if is_replica => "-ERR WAIT cannot be used with replica instances.\r\n",
            ["WAIT", "1", _] if self.is_replica_well => {
                self.replicated.extend(self.executed.iter().map(|one| one.id));
                ":1\r\n"
            }
            ["WAIT", "1", ms] => {
                let blocks = Duration::from_millis(ms.parse().expect("milliseconds"));
                return (b":0\r\n".to_vec(), blocks);
            }
            _ => panic!("{words:?}"),
        };
        (reply.as_bytes().to_vec(), Duration::ZERO)
    }

    fn is_demoted(&self, connection: i64) -> bool {
        self.connections.get(&connection).is_some_and(|one| one.demoted.is_some())
    }

    /// A read. What a replica answers can be told from what a master does.
    fn read(&mut self, connection: i64, id: i64, session: u64) -> i64 {
        let demoted = self.connections.get(&connection).and_then(|one| one.demoted.as_ref());
        let Some((since, versions)) = demoted else { return self.version(session) };
        self.stale.insert(id, *since);
        -1 - versions.get(&session).copied().unwrap_or(0)
    }

    fn execute(&mut self, connection: i64, words: &[String]) -> (i64, Vec<u8>) {
        let text = |at: usize| words[at].clone();
        let number = |at: usize| text(at).parse::<u64>().expect("a number");
        let (name, id, session) = (text(0), number(1) as i64, number(2));
        let is_script = matches!(name.as_str(), "WRITE" | "LOCKED");
        let refusal = match self.mode {
            _ if self.is_demoted(connection) && name != "READ" => Some("READONLY"),
            Mode::RefusesAll(error) => Some(error),
            Mode::RefusesChanges(error) if name != "READ" => Some(error),
            _ => None,
        };
        if matches!(name.as_str(), "MULTI" | "QUEUED" | "EXEC") {
            return (id, self.transact(connection, &name, id, session, refusal));
        }
        if let Some(error) = refusal {
            self.refused.insert(id);
            return (id, format!("-{error} by the simulation\r\n").into_bytes());
        }
        if is_script && text(6) == "source" {
            self.knows_scripts = true;
        }
        if is_script && !self.knows_scripts {
            return (id, b"-NOSCRIPT No matching script.\r\n".to_vec());
        }
        let reply = match name.as_str() {
            "READ" => self.read(connection, id, session),
            "MESSAGE" | "OPAQUE" => {
                self.executed.push(Executed { id, session, answer: 1 });
                1
            }
            _ => {
                match self.write(id, session, number(4), text(5) == "repeated", &name, number(3)) {
                    Some(version) => version,
                    None => return (id, b"*1\r\n$8\r\nconflict\r\n".to_vec()),
                }
            }
        };
        (id, format!(":{reply}\r\n").into_bytes())
    }

    /// A command of a transaction. Redis begins and ends one whatever it is in.
    fn transact(
        &mut self,
        connection: i64,
        name: &str,
        id: i64,
        session: u64,
        refusal: Option<&str>,
    ) -> Vec<u8> {
        let Some(one) = self.connections.get_mut(&connection) else { return Vec::new() };
        match (name, one.queued.take()) {
            ("MULTI", None) => {
                (one.queued, one.is_aborted) = (Some(Vec::new()), false);
                b"+OK\r\n".to_vec()
            }
            ("QUEUED", Some(mut queued)) => {
                queued.push(Executed { id, session, answer: 1 });
                one.queued = Some(queued);
                one.is_aborted |= refusal.is_some();
                let Some(error) = refusal else { return b"+QUEUED\r\n".to_vec() };
                self.refused.insert(id);
                format!("-{error} by the simulation\r\n").into_bytes()
            }
            ("EXEC", Some(_)) if one.is_aborted => b"-EXECABORT Discarded.\r\n".to_vec(),
            ("EXEC", Some(queued)) => {
                assert!(queued.iter().all(|one| one.id == id), "a transaction of two requests");
                self.executed.extend(queued);
                b"*1\r\n:1\r\n".to_vec()
            }
            (name, _) => panic!("{name} out of place"),
        }
    }

    /// The script of a write, with its ledger. `None`: a conflict.
    fn write(
        &mut self,
        id: i64,
        session: u64,
        number: u64,
        repeated: bool,
        name: &str,
        expected: u64,
    ) -> Option<i64> {
        let place = number % Ledger::PLACES;
        if repeated
            && let Some((noted, version)) = self.ledger.get(&place)
            && *noted == number
        {
            return Some(*version);
        }
        let version = self.version(session);
        if name == "LOCKED" && version != expected as i64 {
            return None;
        }
        self.versions.insert(session, version + 1);
        self.ledger.insert(place, (number, version + 1));
        self.executed.push(Executed { id, session, answer: version + 1 });
        Some(version + 1)
    }
}

fn text_of(word: &Value) -> String {
    match word {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("{other:?}"),
    }
}
