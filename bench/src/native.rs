//! A recorded stack's native part, which can be left frame by frame in two ways.

use crate::live::Live;
use crate::recording::Recording;
use flame_core::arch::{Arch, Registers};
use flame_core::memory::{Memory, Recorded};
use flame_core::unwind::{Code, ModuleUnwind, StackCopy, Unwinder, fallback};

/// Bytes of stack that are looked at.
const STACK_BYTES: u64 = 256 << 10;

/// Frames that follow one another on a stack, all of them in files with unwind information.
pub struct NativeStack {
    arch: Arch,
    base: u64,
    bytes: Vec<u8>,
    memory: Recorded,
    /// The innermost of them.
    start: Registers,
    /// Where each of them runs.
    code: Vec<(ModuleUnwind<'static>, u64)>,
}

impl NativeStack {
    /// The longest row of native frames below a stop's JavaScript ones, which call frame information and frame
    /// pointers agree on.
    pub fn of(live: &Live, recording: Recording) -> Self {
        let Recording { registers, memory, .. } = recording;
        let arch = live.v8().machine();
        let base = registers.sp(arch);
        let words = (base..base + STACK_BYTES).step_by(8).map_while(|address| memory.word(address).ok());
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        let mut all = NativeStack { arch, base, bytes, memory, start: registers, code: Vec::new() };
        let mut frames = vec![registers];
        let mut frame = registers;
        while all.by_frame_pointer(&mut frame) && frames.len() < 1000 {
            frames.push(frame);
        }
        let rows = (0..frames.len()).map(|first| (all.agreed(live, &frames[first..]), first));
        let (code, first) = rows.max_by_key(|(code, _)| code.len()).expect("there is a frame");
        (all.start, all.code) = (frames[first], code);
        all
    }

    /// How many steps lead through it.
    pub fn len(&self) -> usize {
        self.code.len()
    }

    /// There is nothing to step through.
    pub fn is_empty(&self) -> bool {
        self.code.is_empty()
    }

    /// Steps through it by call frame information. Gives the pc that it came to.
    pub fn step_by_cfi(&self, unwinder: &mut Unwinder) -> u64 {
        let mut frame = self.start;
        for (module, bias) in &self.code {
            let code = Code { module, bias: *bias };
            if unwinder.step(&mut frame, true, code, &self.stack(), &self.memory).is_err() {
                return 0;
            }
        }
        frame.pc
    }

    /// The same by frame pointers.
    pub fn step_by_frame_pointer(&self) -> u64 {
        let mut frame = self.start;
        for _ in &self.code {
            if !self.by_frame_pointer(&mut frame) {
                return 0;
            }
        }
        frame.pc
    }

    fn stack(&self) -> StackCopy<'_> {
        StackCopy { base: self.base, bytes: &self.bytes }
    }

    fn by_frame_pointer(&self, frame: &mut Registers) -> bool {
        fallback::step_frame_pointer(frame, self.arch, 0, &self.stack(), &self.memory).is_ok()
    }

    /// The code of the first frames, as far as call frame information leads from each to the next one.
    fn agreed(&self, live: &Live, frames: &[Registers]) -> Vec<(ModuleUnwind<'static>, u64)> {
        let (mut unwinder, mut code) = (Unwinder::default(), Vec::new());
        let Some(mut frame) = frames.first().copied() else { return code };
        for next in &frames[1..] {
            let Some((elf, bias)) = live.code_at(frame.pc.wrapping_sub(1)) else { break };
            let Some(module) = ModuleUnwind::new(&elf) else { break };
            let by = Code { module: &module, bias };
            let step = unwinder.step(&mut frame, true, by, &self.stack(), &self.memory);
            if !step.is_ok_and(|step| !step.is_root) || frame.pc != next.pc {
                break;
            }
            code.push((module, bias));
        }
        code
    }
}
