//! Object files that lie.

use super::{Choices, process};
use crate::arch::{Arch, Registers};
use crate::elf::fixture::{DATA, Hash, NewSymbol, TEXT, file};
use crate::elf::{Elf, Placed, Variable};
use crate::memory::Recorded;
use crate::symbols::debug_file::{belongs_to, candidates};
use crate::symbols::{Lookup, stubs};
use crate::unwind::{Code, ModuleUnwind, StackCopy, Unwinder};
use crate::v8::image::{Image, version_in};
use alloc::format;
use alloc::vec::Vec;

/// What readers ask an object file for.
fn read_everything(elf: &Elf<'_>) {
    for segment in elf.segments() {
        for vaddr in [segment.vaddr, segment.vaddr.wrapping_add(segment.filesz), u64::MAX] {
            let _ = (elf.offset_of(vaddr), elf.int_at(vaddr), elf.bytes_from(vaddr), elf.word_at(vaddr));
        }
        let _ = elf.vaddr_of(segment.offset);
    }
    let mut addresses: Vec<u64> = Vec::from([0, TEXT, TEXT + 1, DATA, u64::MAX]);
    for table in [elf.dynamic_symbols(), elf.symtab_symbols()] {
        addresses.extend(table.iter().take(50).map(|symbol| symbol.value));
    }
    addresses.sort_unstable();
    addresses.dedup();
    let mut lookup = Lookup::new(&addresses);
    lookup.pass(elf);
    lookup.pass_debug_file(elf);
    assert_eq!(lookup.finish().len(), addresses.len());
    let range = stubs::range(elf);
    for address in addresses.iter().chain([&range.start, &range.end]) {
        let _ = stubs::callee(elf, *address);
    }
    let _ = (
        elf.symbol(b"malloc"),
        elf.find_variables(&[Variable::object(b"main", 0..=8)]),
        elf.tls(),
        elf.soname(),
    );
    let _ = (candidates(elf, b"/usr/bin/node"), belongs_to(elf, elf));
    if let Some(unwind) = ModuleUnwind::new(elf) {
        let _ = (unwind.function(TEXT + 8), unwind.largest_gap(&(0..u64::MAX)));
    }
    let _ = (version_in(elf), Image::of(elf));
}

/// A file with V8's symbols, some bytes of which are others.
pub fn elf(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let hash = [Hash::None, Hash::Sysv, Hash::Gnu][choices.below(3)];
    let data =
        |name: &str, value| NewSymbol { info: 0x11, section: 2, ..NewSymbol::function(name, value, 4) };
    let mut symbols: Vec<NewSymbol> = ["major_E", "minor_E", "build_E", "patch_E"]
        .iter()
        .map(|part| data(&format!("_ZN2v88internal7Version6{part}"), DATA))
        .collect();
    symbols.push(data("v8dbg_type_Map__MAP_TYPE", DATA + 4));
    symbols.push(data("v8dbg_TaggedSize", choices.number()));
    symbols.push(NewSymbol::function("Builtins_ArrayMap", TEXT, choices.number()));
    symbols.push(NewSymbol::function("_ZN4node5StartEiPPc", TEXT + choices.number() % 64, 64));
    let is_small = choices.byte().is_multiple_of(4);
    let mut file = match is_small {
        true => process::executable(Arch::X86_64),
        false if choices.byte().is_multiple_of(2) => file(&symbols, hash, &[]),
        false => file(&symbols, hash, &symbols),
    };
    let text = 64..64 + 0x1000;
    for _ in 0..choices.byte() % 24 {
        // Not in the code, which nobody reads: headers and tables.
        let mut at = choices.below(file.len() - if is_small { 0 } else { text.len() });
        at += if at >= text.start && !is_small { text.len() } else { 0 };
        match choices.byte() % 3 {
            0 => file[at] = choices.byte(),
            1 => {
                let (number, room) = (choices.number().to_le_bytes(), (file.len() - at).min(8));
                file[at..at + room].copy_from_slice(&number[..room]);
            }
            // A field of one of the headers.
            _ => {
                let (number, field) = (choices.number().to_le_bytes(), at % 8 * 8);
                let headers = u64::from_le_bytes([(); 8].map(|()| 0)).max(32) as usize;
                file[headers + field % 32..headers + field % 32 + 8].copy_from_slice(&number);
            }
        }
    }
    if choices.byte().is_multiple_of(4) {
        file.truncate(choices.below(file.len() + 1));
    }
    if !choices.byte().is_multiple_of(16)
        && let Some(magic) = file.get_mut(..6)
    {
        magic.copy_from_slice(b"\x7fELF\x02\x01");
    }
    if let Ok(elf) = Elf::parse(&file) {
        read_everything(&elf);
    }
}

