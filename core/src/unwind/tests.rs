extern crate std;

use alloc::vec::Vec;
use proptest::prelude::*;

use super::*;
use crate::elf::{Elf, Placed};
use crate::memory::Recorded;

/// Where the made-up function lies in its file, and how long it is.
const FUNCTION: u64 = 0x1000;
const LENGTH: u64 = 0x40;
/// Where the file is mapped.
const BIAS: u64 = 0x5500_0000_0000;
/// Where the stack is.
const STACK: u64 = 0x7fff_0000_0000;

/// An `.eh_frame` with one function: `common` are the instructions of its CIE, `own` its own.
fn eh_frame(augmentation: &[u8], return_column: u8, common: &[u8], own: &[u8]) -> Vec<u8> {
    // Version 1, code alignment 1, data alignment -8, addresses as 8 bytes (DW_EH_PE_udata8).
    let mut cie = [&[0, 0, 0, 0, 1], augmentation, &[0, 1, 0x78, return_column, 1, 4], common].concat();
    cie.resize(cie.len().next_multiple_of(8) + 4, 0);
    let mut section = (cie.len() as u32).to_le_bytes().to_vec();
    section.extend(&cie);
    let pointer = section.len() as u32 + 4;
    let mut fde =
        [&pointer.to_le_bytes()[..], &FUNCTION.to_le_bytes(), &LENGTH.to_le_bytes(), &[0], own].concat();
    fde.resize(fde.len().next_multiple_of(8) + 4, 0);
    section.extend((fde.len() as u32).to_le_bytes());
    section.extend(&fde);
    section.extend([0; 4]);
    section
}

/// CFA = rsp + 8, return address at CFA - 8: what every x86-64 function starts with.
const X86_ENTRY: &[u8] = &[0x0c, 7, 8, 0x90, 1];
/// CFA = sp: what every arm64 function starts with.
const ARM_ENTRY: &[u8] = &[0x0c, 31, 0];
/// `push %rbp` at offset 1; `mov %rsp, %rbp` at 4.
const X86_FRAME: &[u8] = &[0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6];

struct Scene {
    section: Vec<u8>,
    arch: Arch,
    words: Vec<u8>,
}

impl Scene {
    fn new(arch: Arch, section: Vec<u8>, words: &[u64]) -> Scene {
        Scene { section, arch, words: words.iter().flat_map(|word| word.to_le_bytes()).collect() }
    }

    fn step(
        &self,
        unwinder: &mut Unwinder,
        registers: &mut Registers,
        is_return_address: bool,
    ) -> Result<Step, StepError> {
        let module = ModuleUnwind::of_section(self.arch, Placed { vaddr: 0x8000, bytes: &self.section });
        let stack = StackCopy { base: STACK, bytes: &self.words };
        let code = Code { module: &module, bias: BIAS };
        unwinder.step(registers, is_return_address, code, &stack, &Recorded::new())
    }
}

fn registers(arch: Arch, pc: u64, sp: u64, fp: u64) -> Registers {
    let mut registers = Registers { pc: BIAS + pc, ..Registers::default() };
    registers.general[arch.stack_pointer()] = sp;
    registers.general[arch.frame_pointer()] = fp;
    registers
}

#[test]
fn each_instruction_of_a_prologue_has_its_own_rule() {
    let scene = Scene::new(Arch::X86_64, eh_frame(b"zR", 16, X86_ENTRY, X86_FRAME), &[1, 0xf9, 0xbac, 4, 5]);
    let mut unwinder = Unwinder::default();
    let step = Step { function: FUNCTION, is_root: false, is_signal: false };

    let mut at_entry = registers(Arch::X86_64, FUNCTION, STACK + 16, 77);
    assert_eq!(scene.step(&mut unwinder, &mut at_entry, false), Ok(step));
    assert_eq!((at_entry.pc, at_entry.sp(Arch::X86_64), at_entry.fp(Arch::X86_64)), (0xbac, STACK + 24, 77));

    let mut pushed = registers(Arch::X86_64, FUNCTION + 1, STACK + 8, 77);
    assert_eq!(scene.step(&mut unwinder, &mut pushed, false), Ok(step));
    assert_eq!((pushed.pc, pushed.sp(Arch::X86_64), pushed.fp(Arch::X86_64)), (0xbac, STACK + 24, 0xf9));

    let mut in_body = registers(Arch::X86_64, FUNCTION + 9, STACK, STACK + 8);
    assert_eq!(scene.step(&mut unwinder, &mut in_body, false), Ok(step));
    assert_eq!((in_body.pc, in_body.sp(Arch::X86_64), in_body.fp(Arch::X86_64)), (0xbac, STACK + 24, 0xf9));
}

