//! A worker: it claims records and settles them, and says what it was answered.

use std::future::Future;
use std::time::Duration;

use synckairos_state::engine::claims::{Answer, Burial, Claims};
use synckairos_state::operation::batch::Batch;

use crate::answer::Entries;
use crate::history::{Pick, Task};

pub struct Worker<C> {
    claims: C,
    /// The entries that it was given, by their numbers.
    given: Vec<usize>,
    /// Where its next look at its own claims goes on.
    after: String,
}

impl<C: Claims> Worker<C> {
    pub fn new(claims: C) -> Self {
        Self { claims, given: Vec::new(), after: String::from("0") }
    }

    pub fn fresh(
        &mut self,
        count: usize,
        wait: Option<Duration>,
    ) -> impl Future<Output = Answer<Batch>> {
        self.claims.fresh(count, wait)
    }

    pub fn waking(&self) -> impl Future<Output = ()> + use<C> {
        self.claims.waking()
    }

    /// Takes note of a batch.
    pub fn given(&mut self, how: &str, batch: Answer<Batch>, entries: &mut Entries) -> String {
        claimed(batch, |batch| {
            let (lines, numbers) = entries.batch(&batch);
            self.given.extend(numbers);
            format!("{how} {lines:#?}")
        })
    }

    /// Does a task; `None` where there is nothing to do it with.
    pub async fn work(&mut self, task: &Task, entries: &mut Entries) -> Option<String> {
        Some(match task {
            Task::Die => return None, // Whoever owns it drops it.
            Task::Fresh(count) => {
                let batch = self.claims.fresh(*count, None).await;
                self.given("fresh", batch, entries)
            }
            Task::Own { count, goes_on } => {
                let from = if *goes_on { self.after.clone() } else { String::from("0") };
                let batch = self.claims.own(*count, &from).await;
                if let Ok(Some(last)) = batch.as_ref().map(|batch| batch.entry_ids.last()) {
                    self.after.clone_from(last);
                }
                self.given("own", batch, entries)
            }
            Task::Abandoned(count) => match self.claims.abandoned(*count).await {
                Ok((batch, 0)) => self.given("abandoned", Ok(batch), entries),
                Ok((_, vanished)) => format!("{vanished} have vanished"),
                Err(lost) => self.given("abandoned", Err(lost), entries),
            },
            Task::Bury(pick, attempts, error, sqlstate) => {
                let (entry_id, record_id) = &entries.seen[self.picked(*pick, entries)?];
                let sqlstate = sqlstate.as_deref();
                let burial = Burial { entry_id, record_id, attempts: *attempts, error, sqlstate };
                claimed(self.claims.bury(burial).await, |was_there| format!("buried {was_there}"))
            }
            Task::Note(name) => {
                let noted = self.claims.note_database(&format!("database {name}")).await;
                claimed(noted, |noted| format!("noted before {noted:?}"))
            }
            Task::Tidy => claimed(self.claims.tidy().await, |()| String::from("tidied")),
            Task::Settle(picks) => {
                let ids = self.ids(picks, entries)?;
                claimed(self.claims.settle(&ids).await, |left| format!("{left} left"))
            }
            Task::Delay(picks, seconds, counted) => {
                let ids = self.ids(picks, entries)?;
                let delayed = self.claims.delay(&ids, Duration::from_secs(*seconds), *counted);
                claimed(delayed.await, |tries| format!("tries {tries:?}"))
            }
            Task::Keep(picks) => {
                let ids = self.ids(picks, entries)?;
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                claimed(self.claims.keep(&ids).await, |()| String::from("kept"))
            }
            Task::Release(picks) => {
                let ids = self.ids(picks, entries)?;
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                claimed(self.claims.release(&ids).await, |()| String::from("released"))
            }
        })
    }

    fn picked(&self, pick: Pick, entries: &Entries) -> Option<usize> {
        if pick.is_own {
            return self.given.get(pick.number.checked_rem(self.given.len())?).copied();
        }
        pick.number.checked_rem(entries.seen.len())
    }

    /// The ids of entries, each once; `None` where there are none: no worker asks about nothing.
    fn ids(&self, picks: &[Pick], entries: &Entries) -> Option<Vec<String>> {
        let mut numbers: Vec<usize> =
            picks.iter().filter_map(|pick| self.picked(*pick, entries)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let ids: Vec<String> =
            numbers.iter().map(|number| entries.seen[*number].0.clone()).collect();
        (!ids.is_empty()).then_some(ids)
    }
}

/// The answer to a claim, or that the claims are lost.
fn claimed<T>(answer: Answer<T>, told: impl FnOnce(T) -> String) -> String {
    match answer {
        Ok(answer) => told(answer),
        Err(lost) => format!("lost: {}, vanished: {}", lost.reason, lost.vanished),
    }
}
