//! A target's sampler: what is kept between the stops of its threads.

use super::arguments::{Arguments, FrameArguments};
use super::codes::Codes;
use super::found::Found;
use super::functions::Functions;
use super::identify::{Identify, Losses};
use super::lines::Lines;
use super::live::{Live, Moment};
use super::natives::Natives;
use super::places::Places;
use super::raw::{FunctionId, Position, RawFrame};
use super::recall::{Mark, Recall};
use super::roles::ThreadRole;
use super::sources;
use super::verify::{Collected, verify};
use super::walk::{Walk, Walked};
use super::wasm::WasmTable;
use crate::arch::{Arch, Registers};
use crate::blocks::Blocks;
use crate::elf::Elf;
use crate::limits::{CODE_COPIES, RECALLED_FRAMES, STACK_BYTES, STACK_FRAMES, THREADS};
use crate::maps::{FilePlace, Maps, ModuleId};
use crate::memory::{Memory, Span};
use crate::profile::pool::touch;
use crate::profile::{Activity, NodeId, Recorder, Sources, Thread};
use crate::unwind::StackCopy;
use crate::v8::Heap;
use crate::v8::image::Image;
use crate::v8::isolate::{IsolateState, VmState};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

mod thread;

use thread::ThreadState;

/// Smallest part of a stack that is read: most Node stacks are less than this.
const FIRST_STACK_BYTES: usize = 8 << 10;

/// Characters of a source whose lines are read in the stop.
const SHORT_SOURCE: u32 = 4096;

/// Bytes that few stacks are larger than.
const USUAL_STACK: usize = 64 << 10;

/// Bytes of an isolate that hold its fields, at most.
const ISOLATE_BYTES: usize = 4096;

/// Bytes by which a copy of the builtins is recognised.
const BUILTINS_HEAD: usize = 64;

/// A thread that waits in a system call, as the kernel shows it without a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleeper {
    /// Where it goes on in user mode.
    pub pc: u64,
    /// Its stack pointer there.
    pub sp: u64,
}

/// What a stop gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A sample.
    Sampled,
    /// The thread has run no JavaScript so far: one of V8's or libuv's helpers, or a worker that starts.
    NotJavaScript,
    /// The same, often enough to leave it alone for good.
    NeverJavaScript,
    /// Nothing could be read.
    Lost,
}

/// Samples the threads of one process.
pub struct Sampler<'a> {
    arch: Arch,
    pub(super) image: Image<'a>,
    v8: ModuleId,
    elf: Elf<'a>,
    /// Load bias of the file that holds V8.
    bias: u64,
    maps: Maps,
    /// The builtins' copies in `maps` are known.
    knows_copies: bool,
    natives: Natives<'a>,
    pub(super) functions: Functions,
    pub(super) codes: Codes,
    pub(super) wasm: WasmTable,
    pub(super) places: Places,
    live: Live,
    pub(super) lines: Lines,
    pub(super) sources: Sources,
    pub(super) losses: Losses,
    pub(super) recorder: Recorder<RawFrame>,
    threads: Vec<ThreadState>,
    /// What each thread with samples is, by its number in the profile.
    pub(super) roles: Vec<ThreadRole>,
    by_thread: bool,
    stack: Vec<u8>,
    found: Vec<Found>,
    frames: Vec<RawFrame>,
    /// Frames of the last stop that were not recalled.
    fresh: usize,
    marks: Vec<Mark>,
    recall: Recall,
    nodes: Vec<NodeId>,
    /// Stack of the last stop: where it was copied from, and bytes of it that matter.
    extent: (u64, usize),
    walked: Walked,
    collected: Collected,
    /// Nothing of the last stop is unknown.
    is_clean: bool,
    activity: Activity,
    pub(super) truncated: u64,
    wants_maps: bool,
    arguments: Option<Arguments>,
    /// `None` while they are in use.
    blocks: Option<Box<Blocks>>,
}