#[test]
fn a_rule_is_read_once_and_then_known() {
    let scene = Scene::new(Arch::X86_64, eh_frame(b"zR", 16, X86_ENTRY, X86_FRAME), &[1, 0xf9, 0xbac]);
    let mut unwinder = Unwinder::default();
    for _ in 0..3 {
        let mut frame = registers(Arch::X86_64, FUNCTION + 9, STACK, STACK + 8);
        scene.step(&mut unwinder, &mut frame, false).unwrap();
    }
    assert_eq!(unwinder.statistics(), CacheStatistics { hits: 2, misses: 1, evaluated: 0 });
    unwinder.clear();
    let mut frame = registers(Arch::X86_64, FUNCTION + 9, STACK, STACK + 8);
    scene.step(&mut unwinder, &mut frame, false).unwrap();
    assert_eq!(unwinder.statistics().misses, 2);
}

#[test]
fn a_call_that_ends_its_function_belongs_to_it() {
    let scene = Scene::new(Arch::X86_64, eh_frame(b"zR", 16, X86_ENTRY, X86_FRAME), &[1, 0xf9, 0xbac]);
    let mut unwinder = Unwinder::default();
    let mut behind = registers(Arch::X86_64, FUNCTION + LENGTH, STACK, STACK + 8);
    assert_eq!(
        scene.step(&mut unwinder, &mut behind, false),
        Err(StepError::NoInformation { vaddr: FUNCTION + LENGTH })
    );
    assert!(scene.step(&mut unwinder, &mut behind, true).is_ok());
}

#[test]
fn an_undefined_return_address_is_the_root() {
    let scene = Scene::new(Arch::X86_64, eh_frame(b"zR", 16, X86_ENTRY, &[0x07, 16]), &[0; 4]);
    let mut frame = registers(Arch::X86_64, FUNCTION, STACK, 0);
    let before = frame;
    let step = scene.step(&mut Unwinder::default(), &mut frame, true);
    assert_eq!(step, Err(StepError::NoInformation { vaddr: FUNCTION - 1 }));
    let step = scene.step(&mut Unwinder::default(), &mut frame, false);
    assert_eq!(step, Ok(Step { function: FUNCTION, is_root: true, is_signal: false }));
    assert_eq!(frame, before);
}

