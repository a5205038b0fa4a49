//! The operations on the records of an audit queue. `redis/records/scripts/` has the same rules for
//! Redis. There are no jobs of BullMQ.

use super::entry::Entry;
use crate::error::{Error, Result};
use crate::memory::apply::Apply;
use crate::memory::contents::Contents;
use crate::memory::moment::Moment;
use crate::operation::letter::{LetterPage, Revived};
use crate::operation::names::Stream;
use crate::operation::queue::{
    Append, Count, CountUnsettled, JobPage, Metrics, ReadJobs, ReadLetters, Remove, Revive,
    TakeJobs,
};
use crate::operation::survey::{Survey, Surveyed};

impl Apply for Append {
    type Context = Stream;

    fn apply(self, stream: &Stream, contents: &mut Contents, at: Moment) -> Result<()> {
        if contents.has_room(stream) {
            contents.append(stream, Entry::from(self.record), at);
            return Ok(());
        }
        Err(Error::BacklogFull { limit: stream.limit() })
    }
}

impl Apply for Count {
    type Context = Stream;

    fn apply(self, stream: &Stream, contents: &mut Contents, at: Moment) -> Result<Metrics> {
        let (queue, ..) = contents.queue(stream);
        Ok(queue.metrics(at))
    }
}

impl Apply for Survey {
    type Context = Stream;

    fn apply(self, stream: &Stream, contents: &mut Contents, at: Moment) -> Result<Surveyed> {
        let (queue, ..) = contents.queue(stream);
        Ok(queue.survey(at))
    }
}

impl Apply for CountUnsettled {
    type Context = Stream;

    fn apply(self, stream: &Stream, contents: &mut Contents, _at: Moment) -> Result<u64> {
        let (queue, ..) = contents.queue(stream);
        Ok(queue.unsettled())
    }
}

impl Apply for ReadLetters {
    type Context = Stream;

    fn apply(self, stream: &Stream, contents: &mut Contents, _at: Moment) -> Result<LetterPage> {
        let (queue, ..) = contents.queue(stream);
        queue.letters.page(&self)
    }
}

impl Apply for Revive {
    type Context = Stream;

    fn apply(self, stream: &Stream, contents: &mut Contents, at: Moment) -> Result<Revived> {
        let (queue, log, wakes) = contents.queue(stream);
        let revived = queue.revive(&self.selection, at, log, wakes);
        revived.ok_or_else(|| Error::invalid("selection", "it names no entry"))
    }
}

impl Apply for Remove {
    type Context = Stream;

    fn apply(self, stream: &Stream, contents: &mut Contents, _at: Moment) -> Result<u64> {
        let (queue, ..) = contents.queue(stream);
        Ok(self.record_ids.iter().filter_map(|id| queue.letters.remove(id)).count() as u64)
    }
}

impl Apply for ReadJobs {
    type Context = Stream;

    fn apply(self, _stream: &Stream, _contents: &mut Contents, _at: Moment) -> Result<JobPage> {
        Ok(JobPage { jobs: Vec::new(), more: false })
    }
}

impl Apply for TakeJobs {
    type Context = Stream;

    fn apply(self, _stream: &Stream, _contents: &mut Contents, _at: Moment) -> Result<u64> {
        Ok(0)
    }
}