impl<'a> Sampler<'a> {
    /// A sampler for a process whose V8 is `image`, in the module `v8` of `maps`.
    pub fn new(elf: &Elf<'a>, image: Image<'a>, maps: Maps, v8: ModuleId) -> Self {
        let bias = maps.load_bias(v8, elf).unwrap_or(0);
        let mut sampler = Sampler {
            arch: elf.machine(),
            image,
            v8,
            elf: *elf,
            bias,
            maps,
            knows_copies: false,
            natives: Natives::default(),
            functions: Functions::default(),
            codes: Codes::default(),
            wasm: WasmTable::default(),
            places: Places::new(elf.machine()),
            live: Live::default(),
            lines: Lines::default(),
            sources: Sources::default(),
            losses: Losses::default(),
            recorder: Recorder::new(RawFrame::Elided),
            threads: Vec::new(),
            roles: Vec::new(),
            by_thread: false,
            stack: vec![0; STACK_BYTES + ISOLATE_BYTES],
            found: Vec::with_capacity(STACK_FRAMES + 2),
            frames: Vec::with_capacity(STACK_FRAMES),
            fresh: 0,
            marks: Vec::with_capacity(RECALLED_FRAMES),
            recall: Recall::default(),
            nodes: Vec::with_capacity(STACK_FRAMES),
            extent: (0, 0),
            walked: Walked::default(),
            collected: Collected::default(),
            is_clean: false,
            activity: Activity::Native,
            truncated: 0,
            wants_maps: false,
            arguments: None,
            blocks: Some(Box::default()),
        };
        sampler.maps.find_moved_code(v8, elf, bias);
        touch(&mut sampler.stack[..USUAL_STACK]);
        sampler
    }

    /// From now on the arguments of JavaScript frames are read, where they are simple values. That makes
    /// stops longer.
    pub fn keep_arguments(&mut self) {
        self.arguments = Some(Arguments::with_room());
    }

    /// The arguments of the last stop's frames, in words.
    pub fn arguments(&self) -> Vec<FrameArguments> {
        self.arguments.as_ref().map_or_else(Vec::new, Arguments::words)
    }

    /// Keeps the text of every script that is met from now on.
    pub fn keep_sources(&mut self) {
        self.sources = Sources::with_room();
    }

    /// From now on all threads are sampled, whatever they run, and each has a root frame of its own.
    pub fn split_by_thread(&mut self) {
        self.by_thread = true;
    }

    /// Makes a thread known, by its number in the session. The process' first thread is sampled
    /// whatever it runs, the others once they have run JavaScript.
    pub fn thread(&mut self, index: usize, thread: Thread, is_first: bool) {
        self.recall.forget(index);
        if index < THREADS && index >= self.threads.len() {
            self.threads.resize(index + 1, ThreadState::new(None, false));
        }
        if let Some(state) = self.threads.get_mut(index) {
            *state = ThreadState::new(Some(thread), is_first);
        }
    }

    /// Takes the file of a module; `None` if it cannot be had.
    pub fn module(&mut self, module: ModuleId, elf: Option<Elf<'a>>) {
        self.natives.add(module, elf);
        self.recall.clear();
    }

    /// The regions known.
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// A pc was met that lies in no known region, since [`update_maps`](Self::update_maps).
    pub fn wants_maps(&self) -> bool {
        self.wants_maps
    }

    /// Takes a new text of `/proc/PID/maps`. Modules that are new have the highest numbers.
    pub fn update_maps(&mut self, text: &[u8]) {
        self.maps.update(text, &[]);
        self.maps.find_moved_code(self.v8, &self.elf, self.bias);
        self.knows_copies = false;
        self.natives.moved();
        self.recall.clear();
        self.wants_maps = false;
    }

    /// Reads a stopped thread: everything that must be read before it runs on.
    ///
    /// Not generic, so that it is compiled here, where code is built for speed; beside a read's system call
    /// an indirect call costs nothing.
    pub fn held(&mut self, index: usize, registers: &Registers, memory: &dyn Memory) -> Outcome {
        let mut blocks = self.blocks.take().unwrap_or_default();
        let outcome = self.held_in(index, registers, &blocks.over(memory));
        self.blocks = Some(blocks);
        outcome
    }