#[test]
fn a_stub_of_the_linkage_table_is_left_by_its_expression() {
    // As ld writes it: rsp + 8, + 8 behind the push at offset 11 of each 16-byte stub.
    let plt = [0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
    let scene = Scene::new(Arch::X86_64, eh_frame(b"zR", 16, X86_ENTRY, &plt), &[3, 0xbac, 0xdef]);
    let mut unwinder = Unwinder::default();
    let mut before = registers(Arch::X86_64, FUNCTION + 6, STACK + 8, 0);
    scene.step(&mut unwinder, &mut before, false).unwrap();
    assert_eq!((before.pc, before.sp(Arch::X86_64)), (0xbac, STACK + 16));
    let mut after = registers(Arch::X86_64, FUNCTION + 11, STACK, 0);
    scene.step(&mut unwinder, &mut after, false).unwrap();
    assert_eq!((after.pc, after.sp(Arch::X86_64)), (0xbac, STACK + 16));
    assert_eq!(unwinder.statistics().evaluated, 2);
}

#[test]
fn a_signal_frame_gives_all_registers_and_an_exact_pc() {
    // As glibc's __restore_rt: CFA and registers by expressions over the saved context. Here: the CFA
    // stands at rsp + 24, the pc at rsp + 32, rdi at rsp + 8.
    let own = [&[0x0f, 3, 0x77, 24, 0x06][..], &[0x10, 16, 2, 0x77, 32], &[0x10, 5, 2, 0x77, 8]].concat();
    let words = [0, 0xd1, 0, STACK - 0x9000, 0x4444];
    let scene = Scene::new(Arch::X86_64, eh_frame(b"zRS", 16, X86_ENTRY, &own), &words);
    let mut frame = registers(Arch::X86_64, FUNCTION + 1, STACK, 0);
    let step = scene.step(&mut Unwinder::default(), &mut frame, true).unwrap();
    assert!(step.is_signal);
    assert_eq!((frame.pc, frame.sp(Arch::X86_64), frame.general[5]), (0x4444, STACK - 0x9000, 0xd1));
}

#[test]
fn a_realigned_stack_is_found_through_a_saved_pointer() {
    // As gcc's prologue for AVX: the CFA stands at rbp - 8.
    let scene = Scene::new(
        Arch::X86_64,
        eh_frame(b"zR", 16, X86_ENTRY, &[0x0f, 3, 0x76, 0x78, 0x06]),
        &[0, STACK + 32, 0, 0xbac],
    );
    let mut frame = registers(Arch::X86_64, FUNCTION + 1, STACK, STACK + 16);
    scene.step(&mut Unwinder::default(), &mut frame, false).unwrap();
    assert_eq!((frame.pc, frame.sp(Arch::X86_64)), (0xbac, STACK + 32));
}

#[test]
fn a_register_that_was_popped_already_keeps_its_value() {
    // rbx is saved at CFA - 24 and popped, but the rules say so until the end of the function.
    let scene = Scene::new(Arch::X86_64, eh_frame(b"zR", 16, X86_ENTRY, &[0x83, 3]), &[0xbac]);
    let mut frame = registers(Arch::X86_64, FUNCTION + 9, STACK, 0);
    frame.general[crate::arch::x86_64::RBX] = 0xb;
    scene.step(&mut Unwinder::default(), &mut frame, false).unwrap();
    assert_eq!((frame.pc, frame.general[crate::arch::x86_64::RBX]), (0xbac, 0xb));
}

#[test]
fn a_frame_below_its_callee_is_refused() {
    let scene = Scene::new(Arch::X86_64, eh_frame(b"zR", 16, X86_ENTRY, X86_FRAME), &[1, 2, 3]);
    let mut frame = registers(Arch::X86_64, FUNCTION + 9, STACK + 16, STACK);
    let before = frame;
    let step = scene.step(&mut Unwinder::default(), &mut frame, false);
    assert_eq!(step, Err(StepError::NoProgress { cfa: STACK + 16 }));
    assert_eq!(frame, before);
}

#[test]
fn an_arm64_leaf_returns_by_its_link_register() {
    let scene = Scene::new(Arch::Aarch64, eh_frame(b"zR", 30, ARM_ENTRY, &[]), &[]);
    let mut frame = registers(Arch::Aarch64, FUNCTION, STACK, 1);
    frame.general[30] = BIAS + 0x65_0000_0000_2000 + 0xff_0000_0000_0000;
    let mut unwinder = Unwinder::new(0x007f_0000_0000_0000);
    let before = frame;
    scene.step(&mut unwinder, &mut frame, false).unwrap();
    assert_eq!(frame.pc, before.general[30] & !0x007f_0000_0000_0000);
    assert_eq!(frame.sp(Arch::Aarch64), STACK);
    let mut caller = before;
    assert_eq!(
        scene.step(&mut unwinder, &mut caller, true),
        Err(StepError::NoInformation { vaddr: FUNCTION - 1 })
    );
    caller.pc += 4;
    assert_eq!(scene.step(&mut unwinder, &mut caller, true), Err(StepError::NoReturnAddress));
}

#[test]
fn an_arm64_frame_with_a_signed_return_address_is_left() {
    // paciasp (negate_ra_state), then stp x29, x30, [sp, #-32]!
    let own = [0x2d, 0x44, 0x0e, 32, 0x9d, 4, 0x9e, 3];
    let words = [0xf9, 0x65_0055_0000_1018, 0, 0];
    let scene = Scene::new(Arch::Aarch64, eh_frame(b"zR", 30, ARM_ENTRY, &own), &words);
    let mut frame = registers(Arch::Aarch64, FUNCTION + 8, STACK, 1);
    scene.step(&mut Unwinder::new(0x007f_0000_0000_0000), &mut frame, true).unwrap();
    assert_eq!((frame.pc, frame.fp(Arch::Aarch64)), (0x55_0000_1018, 0xf9));
    assert_eq!(frame.sp(Arch::Aarch64), STACK + 32);
}

#[test]
fn a_return_address_is_known_by_the_function_that_was_called() {
    use fallback::{Word, find_return};
    const PC: u64 = 0x5010;
    let find = |words: &[u64], fp: u64| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let stack = StackCopy { base: STACK, bytes: &bytes };
        let frame = registers(Arch::X86_64, PC, STACK, fp);
        // A return address is that of a call of the function at it, rounded down; odd ones of nobody knows which.
        let look = |word: u64| match word {
            0x1000..=0x9000 if word % 2 == 1 => Word::Return,
            0x1000..=0x9000 => Word::ReturnFrom(word & !0xff),
            _ => Word::Data,
        };
        find_return(&frame, Arch::X86_64, PC, 8, |at| stack.word(at), look).map(|at| (at - STACK) / 8)
    };
    // Without a frame pointer: the nearest function below the pc, not the first word.
    assert_eq!(find(&[7, 0x4008, 7, 0x5008, 0x4f08], 0), Some(3));
    assert_eq!(find(&[7, 0x6008, 0x1, 0x2], 0), None);
    // Nothing is looked for beyond a bound, nor beyond the copy.
    assert_eq!(find(&[0, 0, 0, 0, 0, 0, 0, 0, 0x5008], 0), None);
    // A frame that stands: what lies below it was left by earlier calls.
    assert_eq!(find(&[0x4008, 7, 0, 0x5008], STACK + 16), None);
    assert_eq!(find(&[0x4008, 7, 0, 0x5009], STACK + 16), Some(0), "whom the outer one called is not known");
    // One that does not stand yet: the frame pointer is the caller's.
    assert_eq!(find(&[0x5008, 7, 0, 0x4008], STACK + 16), Some(0));
    // It leads to a call of another function, and the nearer one may be of this.
    assert_eq!(find(&[0x5009, 7, 0, 0x6008], STACK + 16), Some(0));
    // Neither is known: the frame pointer is believed.
    assert_eq!(find(&[0x5009, 7, 0, 0x5009], STACK + 16), None);
}

