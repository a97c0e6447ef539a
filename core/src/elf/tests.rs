extern crate std;

use alloc::vec::Vec;
use proptest::prelude::*;

use super::fixture::{DATA, Hash, NewSymbol, TEXT, TEXT_SIZE, file};
use super::*;

/// This test's own executable: a real file with symbols.
fn own() -> Vec<u8> {
    std::fs::read(std::env::current_exe().unwrap()).unwrap()
}

/// Calls everything that reads from the file.
fn read_everything(elf: &Elf<'_>) {
    for segment in elf.segments() {
        let ends = [segment.vaddr, segment.vaddr.wrapping_add(segment.filesz), u64::MAX];
        for vaddr in ends {
            let _ = (elf.offset_of(vaddr), elf.int_at(vaddr), elf.bytes_from(vaddr), elf.word_at(vaddr));
        }
        let _ = elf.vaddr_of(segment.offset);
    }
    for table in [elf.dynamic_symbols(), elf.symtab_symbols()] {
        for symbol in table.iter().take(1000) {
            let _ = symbol.name();
        }
    }
    elf.for_each_variable_with_prefix(b"v8dbg_", |_| {});
    let _ = (
        elf.symbol(b"malloc"),
        elf.find_variables(&[Variable::object(b"main", 0..=8)]),
        elf.tls(),
        elf.soname(),
    );
    let _ = (elf.build_id(), elf.debug_link(), elf.eh_frame_hdr(), elf.section(b".text"), elf.interpreter());
}

#[inline(never)]
extern "C" fn known_function() -> u32 {
    std::hint::black_box(7)
}

#[test]
fn a_function_of_this_test_is_found_where_it_is() {
    let bytes = own();
    let elf = Elf::parse(&bytes).unwrap();
    let mut found = Vec::new();
    for symbol in elf.symtab_symbols().iter() {
        if symbol.kind == SymbolKind::Function
            && memchr::memmem::find(symbol.name(), b"known_function").is_some()
        {
            found.push(symbol.value);
        }
    }
    // Position-independent: the distance between two functions is the same in memory and in the file.
    let other = elf.symtab_symbols().iter().find(|symbol| {
        symbol.kind == SymbolKind::Function && memchr::memmem::find(symbol.name(), b"other_known").is_some()
    });
    let distance = (known_function as *const () as u64).wrapping_sub(other_known as *const () as u64);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].wrapping_sub(other.unwrap().value), distance);
    assert_eq!(known_function() + other_known(), 16);
}

#[inline(never)]
extern "C" fn other_known() -> u32 {
    std::hint::black_box(9)
}

#[test]
fn offsets_and_addresses_translate_back_and_forth() {
    let bytes = own();
    let elf = Elf::parse(&bytes).unwrap();
    for load in elf.loads().filter(|load| load.filesz > 0) {
        for vaddr in [load.vaddr, load.vaddr + load.filesz - 1] {
            let offset = elf.offset_of(vaddr).unwrap();
            assert_eq!(elf.bytes_at(vaddr, 1).unwrap()[0], bytes[offset as usize]);
            if load.executable() {
                assert_eq!(elf.vaddr_of(offset), Some(vaddr));
            }
        }
        assert_eq!(elf.bytes_at(load.vaddr, load.filesz + 1), None);
    }
}

#[test]
fn the_zero_filled_part_of_a_segment_holds_zeros() {
    let bytes = own();
    let elf = Elf::parse(&bytes).unwrap();
    let bss = elf.loads().find(|load| load.memsz > load.filesz + 8).unwrap();
    assert_eq!(elf.int_at(bss.vaddr + bss.memsz - 4), Some(0));
    assert_eq!(elf.int_at(bss.vaddr + bss.memsz + 0x10_0000), None);
    assert_eq!(elf.offset_of(bss.vaddr + bss.memsz - 4), None);
}

#[test]
fn what_is_no_readable_file_is_named() {
    let parse = |bytes: &[u8]| Elf::parse(bytes).err();
    assert_eq!(parse(b"\x7fE"), Some(ElfError::TooShort));
    assert_eq!(parse(b"#!/bin/sh"), Some(ElfError::NotElf));
    let mut bytes = own();
    bytes.truncate(4096);
    bytes[4] = 1;
    assert_eq!(parse(&bytes), Some(ElfError::Class(1)));
    bytes[4] = 2;
    bytes[18] = 21;
    assert_eq!(parse(&bytes), Some(ElfError::Machine(21)));
}

fn constants() -> Vec<NewSymbol> {
    let mut symbols = Vec::new();
    for (name, value, info, section) in [
        ("imported", 0, 0x12, 0),
        ("v8dbg_SmiTag", DATA, 0x11, 2),
        ("v8dbg_Negative", DATA + 4, 0x11, 2),
        ("v8dbg_InBss", DATA + 8, 0x11, 2),
        ("other", TEXT, 0x12, 1),
    ] {
        symbols.push(NewSymbol { name: name.into(), value, size: 4, info, section });
    }
    symbols
}

#[test]
fn a_symbol_is_found_by_each_kind_of_hash_and_without() {
    for hash in [Hash::None, Hash::Sysv, Hash::Gnu] {
        let bytes = file(&constants(), hash, &[]);
        let elf = Elf::parse(&bytes).unwrap();
        let value = |name: &[u8]| elf.symbol(name).and_then(|symbol| elf.int_at(symbol.value));
        assert_eq!(value(b"v8dbg_SmiTag"), Some(7), "{hash:?}");
        assert_eq!(value(b"v8dbg_Negative"), Some(-9), "{hash:?}");
        assert_eq!(value(b"v8dbg_InBss"), Some(0), "{hash:?}");
        assert!(elf.symbol(b"v8dbg_Smi").is_none(), "{hash:?}");
        assert!(elf.symbol(b"imported").is_none(), "{hash:?}: it is another file's");
        assert_eq!(elf.for_each_variable_with_prefix(b"v8dbg_", |_| {}), 3, "{hash:?}");
        if hash != Hash::None {
            assert_eq!(elf.dynamic_symbols().len(), 6, "{hash:?}");
        }
    }
}

