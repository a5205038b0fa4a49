//! Whether the server is still a master. A server may become a replica while its connections stay:
//! nothing would tell who only reads, and reads old versions from then on. So the role is asked
//! again, with what is sent anyway. A state machine like the dispatcher, which owns it.

use redis::Value;
use tokio::time::{Duration, Instant};

use crate::redis::greeting::{Question, check_server, tells_role};
use crate::redis::refusal::{Refusal, error_line};

/// How long a master counts as one. So no read that is called later than this after the server has
/// become a replica is answered by it: the question goes out before the read, on one connection.
pub(crate) const ROLE_AGE: Duration = Duration::from_secs(2);

/// What is known of the role of a connection's server.
pub(crate) struct Role {
    /// `None`, where the server refuses every question.
    question: Option<Question>,
    /// When it was asked last. `None`: ask with the next request.
    asked_at: Option<Instant>,
    /// Whether it was ever answered.
    was_answered: bool,
    /// The latest question was refused: what was sent behind it proves nothing.
    is_unproven: bool,
}

impl Role {
    /// Nobody has asked, and nobody will.
    pub fn unknown() -> Self {
        Self { question: None, asked_at: None, was_answered: false, is_unproven: false }
    }

    /// A connection that was greeted at this time has shown its role then, by this question.
    pub fn greeted(at: Instant, question: Option<Question>) -> Self {
        // `HELLO` had an argument.
        let was_answered = question == Some(Question::Role);
        Self { question, asked_at: Some(at), was_answered, is_unproven: false }
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
            if self.question == Some(question) {
                self.refused(question, &line);
            }
            return if Refusal::of(&line) == Refusal::WrongServer { Err(line) } else { Ok(()) };
        }
        if self.question == Some(question) {
            if question == Question::Hello && !tells_role(answer) {
                self.ask_otherwise(question);
            } else {
                (self.was_answered, self.is_unproven) = (true, false);
            }
        }
        check_server(answer)
    }

    fn refused(&mut self, question: Question, line: &str) {
        // A proxy whose server is away may say so in the words for an unknown command.
        let is_known = self.was_answered && !line.starts_with("NOPERM");
        if !is_known && (Refusal::is_for_good(line) || line.starts_with("ERR")) {
            self.ask_otherwise(question);
        } else if self.is_unproven {
            self.asked_at = None; // What waits for the answer is sent again.
        }
    }

    /// This question is in vain.
    fn ask_otherwise(&mut self, question: Question) {
        self.question = match question {
            Question::Hello => Some(Question::Role),
            Question::Role => None,
        };
        (self.asked_at, self.was_answered) = (None, false);
        self.is_unproven = self.question.is_some();
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
        let mut role = Role::greeted(now, Some(Question::Hello));
        assert_eq!(role.due(false, now + ROLE_AGE - A_MOMENT), None);
        assert_eq!(role.due(false, now + ROLE_AGE), Some(Question::Hello));
        assert_eq!(role.due(false, now + ROLE_AGE + A_MOMENT), None);
        assert_eq!(role.due(false, now + ROLE_AGE * 2), Some(Question::Hello));
    }

    #[test]
    fn what_is_to_prove_something_is_asked_with_the_role() {
        let now = Instant::now();
        let mut role = Role::greeted(now, Some(Question::Hello));
        assert_eq!(role.due(true, now), None);
        assert_eq!(role.due(true, now + A_MOMENT), Some(Question::Hello));
    }

    #[test]
    fn a_server_that_says_that_it_is_a_replica_is_not_used_any_longer() {
        let mut role = Role::greeted(Instant::now(), Some(Question::Hello));
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
        let mut role = Role::greeted(now, Some(Question::Hello));
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
        let mut role = Role::greeted(now, Some(Question::Hello));
        assert_eq!(role.answered(Question::Hello, &answer("-BUSY x\r\n")), Ok(()));
        assert_eq!(role.due(false, now + ROLE_AGE), Some(Question::Hello));
    }

    #[test]
    fn a_question_that_was_answered_before_is_asked_again_after_any_refusal_but_a_missing_right() {
        let mut now = Instant::now();
        let mut role = Role::greeted(now, Some(Question::Hello));
        let away = answer("-ERR upstream failure\r\n");
        for heard in [&hello("master"), &away, &away] {
            now += ROLE_AGE;
            assert_eq!(role.due(false, now), Some(Question::Hello));
            assert_eq!(role.answered(Question::Hello, heard), Ok(()));
        }
        assert_eq!(role.answered(Question::Hello, &answer("-NOPERM x\r\n")), Ok(()));
        assert_eq!(role.due(false, now), Some(Question::Role));
    }

    #[test]
    fn what_waits_for_the_role_asks_at_once_after_a_refusal_of_the_moment() {
        let now = Instant::now();
        let mut role = Role::greeted(now, Some(Question::Hello));
        let refused = |role: &mut Role, question, error| {
            assert_eq!(role.answered(question, &answer(error)), Ok(()));
        };
        refused(&mut role, Question::Hello, "-ERR unknown command\r\n");
        for _ in 0..2 {
            assert!(role.is_unproven());
            assert_eq!(role.due(false, now), Some(Question::Role));
            refused(&mut role, Question::Role, "-BUSY x\r\n");
        }
    }

    #[test]
    fn where_hello_does_not_tell_the_role_it_is_asked_by_role() {
        let now = Instant::now();
        let mut role = Role::greeted(now, Some(Question::Hello));
        assert_eq!(role.answered(Question::Hello, &answer("%0\r\n")), Ok(()));
        assert!(role.is_unproven());
        assert_eq!(role.due(false, now), Some(Question::Role));
    }
}