#[test]
fn the_function_that_was_called_is_told_by_the_call() {
    use fallback::{Callee, callee, stub};
    let arch = Arch::X86_64;
    assert_eq!(callee(&[0x90, 0x90, 0xe8, 0xfb, 0xff, 0xff, 0xff], 0x1005, arch), Callee::At(0x1000));
    assert_eq!(callee(&[0x90, 0xff, 0x15, 0x10, 0, 0, 0], 0x1000, arch), Callee::In(0x1010));
    assert_eq!(callee(&[0x90, 0x90, 0x90, 0x90, 0x41, 0xff, 0xd4], 0x1000, arch), Callee::Unknown);
    assert_eq!(callee(&[], 0x1000, arch), Callee::Unknown);
    let code = [0x45, 0x31, 0xc0, 0xe9, 0xf8, 0xff, 0xff, 0xff, 0xeb, 0x10, 0x90, 0xe9, 0, 0];
    let jumps = fallback::jumps(&code, 0x1000, arch).collect::<Vec<_>>();
    assert_eq!(jumps, [0x1000, 0x101a]);
    assert_eq!(stub(&[0xff, 0x25, 0x10, 0, 0, 0, 0x68], 0x1000, arch), Callee::In(0x1016));
    let protected = [0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 0x10, 0, 0, 0];
    assert_eq!(stub(&protected, 0x1000, arch), Callee::In(0x101b));
    assert_eq!(stub(&[0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5], 0x1000, arch), Callee::At(0x1000));
}

#[test]
fn calls_are_told_from_other_code() {
    for code in [
        &[0xe8, 1, 2, 3, 4][..],
        &[0xff, 0x15, 1, 2, 3, 4],
        &[0xff, 0x90, 1, 2, 3, 4],
        &[0xff, 0x94, 0x24, 1, 2, 3, 4],
        &[0xff, 0x54, 0x24, 8],
        &[0xff, 0x50, 8],
        &[0x41, 0xff, 0xd4],
        &[0xff, 0x13],
        &[0xff, 0x14, 0xd8],
    ] {
        assert!(fallback::follows_call(code, Arch::X86_64), "{code:02x?}");
    }
    for code in [&[][..], &[0x48, 0x89, 0xe5, 0x90, 0x90, 0x90], &[0xff, 0xe0], &[0xff, 0x25, 0, 0, 0, 0]] {
        assert!(!fallback::follows_call(code, Arch::X86_64), "{code:02x?}");
    }
    for (code, is_call) in [
        (0x9400_0001_u32, true),
        (0xd63f_0100, true),
        (0xd73f_0911, true),
        (0xd65f_03c0, false),
        (0x1400_0001, false),
    ] {
        assert_eq!(fallback::follows_call(&code.to_le_bytes(), Arch::Aarch64), is_call, "{code:08x}");
    }
}

