//! Whether the server is still a master. A server may become a replica while its connections stay:
//! nothing would tell who only reads, and reads old versions from then on. So the role is asked
//! again, with what is sent anyway. A state machine like the dispatcher, which owns it.

use redis::Value;
use tokio::time::{Duration, Instant};

use crate::redis::greeting::check_server;
use crate::redis::refusal::{Refusal, error_line};
use crate::redis::resp::encode::Command;

/// How long a master counts as one. So no read that is called later than this after the server has
/// become a replica is answered by it: the question goes out before the read, on one connection.
pub(crate) const ROLE_AGE: Duration = Duration::from_secs(2);

/// How the role is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// `HELLO` without arguments.
    Hello,
    /// `ROLE`, where `HELLO` is refused.
    Role,
}

impl Question {
    pub fn encode(self, out: &mut Vec<u8>) {
        Command::new(out, 1).word(match self {
            Self::Hello => "HELLO",
            Self::Role => "ROLE",
        });
    }

    /// What is asked where this is refused.
    fn next(self) -> Option<Self> {
        match self {
            Self::Hello => Some(Self::Role),
            Self::Role => None,
        }
    }
}

/// What is known of the role of a connection's server.
pub(crate) struct Role {
    /// `None`, where the server refuses every question.
    question: Option<Question>,
    /// When it was asked last. `None`: ask with the next request.
    asked_at: Option<Instant>,
    /// The latest question was refused: what was sent behind it proves nothing.
    is_unproven: bool,
}

impl Role {
    /// Nothing is known yet.
    pub fn unknown() -> Self {
        Self { question: Some(Question::Hello), asked_at: None, is_unproven: false }
    }

    /// A connection that was greeted at this time has shown its role then.
    pub fn greeted(at: Instant) -> Self {
        Self { asked_at: Some(at), ..Self::unknown() }
    }

    /// The question to send before the next request, if it is time. `proves`: the request's answer
    /// has to come from a master for certain.
    pub fn due(&mut self, proves: bool, now: Instant) -> Option<Question> {
        let is_due =
            self.asked_at.is_none_or(|asked| asked + ROLE_AGE <= now || (proves && asked < now));
        let question = self.question.filter(|_| is_due)?;
        self.asked_at = Some(now);
        Some(question)
    }

    /// Whether the replies that come now may be those of a replica, as the question before them was
    /// refused. Reads are to be sent again, behind another question.
    pub fn is_unproven(&self) -> bool {
        self.is_unproven
    }

    /// Takes in an answer. `Err`: why the server is not to be used any longer.
    pub fn answered(&mut self, question: Question, answer: &Value) -> Result<(), String> {
        if let Value::ServerError(error) = answer {
            let line = error_line(error);
            let is_for_good = Refusal::is_for_good(&line) || error.code() == "ERR";
            if is_for_good && self.question == Some(question) {
                (self.question, self.asked_at) = (question.next(), None);
                self.is_unproven = self.question.is_some();
            }
            return if Refusal::of(&line) == Refusal::WrongServer { Err(line) } else { Ok(()) };
        }
        if self.question == Some(question) {
            self.is_unproven = false;
        }
        match (question, answer) {
            (Question::Role, Value::Array(parts)) => {
                let name = parts.first().cloned().unwrap_or(Value::Nil);
                check_server(&Value::Map(vec![(Value::BulkString(b"role".to_vec()), name)]))
            }
            (_, answer) => check_server(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_MOMENT: Duration = Duration::from_millis(1);

    fn answer(text: &str) -> Value {
        redis::parse_redis_value(text.as_bytes()).expect("RESP")
    }

    fn hello(role: &str) -> Value {
        answer(&format!("%1\r\n$4\r\nrole\r\n${}\r\n{role}\r\n", role.len()))
    }

    #[test]
    fn the_role_is_asked_again_when_its_confirmation_is_old() {
        let now = Instant::now();
        let mut role = Role::greeted(now);
        assert_eq!(role.due(false, now + ROLE_AGE - A_MOMENT), None);
        assert_eq!(role.due(false, now + ROLE_AGE), Some(Question::Hello));
        assert_eq!(role.due(false, now + ROLE_AGE + A_MOMENT), None);
        assert_eq!(role.due(false, now + ROLE_AGE * 2), Some(Question::Hello));
    }

    #[test]
    fn what_is_to_prove_something_is_asked_with_the_role() {
        let now = Instant::now();
        let mut role = Role::greeted(now);
        assert_eq!(role.due(true, now), None);
        assert_eq!(role.due(true, now + A_MOMENT), Some(Question::Hello));
    }

    #[test]
    fn a_server_that_says_that_it_is_a_replica_is_not_used_any_longer() {
        let mut role = Role::greeted(Instant::now());
        assert_eq!(role.answered(Question::Hello, &hello("master")), Ok(()));
        assert!(role.answered(Question::Hello, &hello("replica")).is_err());
        let of = |name: &str| answer(&format!("*2\r\n${}\r\n{name}\r\n:7\r\n", name.len()));
        assert_eq!(role.answered(Question::Role, &of("master")), Ok(()));
        assert!(role.answered(Question::Role, &of("slave")).is_err());
        let loading = answer("-LOADING Redis is loading\r\n");
        assert!(role.answered(Question::Role, &loading).is_err());
    }

    #[test]
    fn where_hello_is_refused_role_is_asked_at_once_and_then_nothing() {
        let mut now = Instant::now();
        let mut role = Role::greeted(now);
        let refusals = ["-ERR unknown command 'HELLO'\r\n", "-NOPERM no\r\n"].map(answer);
        for (question, refusal) in [Question::Hello, Question::Role].iter().zip(&refusals) {
            now += ROLE_AGE;
            assert!(role.is_unproven() || *question == Question::Hello);
            assert_eq!(role.due(false, now), Some(*question));
            assert_eq!(role.answered(*question, refusal), Ok(()));
            // The answer to a question that was sent before that.
            assert_eq!(role.answered(*question, refusal), Ok(()));
        }
        assert_eq!(role.due(true, now + ROLE_AGE), None);
        assert!(!role.is_unproven(), "nothing proves it there");
    }

    #[test]
    fn a_refusal_of_the_moment_changes_no_question() {
        let now = Instant::now();
        let mut role = Role::greeted(now);
        assert_eq!(role.answered(Question::Hello, &answer("-BUSY x\r\n")), Ok(()));
        assert_eq!(role.due(false, now + ROLE_AGE), Some(Question::Hello));
    }
}