    fn held_in(&mut self, index: usize, registers: &Registers, memory: &dyn Memory) -> Outcome {
        let memory = &memory;
        self.found.clear();
        self.frames.clear();
        (self.fresh, self.walked, self.is_clean) = (0, Walked::default(), false);
        self.functions.begin();
        self.codes.begin();
        if !self.knows_copies {
            self.knows_copies = true;
            self.find_copies(memory);
        }
        self.wasm.begin();
        let Some(state) = self.threads.get_mut(index) else { return Outcome::Lost };
        if state.root == 0 {
            match self.image.isolate.root(registers.tls, self.bias, memory) {
                Some(0) if !state.is_javascript && !self.by_thread => return state.not_javascript(),
                Some(root) => state.root = root,
                None => {}
            }
        }
        let root = state.root;
        self.natives.set_return_mask(registers.return_mask);
        let sp = registers.sp(self.arch);
        let Some((mut got, isolate)) = self.copy(index, sp, root, memory) else { return Outcome::Lost };
        if isolate.vm_state == Some(VmState::Gc) {
            self.functions.collecting();
        }
        let heap = Heap { memory, layout: &self.image.layout };
        let highest = loop {
            self.found.clear();
            self.marks.clear();
            let may_grow = got < STACK_BYTES && !self.threads[index].reaches_end(sp, got);
            let stack = StackCopy { base: sp, bytes: &self.stack[..got] };
            let mut walk = Walk {
                arch: self.arch,
                heap,
                maps: &self.maps,
                v8: self.v8,
                builtins: &self.image.builtins,
                codes: &mut self.codes,
                wasm: &self.wasm,
                functions: &mut self.functions,
                natives: &mut self.natives,
                past: self.recall.past(index, &stack),
                stack,
                may_grow,
                c_entry_fp: isolate.c_entry_fp,
                active_stack: self.image.active_stack.map_or(0, |at| root.wrapping_add_signed(at.into())),
                marks: &mut self.marks,
                out: &mut self.found,
            };
            let (walked, highest) = walk.walk(registers);
            self.walked = walked;
            if !walked.left_copy {
                break highest;
            }
            // The stack is deeper than those before: copy twice as much, and walk again.
            let more = (got * 2).min(STACK_BYTES);
            let read = memory.read_prefix(sp + got as u64, &mut self.stack[got..more]);
            if read < more - got {
                self.threads[index].stack_end = sp + (got + read) as u64;
            }
            got += read;
        };
        let used = usize::try_from(highest.saturating_sub(sp)).unwrap_or(usize::MAX);
        if used > got && self.threads[index].stack_end == sp + got as u64 {
            // It was no end: the read that met it came too late, or this is a signal handler's stack.
            self.threads[index].stack_end = 0;
        }
        self.extent = (sp, used.min(got));
        let state = &mut self.threads[index];
        // Grows at once, shrinks slowly: the next stack is most often like one of the last. What lies beyond the
        // copy is another stack, if this was a signal handler's: more of this one would not help.
        let needed = if used <= got { used.saturating_add(1024) } else { got };
        state.stack_bytes = needed.max(state.stack_bytes - state.stack_bytes / 16);
        if state.root == 0
            && let Some(root) = self.walked.root
        {
            state.root = root;
        }
        if !state.is_javascript {
            if !self.walked.has_javascript && !self.by_thread {
                return state.not_javascript();
            }
            state.is_javascript = self.walked.has_javascript;
        }
        let losses = (self.losses, self.wasm.unseen());
        let stack = StackCopy { base: sp, bytes: &self.stack[..got] };
        if let Some(arguments) = &mut self.arguments {
            arguments.begin();
        }
        Identify {
            heap,
            builtins: &self.image.builtins,
            sizes: self.image.bytecode_sizes,
            functions: &mut self.functions,
            codes: &mut self.codes,
            wasm: &mut self.wasm,
            places: &mut self.places,
            live: &mut self.live,
            moment: Moment { arch: self.arch, registers, stack },
            losses: &mut self.losses,
            out: &mut self.frames,
            arguments: self.arguments.as_mut(),
        }
        .all(&self.found, &mut self.marks);
        if let Some(arguments) = &mut self.arguments {
            arguments.read(&heap, &stack);
        }
        self.is_clean = (self.losses, self.wasm.unseen()) == losses
            && self.walked.is_whole
            && !self.walked.met_unknown
            && used <= got;
        self.fresh = self.frames.len();
        if let Some(mark) = self.walked.recalled {
            let room = STACK_FRAMES - self.fresh;
            self.frames.extend(self.recall.frames(index, mark).iter().rev().take(room));
        }
        // A short source, as eval's are, may die young; a long one can wait until the thread runs.
        while let Some(unread) = self.functions.next_unread(SHORT_SOURCE) {
            let is_read = self.lines.read(&heap, unread.id, &unread.script)
                & sources::read(&mut self.sources, &self.functions, &heap, &unread);
            if !is_read {
                self.functions.read_later(unread);
            }
        }
        self.activity = activity(isolate.vm_state, self.found.first());
        Outcome::Sampled
    }