#[test]
fn what_the_kernel_saved_for_a_signal_is_restored() {
    for (arch, pc_at, sp_at, fp_at) in
        [(Arch::X86_64, 40 + 128, 40 + 120, 40 + 80), (Arch::Aarch64, 312 + 256, 312 + 248, 312 + 232)]
    {
        let mut words = [0; 600];
        for (at, value) in [(pc_at, 0x1111_u64), (sp_at, 0x2222), (fp_at, 0x3333)] {
            words[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let stack = StackCopy { base: STACK, bytes: &words };
        let mut frame = registers(arch, 0, STACK, 0);
        fallback::step_signal(&mut frame, arch, &stack, &Recorded::new()).unwrap();
        assert_eq!((frame.pc, frame.sp(arch), frame.fp(arch)), (0x1111, 0x2222, 0x3333));
        let mut outside = registers(arch, 0, STACK + 500, 0);
        let before = outside;
        assert!(fallback::step_signal(&mut outside, arch, &stack, &Recorded::new()).is_err());
        assert_eq!(outside, before);
    }
}

/// This test's own executable.
fn own() -> Vec<u8> {
    std::fs::read(std::env::current_exe().unwrap()).unwrap()
}

#[test]
fn the_function_of_every_symbol_of_this_test_is_known() {
    let bytes = own();
    let elf = Elf::parse(&bytes).unwrap();
    let module = ModuleUnwind::new(&elf).unwrap();
    assert!(!module.is_empty());
    let mut context = Context::new_in();
    let (mut known, mut all) = (0, 0);
    for symbol in elf.symtab_symbols().iter() {
        if symbol.kind != crate::elf::SymbolKind::Function
            || symbol.size == 0
            || !symbol.name().starts_with(b"_R") && !symbol.name().starts_with(b"_ZN")
        {
            continue;
        }
        all += 1;
        let middle = symbol.value + symbol.size / 2;
        if let Some(function) = module.function(middle) {
            known += 1;
            assert_eq!(function, (symbol.value, symbol.value + symbol.size));
            let (_, row) = module.row(middle, &mut context).unwrap();
            assert!(Rule::of(row, elf.machine()).is_some());
        }
    }
    assert!(all > 1000 && known * 100 > all * 99, "{known} of {all}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn made_up_instructions_do_no_harm(
        common in proptest::collection::vec(any::<u8>(), 0..12),
        own in proptest::collection::vec(any::<u8>(), 0..40),
        signal in any::<bool>(),
        is_arm in any::<bool>(),
        at in 0..LENGTH,
        general in any::<[u64; 32]>(),
    ) {
        let arch = if is_arm { Arch::Aarch64 } else { Arch::X86_64 };
        let augmentation = if signal { &b"zRS"[..] } else { b"zR" };
        let column = if is_arm { 30 } else { 16 };
        let scene = Scene::new(arch, eh_frame(augmentation, column, &common, &own), &[STACK; 32]);
        let mut frame = Registers { general, pc: BIAS + FUNCTION + at, ..Registers::default() };
        frame.general[arch.stack_pointer()] = STACK + general[0] % 64;
        let before = frame;
        let mut unwinder = Unwinder::new(0x7f << 48);
        if scene.step(&mut unwinder, &mut frame, general[1].is_multiple_of(2)).is_err() {
            prop_assert_eq!(frame, before);
        }
        let _ = scene.step(&mut unwinder, &mut frame, false);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_changed_section_of_a_real_file_does_no_harm(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 20..400),
        probes in proptest::collection::vec(any::<prop::sample::Index>(), 50),
    ) {
        let mut bytes = own();
        let (header, frame) = {
            let elf = Elf::parse(&bytes).unwrap();
            let header = elf.eh_frame_hdr().unwrap();
            (elf.offset_of(header.vaddr).unwrap() as usize..elf.offset_of(header.vaddr).unwrap() as usize + header.bytes.len(),
             elf.section(b".eh_frame").unwrap())
        };
        let frame = frame.offset as usize..(frame.offset + frame.size) as usize;
        for (index, byte, in_header) in changes {
            let range = if in_header { header.clone() } else { frame.clone() };
            bytes[range.start + index.index(range.len())] = byte;
        }
        let elf = Elf::parse(&bytes).unwrap();
        let Some(module) = ModuleUnwind::new(&elf) else { return Ok(()) };
        let text = elf.loads().find(|load| load.executable()).unwrap();
        let mut unwinder = Unwinder::default();
        let words = [STACK; 64].map(u64::to_le_bytes).concat();
        let stack = StackCopy { base: STACK, bytes: &words };
        for probe in probes {
            let mut frame = registers(Arch::X86_64, text.vaddr + probe.index(text.filesz as usize) as u64, STACK, STACK);
            let code = Code { module: &module, bias: BIAS };
            let _ = unwinder.step(&mut frame, false, code, &stack, &Recorded::new());
        }
    }
}
