//! What is known of a thread between its stops.

use super::{Outcome, Sleeper};
use crate::profile::{NodeId, Thread, ThreadId};
use crate::sample::roles::ThreadRole;

/// Stops of a thread without JavaScript on its stack until it is taken for one that never has any: a
/// worker starts within some milliseconds.
const STOPS_WITHOUT_JAVASCRIPT: u32 = 32;

/// What is known of a thread.
#[derive(Clone, Debug)]
pub(super) struct ThreadState {
    pub(super) id: Option<ThreadId>,
    /// What it is, until its first sample.
    pub(super) unseen: Option<Thread>,
    /// Where its stacks begin in the call tree, once it has an id.
    pub(super) base: NodeId,
    pub(super) is_first: bool,
    /// Its isolate, as the root register has it; 0: not known.
    pub(super) root: u64,
    /// Bytes of stack that the last walks needed.
    pub(super) stack_bytes: usize,
    /// It has run JavaScript, or is the one that will: the process' first.
    pub(super) is_javascript: bool,
    pub(super) without_javascript: u32,
    /// Where its stack ends, once a read has met it; 0: not known.
    pub(super) stack_end: u64,
    /// Where it waited at the last visit without a stop, and its stack's node.
    pub(super) slept: Option<(Sleeper, NodeId)>,
}

impl ThreadState {
    pub(super) fn new(unseen: Option<Thread>, is_first: bool) -> Self {
        ThreadState {
            id: None,
            unseen,
            base: NodeId::ROOT,
            is_first,
            root: 0,
            stack_bytes: 0,
            is_javascript: is_first,
            without_javascript: 0,
            stack_end: 0,
            slept: None,
        }
    }

    pub(super) fn role(&self) -> ThreadRole {
        match self.is_javascript {
            _ if self.is_first => ThreadRole::Main,
            true => ThreadRole::Worker,
            false => ThreadRole::Helper,
        }
    }

    pub(super) fn not_javascript(&mut self) -> Outcome {
        self.without_javascript += 1;
        match self.without_javascript {
            ..STOPS_WITHOUT_JAVASCRIPT => Outcome::NotJavaScript,
            _ => Outcome::NeverJavaScript,
        }
    }

    pub(super) fn reaches_end(&self, sp: u64, got: usize) -> bool {
        // A signal's handler may run on another stack, below or above.
        sp < self.stack_end && sp.saturating_add(got as u64) >= self.stack_end
    }
}
