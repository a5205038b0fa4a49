//! The claims of one of two kinds.

use std::future::Future;
use std::time::Duration;

use futures_util::future::Either;

use super::claims::{Answer, Burial, Claims};
use crate::operation::batch::Batch;

/// The same call of whichever of the two there is.
macro_rules! either {
    ($one:expr, $it:ident => $call:expr) => {
        match $one {
            Either::Left($it) => $call,
            Either::Right($it) => $call,
        }
    };
}

impl<L: Claims, R: Claims> Claims for Either<L, R> {
    fn is_first(&self) -> bool {
        either!(self, it => it.is_first())
    }

    async fn fresh(&mut self, count: usize, wait: Option<Duration>) -> Answer<Batch> {
        either!(self, it => it.fresh(count, wait).await)
    }

    fn waking(&self) -> impl Future<Output = ()> + Send + use<L, R> {
        match self {
            Either::Left(left) => Either::Left(left.waking()),
            Either::Right(right) => Either::Right(right.waking()),
        }
    }

    async fn own(&mut self, count: usize, after: &str) -> Answer<Batch> {
        either!(self, it => it.own(count, after).await)
    }

    async fn abandoned(&mut self, count: usize) -> Answer<(Batch, usize)> {
        either!(self, it => it.abandoned(count).await)
    }

    async fn settle(&mut self, entry_ids: &[String]) -> Answer<u64> {
        either!(self, it => it.settle(entry_ids).await)
    }

    async fn is_drained(&mut self) -> Answer<bool> {
        either!(self, it => it.is_drained().await)
    }

    async fn delay(
        &mut self,
        entry_ids: &[String],
        delay: Duration,
        counted: bool,
    ) -> Answer<Vec<u32>> {
        either!(self, it => it.delay(entry_ids, delay, counted).await)
    }

    async fn bury(&mut self, burial: Burial<'_>) -> Answer<bool> {
        either!(self, it => it.bury(burial).await)
    }

    async fn keep(&mut self, entry_ids: &[&str]) -> Answer<()> {
        either!(self, it => it.keep(entry_ids).await)
    }

    async fn release(&mut self, entry_ids: &[&str]) -> Answer<()> {
        either!(self, it => it.release(entry_ids).await)
    }

    async fn note_database(&mut self, name: &str) -> Answer<Option<String>> {
        either!(self, it => it.note_database(name).await)
    }

    async fn tidy(&mut self) -> Answer<()> {
        either!(self, it => it.tidy().await)
    }

    async fn warnings(&mut self) -> Vec<String> {
        either!(self, it => it.warnings().await)
    }
}
