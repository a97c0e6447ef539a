//! What a thread is: V8's main thread, a worker, or a helper that runs no JavaScript.
//!
//! Node before 24 gives its threads no names of their own: the functions at a helper's start tell what it
//! does.

use super::raw::RawFrame;
use super::resolve::Symbols;
use super::sampler::Sampler;
use crate::profile::{FrameId, NodeId, ThreadId};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What a thread is in its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadRole {
    /// The process' first.
    Main,
    /// It has run JavaScript: a worker.
    Worker,
    /// It has run none.
    Helper,
}

/// Frames from the outermost one in which a helper's purpose is looked for: the C library's start of a
/// thread, and what wraps the thread's own function.
const START_FRAMES: u32 = 5;

/// Functions at the start of Node's threads, as in `src/node_platform.cc`, `src/inspector_*.cc` and
/// `deps/uv/src/threadpool.c` of Node, and `src/libplatform/*-worker-thread.cc` of V8. A name that ends so,
/// or the whole of it where it is one word.
const STARTS: [(&str, &str); 11] = [
    ("::PlatformWorkerThread", "V8 worker"),
    ("::platform::WorkerThread::Run", "V8 worker"),
    ("::DefaultWorkerThreadsTaskRunner::WorkerThread::Run", "V8 worker"),
    ("::BackgroundRunner", "V8 worker"),
    ("::DelayedTaskScheduler::Run", "delayed tasks"),
    ("::DelayedTaskScheduler::Start()::{lambda(void*)#1}::_FUN", "delayed tasks"),
    ("::StartIoThreadMain", "signal inspector"),
    ("::InspectorIo::ThreadMain", "inspector"),
    ("::SigintWatchdogHelper::RunSigintWatchdog", "interrupt watchdog"),
    ("::Watchdog::Run", "watchdog"),
    ("worker", "libuv worker"),
];

/// At the start of a worker's thread, which runs native code for some time before its first JavaScript. The
/// function in it has no name that is the same in all versions.
const WORKER_START: &str = "node::worker::Worker::StartThread";

/// In the place of a name: a worker is numbered.
const WORKER: &str = "";

/// Names that say no more than that it is a thread of Node.
const PLAIN: [&str; 3] = ["node", "WorkerThread", "[worker]"];

impl Sampler<'_> {
    /// Names those threads that have no name of their own. Workers are numbered as their threads are.
    pub(super) fn name_threads(&mut self, symbols: &mut dyn Symbols) {
        let starts = self.starts(symbols);
        let roles = &self.roles;
        let start_of = |number: usize| {
            starts.iter().find(|start| usize::from(start.0.0) == number).map_or("helper", |start| start.1)
        };
        let role_of = |number: usize| match roles.get(number).copied().unwrap_or(ThreadRole::Helper) {
            ThreadRole::Helper if start_of(number) == WORKER => ThreadRole::Worker,
            role => role,
        };
        let threads = self.recorder.threads_mut();
        let mut by_tid: Vec<(u32, usize)> =
            (0..).zip(&*threads).map(|(number, known)| (known.tid, number)).collect();
        by_tid.sort_unstable();
        let mut workers = 0;
        for (_, number) in by_tid {
            let role = role_of(number);
            workers += u32::from(role == ThreadRole::Worker);
            let Some(thread) = threads.get_mut(number) else { continue };
            if !thread.name.is_empty() && !PLAIN.contains(&thread.name.as_str()) {
                continue;
            }
            thread.name = match role {
                ThreadRole::Main => "main".into(),
                ThreadRole::Worker => format!("worker {workers}"),
                ThreadRole::Helper => start_of(number).into(),
            };
        }
    }

    /// What the functions at the start of each helper tell of it.
    fn starts(&self, symbols: &mut dyn Symbols) -> Vec<(ThreadId, &'static str)> {
        let (tree, frames) = (self.recorder.tree(), self.recorder.raw_frames());
        // For each node near a helper's root that root's thread, and the distance from it.
        let mut near: Vec<Option<(ThreadId, u32)>> = Vec::with_capacity(tree.len());
        let mut found: Vec<(ThreadId, &'static str)> = Vec::new();
        let mut name = String::new();
        for node in tree.nodes() {
            let above = near.get(node.parent.0 as usize).copied().flatten();
            let raw = node.frame.and_then(|FrameId(frame)| frames.get(frame as usize));
            near.push(match (raw, above) {
                (Some(RawFrame::Thread(id)), _) if node.parent == NodeId::ROOT => Some((*id, 0)),
                (Some(RawFrame::Native(place)), Some((id, depth))) if depth < START_FRAMES => {
                    name.clear();
                    symbols.name(*place, &mut name);
                    if let Some(start) = start(&name).filter(|_| found.iter().all(|known| known.0 != id)) {
                        found.push((id, start));
                    }
                    Some((id, depth + 1))
                }
                _ => None,
            });
        }
        found
    }
}

fn start(name: &str) -> Option<&'static str> {
    let is = |end: &str| if end.starts_with("::") { name.ends_with(end) } else { name == end };
    if name.starts_with(WORKER_START) {
        return Some(WORKER);
    }
    STARTS.iter().find(|(end, _)| is(end)).map(|known| known.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_are_told_by_the_functions_at_their_start() {
        assert_eq!(start("node::(anonymous namespace)::PlatformWorkerThread"), Some("V8 worker"));
        assert_eq!(start("worker"), Some("libuv worker"));
        let node_16 = "node::WorkerThreadsTaskRunner::DelayedTaskScheduler::Start()::{lambda(void*)#1}::_FUN";
        assert_eq!(start(node_16), Some("delayed tasks"));
        assert_eq!(
            start("node::worker::Worker::StartThread(v8::Value const&)::{lambda(void*)#1}::_FUN"),
            Some(WORKER)
        );
        assert_eq!(start("my::worker"), None);
        assert_eq!(start(""), None);
    }
}
