//! Several answers, which come in any order, as one.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// Waits for several answers. `done` is called with all of them when the last one has come.
pub(super) struct Gather<T, D>(Mutex<State<T, D>>);

struct State<T, D> {
    answers: Vec<Option<T>>,
    missing: usize,
    failure: Option<Error>,
    done: Option<D>,
}

impl<T, D: FnOnce(Result<Vec<Option<T>>>)> Gather<T, D> {
    /// Waits for so many, one or more, which have places below `places`.
    pub fn new(places: usize, count: usize, done: D) -> Arc<Self> {
        let answers = (0..places).map(|_| None).collect();
        let state = State { answers, missing: count, failure: None, done: Some(done) };
        Arc::new(Self(Mutex::new(state)))
    }

    /// One has come. Where one has failed and others have changed something, or may have, nobody knows what
    /// has changed.
    pub fn tell(&self, place: usize, answer: Result<T>, changes: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(answer) => {
                if let Some(noted) = state.answers.get_mut(place) {
                    *noted = Some(answer);
                }
            }
            // Of several failures, one that may have changed something.
            Err(error) if !matches!(state.failure, Some(Error::OutcomeUnknown { .. })) => {
                state.failure = Some(error);
            }
            Err(_) => {}
        }
        state.missing = state.missing.saturating_sub(1);
        if state.missing > 0 {
            return;
        }
        let answers = std::mem::take(&mut state.answers);
        let (failure, done) = (state.failure.take(), state.done.take());
        drop(state); // Not to be held while others' code runs.
        let Some(done) = done else { return };
        done(match failure {
            None => Ok(answers),
            Some(error) if changes && answers.iter().any(Option::is_some) => {
                Err(Error::unknown(format!("a part of it was done, the rest was not: {error}")))
            }
            Some(error) => Err(error),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn it_is_done_once_when_the_last_answer_has_come() {
        let (tell, told) = channel();
        let gather = Gather::new(3, 2, move |answers| tell.send(answers).expect("a receiver"));
        gather.tell(2, Ok(5), false);
        assert!(told.try_recv().is_err());
        gather.tell(0, Ok(4), false);
        let answers = told.try_recv().expect("an outcome").expect("answers");
        assert_eq!(answers, [Some(4), None, Some(5)]);
        gather.tell(0, Ok(4), false);
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn a_part_that_may_have_been_done_counts_more_than_one_that_was_not() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let (tell, told) = channel();
            let done = move |answers| tell.send(answers).expect("a receiver");
            let gather: Arc<Gather<u64, _>> = Gather::new(3, 3, done);
            for place in order {
                let failure = match place {
                    1 => Error::unknown("no answer"),
                    _ => Error::unavailable("away"),
                };
                gather.tell(place, Err(failure), true);
            }
            let error = told.try_recv().expect("an outcome").expect_err("a failure");
            assert_eq!(error.code(), "OUTCOME_UNKNOWN");
        }
    }

    #[test]
    fn a_change_of_which_a_part_failed_does_not_say_that_nothing_has_changed() {
        for (changes, code) in [(false, "REDIS_UNAVAILABLE"), (true, "OUTCOME_UNKNOWN")] {
            let (tell, told) = channel();
            let gather = Gather::new(2, 2, move |answers| tell.send(answers).expect("a receiver"));
            gather.tell(0, Ok(1), changes);
            gather.tell(1, Err(Error::unavailable("away")), changes);
            let error = told.try_recv().expect("an outcome").expect_err("a failure");
            assert_eq!(error.code(), code);
        }
    }
}