    /// Samples a thread that waits, without a stop: by pc and stack pointer alone, since no other register
    /// can be had. `unchanged`: its process has not run since the last tick. `holds` is asked at the end
    /// whether the thread has waited there all the time; if not, what was read is none of one moment.
    pub fn asleep(
        &mut self,
        index: usize,
        at: Sleeper,
        unchanged: bool,
        at_us: u64,
        memory: &dyn Memory,
        holds: &dyn Fn() -> bool,
    ) -> Outcome {
        let Some(state) = self.threads.get_mut(index) else { return Outcome::Lost };
        let known = state.slept.take().filter(|(before, _)| unchanged && *before == at);
        if let (Some((_, node)), Some(thread)) = (known, state.id) {
            state.slept = known;
            self.recorder.record_below(node, at_us, thread, Activity::Waiting, [], |_| ());
            return Outcome::Sampled;
        }
        let stops = state.without_javascript;
        let highest = self.maps.regions().last().map_or(0, |region| region.end);
        let return_mask = self.arch.return_mask(highest);
        let mut registers = Registers { pc: at.pc, return_mask, ..Registers::default() };
        registers.general[self.arch.stack_pointer()] = at.sp;
        let outcome = self.held(index, &registers, memory);
        self.threads[index].without_javascript = stops;
        if outcome != Outcome::Sampled {
            return outcome;
        }
        if !holds() {
            return Outcome::Lost;
        }
        self.activity = Activity::Waiting;
        let node = self.released(index, at_us, memory);
        self.threads[index].slept = node.map(|node| (at, node));
        Outcome::Sampled
    }

    /// Looks for copies of the builtins among the code without a file: each begins with the first one.
    fn find_copies<M: Memory>(&mut self, memory: &M) {
        let head = |blob: &Range<u64>| {
            let start = usize::try_from(blob.start).ok()?;
            self.elf.data().get(start..)?.first_chunk::<BUILTINS_HEAD>()
        };
        let Some(blob) = self.image.builtins.blob() else { return };
        let Some(head) = head(&blob) else { return };
        let mut found = [0; BUILTINS_HEAD];
        for number in 0..CODE_COPIES {
            let Some(region) = self.maps.code_without_file().get(number).cloned() else { break };
            if memory.read(region.start, &mut found).is_ok() && found == *head {
                let end = region.start.saturating_add(blob.end - blob.start).min(region.end);
                self.maps.enter_copy(region.start..end, FilePlace { module: self.v8, offset: blob.start });
            }
        }
    }

    /// Copies the top of a stack, as much as the last walks needed, and the isolate's state, with one
    /// read where all goes well. Gives the number of bytes copied.
    fn copy<M: Memory>(
        &mut self,
        index: usize,
        sp: u64,
        root: u64,
        memory: &M,
    ) -> Option<(usize, IsolateState)> {
        let state = &mut self.threads[index];
        let mut wanted = state.stack_bytes.clamp(FIRST_STACK_BYTES, STACK_BYTES);
        if let Some(left) =
            state.stack_end.checked_sub(sp).filter(|left| *left > 0 && *left < STACK_BYTES as u64)
        {
            wanted = wanted.min(left as usize);
        }
        // The isolate's fields go behind the stack's place.
        let fields = self.image.isolate.fields().filter(|_| root != 0);
        let mut spans = [Span::new(sp, 0, wanted), Span::default()];
        let count = match fields {
            Some((distance, len)) => {
                spans[1] = Span::new(root.wrapping_add_signed(distance.into()), STACK_BYTES, len);
                2
            }
            None => 1,
        };
        memory.read_batch(&mut spans[..count], &mut self.stack);
        if !spans[0].done {
            wanted = memory.read_prefix(sp, &mut self.stack[..wanted]);
            state.stack_end = sp + wanted as u64;
        }
        let isolate = match fields {
            Some((_, len)) if spans[1].done => self.image.isolate.state(&self.stack[STACK_BYTES..][..len]),
            _ => IsolateState::default(),
        };
        (wanted > 0).then_some((wanted, isolate))
    }