#[test]
fn symbols_that_stand_together_are_found_by_what_their_names_begin_with() {
    let symbols = |runs: &[(&str, usize)]| -> Vec<NewSymbol> {
        let symbol = |name: &str, number| {
            let name = std::format!("{name}{number}").into();
            NewSymbol { name, value: TEXT, size: 4, info: 2, section: 1 }
        };
        runs.iter().flat_map(|(name, count)| (0..*count).map(|number| symbol(name, number))).collect()
    };
    let run = |runs: &[(&str, usize)]| {
        let bytes = file(&[], Hash::None, &symbols(runs));
        let table = Elf::parse(&bytes).unwrap().symtab_symbols();
        let run = table.run_with_prefix(b"Builtins_")?;
        assert!(table.within(run.clone()).any(|symbol| symbol.starts_with(b"Builtins_")));
        Some((run, table.len()))
    };
    let (found, len) =
        run(&[("a", 300), ("Builtins_A", 700), ("gap", 9), ("Builtins_B", 800), ("z", 90)]).unwrap();
    // The null symbol comes first.
    assert_eq!((found, len), (301..301 + 700 + 9 + 800, 1 + 300 + 1509 + 90));
    assert_eq!(run(&[("Builtins_", 1100)]).unwrap().0, 1..1101);
    assert!(run(&[("a", 300), ("Builtins_", 900), ("z", 300)]).is_none(), "too few to be all");
    assert!(run(&[("a", 3000)]).is_none());
}

#[test]
fn variables_that_only_the_symbol_table_has_are_found_in_one_pass() {
    let bytes = file(&constants()[..2], Hash::Gnu, &constants()[2..]);
    let elf = Elf::parse(&bytes).unwrap();
    let names: [&[u8]; 4] = [b"v8dbg_SmiTag", b"v8dbg_InBss", b"missing", b"other"];
    let found = elf.find_variables(&names.map(|name| Variable::object(name, 4..=4)));
    assert_eq!(
        found.map(|symbol| symbol.map(|symbol| symbol.value)),
        [Some(DATA), Some(DATA + 8), None, None],
        "other is a function"
    );
    let small = elf.find_variables(&[Variable::object(b"v8dbg_InBss", 1..=3)]);
    assert!(small[0].is_none(), "it has 4 bytes");
    let stripped = file(&[], Hash::Gnu, &constants());
    let elf = Elf::parse(&stripped).unwrap();
    let mut names = Vec::new();
    elf.for_each_variable_with_prefix(b"v8dbg_", |symbol| names.push(symbol.name()));
    assert_eq!(names, [&b"v8dbg_SmiTag"[..], b"v8dbg_Negative", b"v8dbg_InBss"]);
}

#[test]
fn a_place_of_the_file_that_two_segments_map_is_code_first() {
    let mut bytes = file(&[], Hash::None, &[]);
    let headers = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
    // The first segment becomes data that covers the whole file; the second is made code.
    bytes[headers + 4] = 4;
    bytes[headers + 32..headers + 40].copy_from_slice(&0x2000_u64.to_le_bytes());
    bytes[headers + 56 + 4] = 5;
    let elf = Elf::parse(&bytes).unwrap();
    let offset = elf.loads().nth(1).unwrap().offset;
    assert_eq!(elf.vaddr_of(offset), Some(DATA));
    assert_eq!(elf.vaddr_of(64), Some(TEXT));
    assert_eq!(elf.vaddr_of(u64::MAX), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_small_file_with_changed_bytes_does_no_harm(
        hash in prop_oneof![Just(Hash::None), Just(Hash::Sysv), Just(Hash::Gnu)],
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..30),
    ) {
        let mut bytes = file(&constants(), hash, &constants());
        for (at, byte) in changes {
            // Not in the code: nothing reads it.
            let at = at.index(bytes.len() - TEXT_SIZE as usize);
            bytes[if at < 64 { at } else { at + TEXT_SIZE as usize }] = byte;
        }
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        if let Ok(elf) = Elf::parse(&bytes) {
            read_everything(&elf);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_bytes_behind_a_good_header_do_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 64..2048)) {
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&[62, 0]);
        bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
        bytes[54..58].copy_from_slice(&[56, 0, 3, 0]);
        if let Ok(elf) = Elf::parse(&bytes) {
            read_everything(&elf);
        }
    }

    #[test]
    fn a_real_file_with_changed_and_missing_bytes_does_no_harm(
        changes in proptest::collection::vec((0_usize..8192, any::<u8>()), 1..40),
        cut in 0_usize..1 << 22,
    ) {
        let mut bytes = own();
        let end = bytes.len();
        for (at, byte) in changes {
            // The headers, and with every second change the section headers at the end.
            let at = if at % 2 == 0 { at / 8 } else { end - 1 - at };
            bytes[at] = byte;
        }
        if cut.is_multiple_of(2) {
            bytes.truncate(cut.min(end));
        }
        if let Ok(elf) = Elf::parse(&bytes) {
            read_everything(&elf);
        }
    }
}