/// Unwind tables with any instructions, over any stack.
pub fn unwinding(bytes: &[u8]) {
    const FUNCTION: u64 = 0x1000;
    const LENGTH: u64 = 0x40;
    const BIAS: u64 = 0x5500_0000_0000;
    const STACK: u64 = 0x7fff_0000_0000;

    let mut choices = Choices(bytes);
    let arch = if choices.byte().is_multiple_of(2) { Arch::Aarch64 } else { Arch::X86_64 };
    let augmentation: &[u8] = [&b"zR"[..], b"zRS", b"zPLR", b"", b"zzzz"][choices.below(5)];
    let column =
        if choices.byte() < 250 { [16, 30][usize::from(arch == Arch::Aarch64)] } else { choices.byte() };
    let number = choices.below(32) as u64;
    let mut registers = Registers { pc: BIAS + FUNCTION + choices.number() % LENGTH, ..Registers::default() };
    registers.general.iter_mut().for_each(|word| *word = STACK + number * 8);
    registers.general[choices.below(32)] = choices.number();
    if choices.byte() < 16 {
        registers.pc = choices.number();
    }
    let lengths = [choices.byte(), choices.byte()].map(|byte| if byte < 250 { None } else { Some(byte) });
    let common: Vec<u8> = (0..choices.below(16)).map(|_| choices.byte()).collect();
    let words: Vec<u8> = (0..32)
        .flat_map(|_| {
            match choices.byte() % 4 {
                0 => STACK + 8 * u64::from(choices.byte() % 40),
                1 => BIAS + FUNCTION + u64::from(choices.byte()),
                _ => choices.number(),
            }
            .to_le_bytes()
        })
        .collect();
    let own = choices.rest();

    let mut cie = [&[0, 0, 0, 0, 1], augmentation, &[0, 1, 0x78, column, 1, 4], &common].concat();
    cie.resize(cie.len().next_multiple_of(8) + 4, 0);
    let length = |real: usize, lie: Option<u8>| lie.map_or(real as u32, |lie| u32::from_le_bytes([lie; 4]));
    let mut section = length(cie.len(), lengths[0]).to_le_bytes().to_vec();
    section.extend(&cie);
    let pointer = section.len() as u32 + 4;
    let mut fde =
        [&pointer.to_le_bytes()[..], &FUNCTION.to_le_bytes(), &LENGTH.to_le_bytes(), &[0], own].concat();
    fde.resize(fde.len().next_multiple_of(8) + 4, 0);
    section.extend(length(fde.len(), lengths[1]).to_le_bytes());
    section.extend(&fde);
    section.extend([0; 4]);

    let module = ModuleUnwind::of_section(arch, Placed { vaddr: 0x8000, bytes: &section });
    let stack = StackCopy { base: STACK, bytes: &words };
    let mut unwinder = Unwinder::new(0x7f << 48);
    for step in 0..8 {
        let before = registers;
        let code = Code { module: &module, bias: BIAS };
        if unwinder.step(&mut registers, step > 0, code, &stack, &Recorded::new()).is_err() {
            assert_eq!(registers, before);
            break;
        }
    }
}