    /// Takes what [`held`](Self::held) read into the profile; the thread may run. Gives the stack's node.
    pub fn released(&mut self, index: usize, at_us: u64, memory: &dyn Memory) -> Option<NodeId> {
        let memory = &memory;
        self.wants_maps |= self.walked.met_unknown;
        self.truncated += u64::from(!self.walked.is_whole);
        let heap = Heap { memory, layout: &self.image.layout };
        let frames = &mut self.frames;
        let (mut stale, mut others) = (0, 0);
        let mut other = |was: FunctionId, now: Option<FunctionId>| {
            for frame in frames.iter_mut() {
                if let RawFrame::JavaScript { function, kind, .. } = *frame
                    && function == was
                {
                    // Its position is that of the other's code.
                    let of = |function| RawFrame::JavaScript { function, position: Position::NONE, kind };
                    *frame = now.map_or(RawFrame::Unread, of);
                    others += 1;
                    stale += u64::from(now.is_none());
                }
            }
        };
        let mut recalled = self.walked.recalled;
        if let Some(mark) = recalled {
            self.recall.functions(index, mark).for_each(|function| self.functions.vouch(function));
        }
        let comparison = self.collected.comparison(at_us, self.functions.is_collecting());
        verify(&heap, &mut self.functions, &mut self.codes, comparison, &mut other);
        others += u32::from(self.wasm.verify(&heap, &mut self.frames));
        self.wasm.read_names(&heap, &mut self.functions.strings);
        self.losses.stale += stale;
        let state = self.threads.get_mut(index)?;
        if let Some(unseen) = state.unseen.take() {
            let id = self.recorder.thread(unseen);
            state.id = Some(id);
            if self.by_thread {
                state.base = self.recorder.root_of(RawFrame::Thread(id));
            }
        }
        if others > 0 {
            self.recall.forget(index);
            (recalled, self.fresh, self.is_clean) = (None, self.frames.len(), false);
        }
        let leaf = state.id.map(|id| {
            match self.roles.get_mut(usize::from(id.0)) {
                Some(role) => *role = state.role(),
                None => self.roles.push(state.role()),
            }
            let outer = recalled.and_then(|mark| self.recall.node(index, mark)).unwrap_or(state.base);
            let fresh = &self.frames[..self.fresh];
            let nodes = &mut self.nodes;
            nodes.clear();
            let path = fresh.iter().rev().copied();
            let leaf =
                self.recorder.record_below(outer, at_us, id, self.activity, path, |node| nodes.push(node));
            if self.is_clean {
                let stack = StackCopy { base: self.extent.0, bytes: &self.stack[..self.extent.1] };
                self.recall.keep(index, recalled, stack, (fresh, &self.marks), nodes);
            }
            leaf
        });
        while let Some(unread) = self.functions.next_unread(u32::MAX) {
            let is_read = self.lines.read(&heap, unread.id, &unread.script)
                & sources::read(&mut self.sources, &self.functions, &heap, &unread);
            if !is_read {
                self.functions.read_later(unread);
            }
        }
        leaf
    }

    /// Samples taken so far.
    pub fn taken(&self) -> u64 {
        self.recorder.taken()
    }

    /// How many frames of the last stop stood as they did in the thread's stop before.
    pub fn recalled(&self) -> usize {
        self.frames.len() - self.fresh.min(self.frames.len())
    }

    /// The frames of the last stop, leaf first.
    pub fn last(&self) -> &[RawFrame] {
        &self.frames
    }
}

fn activity(state: Option<VmState>, top: Option<&Found>) -> Activity {
    let is_native = matches!(top, Some(Found::Native(_) | Found::Nowhere(_)));
    match state {
        Some(VmState::Gc) => Activity::Gc,
        Some(VmState::Parser | VmState::BytecodeCompiler | VmState::Compiler) => Activity::Compile,
        Some(VmState::Other | VmState::External) => Activity::Native,
        Some(VmState::JavaScript) | None if is_native => Activity::Native,
        Some(VmState::JavaScript) | None => Activity::JavaScript,
    }
}
