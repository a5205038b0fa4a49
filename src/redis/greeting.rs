//! What a connection says first: which protocol it speaks, who is speaking, and in which database.
//! The answers tell what the server knows the connection by, and whether it is the right server: a
//! replica and a part of a cluster are not.

use redis::{Cmd, Value};

use crate::keys;
use crate::redis::refusal::{Refusal, error_line};

pub(crate) const REPLICA: &str = "it is a replica: connect to its master";

const CLUSTER: &str = "it is a part of a cluster, which this version does not support";

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

/// The commands of a greeting, in order, and what is to be made of their answers.
pub(crate) struct Greeting {
    login: Login,
    protocol: Protocol,
    name: String,
}

impl Greeting {
    pub fn new(login: &Login, protocol: Protocol) -> Self {
        Self { login: login.clone(), protocol, name: keys::link_name(fastrand::u64(..)) }
    }

    pub fn commands(&self) -> Vec<Cmd> {
        let mut hello = redis::cmd("HELLO");
        hello.arg(match self.protocol {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        });
        let Login { username, password, .. } = &self.login;
        if username.is_some() || password.is_some() {
            // A user may need no password: an empty one then.
            let username = username.as_deref().unwrap_or("default");
            hello.arg("AUTH").arg(username).arg(password.as_deref().unwrap_or_default());
        }
        let mut commands = vec![hello];
        if self.login.db != 0 {
            commands.push(redis::cmd("SELECT").arg(self.login.db).to_owned());
        }
        // The name is for the fence, and for operators who read `CLIENT LIST`.
        commands.push(redis::cmd("CLIENT").arg("SETNAME").arg(&self.name).to_owned());
        commands.push(redis::cmd("CLIENT").arg("ID").to_owned());
        commands
    }

    /// What the server knows the connection by: `None` where it does not tell this user. `Err`
    /// where the connection is not to be used.
    pub fn finish(self, answers: Vec<Value>) -> Result<Option<Identity>, String> {
        let rights = answers.len().saturating_sub(2);
        let mut id = None;
        let mut is_named = false;
        for (at, answer) in answers.into_iter().enumerate() {
            if at == 0 {
                check_server(&answer)?;
            }
            match answer {
                Value::ServerError(error) => {
                    let line = error_line(&error);
                    // Who may not ask for that can do without.
                    if at < rights || !Refusal::is_for_good(&line) {
                        return Err(line);
                    }
                }
                Value::Okay => is_named = at == rights,
                Value::Int(int) => id = Some(int),
                _ => {}
            }
        }
        Ok(id.filter(|_| is_named).map(|id| Identity { id, name: self.name }))
    }
}

/// Looks at what `HELLO` tells of the server. `Err`: why the server is not to be used.
pub(crate) fn check_server(hello: &Value) -> Result<(), String> {
    let tells = |field: &str| match hello {
        Value::Map(fields) => {
            fields.iter().find(|(name, _)| is(name, field)).map(|(_, value)| value)
        }
        Value::Array(fields) => {
            fields.chunks_exact(2).find(|pair| is(&pair[0], field)).map(|pair| &pair[1])
        }
        _ => None,
    };
    if tells("role").is_some_and(|role| is(role, "replica") || is(role, "slave")) {
        return Err(String::from(REPLICA));
    }
    if tells("mode").is_some_and(|mode| is(mode, "cluster")) {
        return Err(String::from(CLUSTER));
    }
    Ok(())
}

fn is(value: &Value, text: &str) -> bool {
    matches!(value, Value::BulkString(bytes) if bytes == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(answers: &[&str]) -> Result<Option<i64>, String> {
        let read = |text: &&str| redis::parse_redis_value(text.as_bytes()).expect("RESP");
        let greeting = Greeting::new(&Login::default(), Protocol::Resp3);
        greeting
            .finish(answers.iter().map(read).collect())
            .map(|identity| identity.map(|one| one.id))
    }

    #[test]
    fn a_connection_is_known_by_its_id_and_its_name() {
        for hello in ["%0\r\n", "*2\r\n$5\r\nproto\r\n:2\r\n"] {
            assert_eq!(finished(&[hello, "+OK\r\n", ":7\r\n"]), Ok(Some(7)));
        }
    }

    #[test]
    fn who_may_not_ask_does_without_an_identity() {
        for error in ["-NOPERM no\r\n", "-ERR unknown command 'CLIENT'\r\n"] {
            assert_eq!(finished(&["%0\r\n", error, ":7\r\n"]), Ok(None));
            assert_eq!(finished(&["%0\r\n", "+OK\r\n", error]), Ok(None));
        }
    }

    #[test]
    fn a_refusal_of_the_moment_is_no_missing_right() {
        for error in ["-BUSY x\r\n", "-LOADING x\r\n"] {
            assert!(finished(&["%0\r\n", error, ":7\r\n"]).is_err());
            assert!(finished(&["%0\r\n", "+OK\r\n", error]).is_err());
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
    }

    #[test]
    fn who_is_speaking_is_said_with_the_protocol() {
        let login = Login { username: None, password: Some("p".into()), db: 3 };
        let packed: Vec<_> = Greeting::new(&login, Protocol::Resp2)
            .commands()
            .iter()
            .map(|command| String::from_utf8_lossy(&command.get_packed_command()).into_owned())
            .collect();
        assert!(packed[0].contains("HELLO\r\n$1\r\n2") && packed[0].contains("default"));
        assert!(packed[1].contains("SELECT"));
        assert_eq!(packed.len(), 4);
    }

    #[test]
    fn a_user_without_a_password_is_spoken_for_with_an_empty_one() {
        let hello = |username: Option<&str>| {
            let login = Login { username: username.map(str::to_owned), ..Login::default() };
            let commands = Greeting::new(&login, Protocol::Resp3).commands();
            String::from_utf8(commands[0].get_packed_command()).expect("text")
        };
        assert!(hello(Some("reader")).ends_with("$4\r\nAUTH\r\n$6\r\nreader\r\n$0\r\n\r\n"));
        assert!(!hello(None).contains("AUTH"));
    }
}
