//! A request on its way through the dispatcher, from its submission until it is settled.

use std::collections::VecDeque;

use redis::Value;

use crate::error::Result;
use crate::operation::Effect;
use crate::redis::conversation::Sending;
use crate::redis::greeting::Question;
use crate::redis::order::Access;
use crate::redis::request::Request;
use crate::redis::topology::cluster::NodeNumber;

/// A request that is not settled.
pub(crate) struct Pending {
    pub request: Box<dyn Request>,
    /// Its number in the ledger, from the first try on.
    pub number: Option<u64>,
    /// The nodes that a try was sent to whose answer was lost.
    pub tried_at: Vec<NodeNumber>,
    pub with_source: bool,
    /// The node that is to be asked this time, as the one that has the slot says (`ASK`).
    pub asking: Option<NodeNumber>,
    /// Why a node of a cluster has refused a part of it, in this try.
    pub refused_part: Option<String>,
    /// How often Redis has refused it for now, and why it did last.
    pub refusals: u32,
    pub refusal: Option<String>,
}

impl Pending {
    pub fn new(request: Box<dyn Request>) -> Self {
        Self {
            request,
            number: None,
            tried_at: Vec::new(),
            with_source: false,
            asking: None,
            refused_part: None,
            refusals: 0,
            refusal: None,
        }
    }

    /// Whether it may have been executed already.
    pub fn is_repeated(&self) -> bool {
        !self.tried_at.is_empty()
    }

    /// A try was sent to this node, and its answer lost.
    pub fn is_unanswered_at(&mut self, node: NodeNumber) {
        if !self.tried_at.contains(&node) {
            self.tried_at.push(node);
        }
    }

    pub fn access(&self) -> Access<'_> {
        self.request.access()
    }

    pub fn sending(&self) -> Sending {
        let changes = self.request.effect() != Effect::Read;
        let (documents, replies) = (self.request.documents(), self.request.replies());
        Sending { changes, documents, replies, blocks: self.request.blocks() }
    }
}

/// Who waits for a reply.
pub(crate) enum Asker {
    Call(Pending),
    /// The dispatcher, for the server's role.
    Role(Question),
    /// The dispatcher, for how many replicas have what was written.
    Replicas,
    /// Nobody: it lets the next command pass (`ASKING`).
    Asking,
}

impl Asker {
    pub fn call(self) -> Option<Pending> {
        if let Self::Call(pending) = self { Some(pending) } else { None }
    }
}

/// A request that has come to its end, to be told so when no lock is held.
pub(crate) struct Settled {
    request: Box<dyn Request>,
    outcome: Result<Value>,
}

impl Settled {
    pub fn new(request: Box<dyn Request>, outcome: Result<Value>) -> Self {
        Self { request, outcome }
    }

    pub fn tell(self) {
        self.request.settle(self.outcome);
    }
}

/// Takes some out of a queue, and keeps the order of the rest.
pub(crate) fn extract(
    queue: &mut VecDeque<Pending>,
    mut is_one: impl FnMut(&Pending) -> bool,
) -> VecDeque<Pending> {
    let (taken, kept) = std::mem::take(queue).into_iter().partition(|pending| is_one(pending));
    *queue = kept;
    taken
}
