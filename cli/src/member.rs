//! One process of a session: what its samples are taken with.

use crate::command;
use crate::followed::Followed;
use crate::symbols::{DebugFiles, Names};
use crate::target::{Files, NodeVersion, Target};
use flame_core::profile::{Meta, Profile, Receipt};
use flame_core::sample::sampler::Sampler;
use flame_sys::process::Process;
use flame_sys::session::ThreadKey;

/// A Node process that is sampled.
pub struct Member {
    /// It.
    pub followed: Followed,
    /// Its executable and script.
    pub command: String,
    /// V8's version.
    pub v8: String,
    /// Node's version, once it is known.
    pub node: Option<String>,
    /// Takes its samples.
    pub sampler: Sampler<'static>,
    debug_files: DebugFiles,
    version: NodeVersion,
}

impl Member {
    /// Makes ready to sample a target as `wanted`; the process itself is for the session.
    pub fn new(target: Target, wanted: &command::Profile) -> (Member, Process) {
        let Target { process, maps, objects, v8, elf, image, version, command } = target;
        let version_of_v8 = image.layout.version.to_string();
        let followed = Followed::new(process.pid(), objects);
        let mut sampler = followed.sampler(&elf, image, maps, v8);
        if wanted.source {
            sampler.keep_sources();
        }
        if wanted.threads {
            sampler.split_by_thread();
        }
        let member = Member {
            followed,
            command,
            v8: version_of_v8,
            node: None,
            sampler,
            debug_files: DebugFiles::of(&process),
            version,
        };
        (member, process)
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.followed.pid
    }

    /// A thread of it was found.
    pub fn started(&mut self, thread: ThreadKey) {
        let known = self.followed.thread(thread.tid);
        self.sampler.thread(usize::from(thread.index), known, thread.tid == self.pid());
        self.read_version();
    }

    /// What is done now and then, with no thread held.
    pub fn look_after(&mut self, files: &mut Files) {
        self.followed.look_after(&mut self.sampler, files);
        self.read_version();
    }

    fn read_version(&mut self) {
        if self.node.is_none() {
            self.node = self.version.read();
        }
    }

    /// It has ended: releases what only a living process needs.
    pub fn close(&mut self) {
        self.followed.process = None;
    }

    /// Its profile. Native symbols are looked up now.
    pub fn finish(self, meta: Meta, receipt: Receipt) -> Profile {
        let places = self.sampler.native_places();
        let mut symbols =
            Names::of(places, self.sampler.maps().clone(), &self.followed.objects, &self.debug_files);
        self.sampler.finish(meta, receipt, &mut symbols)
    }
}
