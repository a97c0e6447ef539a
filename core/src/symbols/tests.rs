extern crate std;

use alloc::string::String;
use alloc::vec::Vec;
use proptest::prelude::*;

use super::*;
use crate::elf::Elf;
use crate::elf::fixture::{Hash, NewSymbol, TEXT, TEXT_SIZE, file};
use crate::limits;

fn names(symbols: &[NewSymbol], addresses: &[u64]) -> Vec<Option<String>> {
    let bytes = file(&[], Hash::None, symbols);
    let elf = Elf::parse(&bytes).unwrap();
    let mut lookup = Lookup::new(addresses);
    lookup.pass(&elf);
    let answers = lookup.finish();
    answers.iter().map(|found| found.map(|found| String::from_utf8(found.name.to_vec()).unwrap())).collect()
}

fn name(symbols: &[NewSymbol], address: u64) -> Option<String> {
    names(symbols, &[address]).remove(0)
}

/// A symbol with its binding and type as given.
fn symbol(name: &str, value: u64, size: u64, info: u8) -> NewSymbol {
    NewSymbol { info, ..NewSymbol::function(name, value, size) }
}

#[test]
fn an_address_belongs_to_the_function_that_covers_it() {
    let symbols = [NewSymbol::function("b", TEXT + 32, 16), NewSymbol::function("a", TEXT, 16)];
    let addresses = [TEXT, TEXT + 15, TEXT + 16, TEXT + 32, TEXT + 47, TEXT + 48];
    let found = names(&symbols, &addresses);
    assert_eq!(
        found.iter().map(Option::as_deref).collect::<Vec<_>>(),
        [Some("a"), Some("a"), None, Some("b"), Some("b"), None]
    );
}

#[test]
fn a_symbol_without_size_reaches_to_the_next_one_or_the_end_of_its_section() {
    let symbols = [
        symbol("Builtins_A", TEXT, 0, 2),
        NewSymbol::function("sized", TEXT + 64, 16),
        symbol("Builtins_B", TEXT + 128, 0, 2),
    ];
    assert_eq!(name(&symbols, TEXT + 63).as_deref(), Some("Builtins_A"));
    assert_eq!(name(&symbols, TEXT + 100), None, "behind the end of a sized one");
    assert_eq!(name(&symbols, TEXT + TEXT_SIZE - 1).as_deref(), Some("Builtins_B"));
    assert_eq!(name(&symbols, TEXT + TEXT_SIZE), None);
    assert_eq!(name(&symbols, TEXT - 1), None);
}

#[test]
fn of_aliases_the_one_that_people_know_is_taken() {
    let weak = symbol("malloc", TEXT, 16, 0x22);
    let global = symbol("__libc_malloc", TEXT, 16, 0x12);
    let known = symbol("malloc", TEXT, 16, 0x12);
    let local = symbol("malloc_local", TEXT, 16, 0x02);
    let untyped = symbol("label", TEXT, 16, 0x10);
    let unsized_one = symbol("start", TEXT, 0, 0x12);
    for (symbols, expected) in [
        (&[global.clone(), known][..], "malloc"),
        (&[local.clone(), weak][..], "malloc"),
        (&[untyped, local][..], "malloc_local"),
        (&[unsized_one, global][..], "__libc_malloc"),
    ] {
        let mut turned = symbols.to_vec();
        turned.reverse();
        assert_eq!(name(symbols, TEXT + 3).as_deref(), Some(expected));
        assert_eq!(name(&turned, TEXT + 3).as_deref(), Some(expected));
    }
}

#[test]
fn labels_and_data_name_no_code() {
    let symbols = [
        NewSymbol::function("f", TEXT, 64),
        symbol(".L5", TEXT + 8, 0, 0),
        symbol("$x", TEXT + 8, 0, 0),
        symbol("table", TEXT + 8, 8, 0x11),
        NewSymbol { section: 0, ..NewSymbol::function("imported", TEXT + 8, 8) },
        NewSymbol { section: 0xfff1, ..NewSymbol::function("constant", TEXT + 8, 8) },
    ];
    assert_eq!(name(&symbols, TEXT + 12).as_deref(), Some("f"));
}

#[test]
fn dynamic_symbols_fill_what_the_symbol_table_lacks() {
    let bytes = file(
        &[NewSymbol::function("exported", TEXT, 16), NewSymbol::function("other", TEXT + 16, 16)],
        Hash::Gnu,
        &[NewSymbol::function("full", TEXT + 16, 16)],
    );
    let elf = Elf::parse(&bytes).unwrap();
    let addresses = [TEXT + 4, TEXT + 20];
    let mut lookup = Lookup::new(&addresses);
    lookup.pass(&elf);
    let found: Vec<_> = lookup.finish().into_iter().map(|found| found.unwrap().name).collect();
    assert_eq!(found, [&b"exported"[..], b"full"]);
}

#[test]
fn the_functions_of_this_test_are_found_by_any_of_their_addresses() {
    let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let elf = Elf::parse(&bytes).unwrap();
    let mut truth: Vec<_> = elf
        .symtab_symbols()
        .iter()
        .filter(|symbol| symbol.size > 0 && symbol.name().starts_with(b"_R"))
        .filter(|symbol| symbol.kind == crate::elf::SymbolKind::Function)
        .map(|symbol| (symbol.value + symbol.size / 2, symbol.value))
        .collect();
    truth.sort_unstable();
    let addresses: Vec<_> = truth.iter().map(|pair| pair.0).collect();
    let mut lookup = Lookup::new(&addresses);
    lookup.pass(&elf);
    for (found, (_, start)) in lookup.finish().into_iter().zip(&truth) {
        assert_eq!(found.unwrap().start, *start);
    }
    assert!(truth.len() > 500);
}

fn readable(symbol: &str, style: Style) -> String {
    let mut out = String::from("> ");
    demangle(symbol.as_bytes(), style, &mut out);
    String::from(&out[2..])
}

#[test]
fn names_are_shown_as_their_authors_wrote_them() {
    for (symbol, full, short) in [
        (
            "_ZN2v86Object3GetENS_5LocalINS_7ContextEEENS1_INS_5ValueEEE",
            "v8::Object::Get(v8::Local<v8::Context>, v8::Local<v8::Value>)",
            "v8::Object::Get",
        ),
        ("_ZNK2v85Value8IsObjectEv", "v8::Value::IsObject() const", "v8::Value::IsObject"),
        ("_ZNR1A1fEv", "A::f() &", "A::f"),
        ("_ZThn16_N1A1fEi", "non-virtual thunk to A::f(int)", "non-virtual thunk to A::f"),
        ("_ZTv0_n24_N1A1fEi", "virtual thunk to A::f(int)", "virtual thunk to A::f"),
        ("_Z3addIiET_S0_S0_", "add<int>(int, int)", "add<int>"),
        ("_ZN1AIJEE1fEv", "A<>::f()", "A<>::f"),
        ("_ZN1A1fEv.cold", "A::f() [clone .cold]", "A::f"),
        ("_ZN12_GLOBAL__N_13fooEv", "(anonymous namespace)::foo()", "(anonymous namespace)::foo"),
        (
            "_ZN4core3fmt5Write9write_str17h0123456789abcdefE",
            "core::fmt::Write::write_str",
            "core::fmt::Write::write_str",
        ),
        ("_RNvCs1234_7mycrate3foo", "mycrate::foo", "mycrate::foo"),
        (
            "_RNvMs_NtCs1_5alloc3vecINtB4_3VechE4push",
            "<alloc::vec::Vec<u8>>::push",
            "<alloc::vec::Vec<u8>>::push",
        ),
        ("uv_run", "uv_run", "uv_run"),
        ("_Zlove", "_Zlove", "_Zlove"),
        ("", "", ""),
    ] {
        assert_eq!(readable(symbol, Style::Full), full);
        let short_one = readable(symbol, Style::NoArguments);
        assert!(short_one == short || short_one.strip_suffix(" [clone .cold]") == Some(short), "{short_one}");
    }
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let mut out = String::new();
    demangle(b"a\xffb", Style::Full, &mut out);
    assert_eq!(out, "a\u{fffd}b");
}

#[test]
fn a_name_that_is_too_long_loses_inner_template_arguments_first() {
    // A<B<C<int, … 500 times>>>::f(): S0_ and the like would make it short, so they are left out.
    let many = "3xyz".repeat(500);
    let symbol = std::format!("_ZN5outerI5innerI4deepIJ{many}EEEE1fEv");
    assert_eq!(readable(&symbol, Style::Full), "outer<inner<…> >::f()");
    let wide = std::format!("_ZN5outerIJ{many}EE1fEv");
    assert_eq!(readable(&wide, Style::Full), "outer<…>::f()");
    let plain = std::format!("_Z1f{}", "3xyz".repeat(500));
    let cut = readable(&plain, Style::Full);
    assert!(cut.ends_with('…') && cut.len() <= limits::NAME_BYTES + '…'.len_utf8());
    let unmangled = "x".repeat(5000);
    assert_eq!(readable(&unmangled, Style::Full).len(), limits::NAME_BYTES + '…'.len_utf8());
}

#[test]
fn names_made_to_explode_end_soon() {
    // Each argument pack doubles the one before.
    let mut symbol = String::from("_Z1fI1A");
    for index in 0..36 {
        let digit = char::from_digit(index, 36).unwrap().to_ascii_uppercase();
        symbol += &std::format!("1BIS{digit}_S{digit}_E");
    }
    symbol += "Evv";
    let start = std::time::Instant::now();
    let _ = readable(&symbol, Style::Full);
    for deep in ["N", "P", "I", "1AI", "Dp", "T_I", "FvF", "_Z", "L_Z1fI", "X", "cl", "sr"] {
        let _ = readable(&std::format!("_Z1f{}", deep.repeat(1300)), Style::Full);
        let _ = readable(&std::format!("_ZN1{deep}{}v", deep.repeat(1300)), Style::Full);
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

/// The answer as the definition has it: the last start among the symbols that cover the address, else
/// the last start below if that symbol has no size.
fn by_definition(symbols: &[(u64, u64)], address: u64) -> Option<u64> {
    let covering = symbols.iter().filter(|(start, size)| *start <= address && address - start < *size);
    if let Some((start, _)) = covering.max() {
        return Some(*start);
    }
    let below = symbols.iter().filter(|(start, _)| *start <= address).map(|(start, _)| *start).max()?;
    let is_unsized = symbols.iter().filter(|(start, _)| *start == below).all(|(_, size)| *size == 0);
    (is_unsized && address < TEXT + TEXT_SIZE).then_some(below)
}

proptest! {
    #[test]
    fn lookups_agree_with_their_definition(
        symbols in proptest::collection::vec((0_u64..300, prop_oneof![Just(0_u64), 1_u64..60]), 0..40),
        addresses in proptest::collection::btree_set(0_u64..400, 0..40),
    ) {
        let symbols: Vec<_> = symbols.into_iter().map(|(start, size)| (TEXT + start, size)).collect();
        let entries: Vec<_> = symbols.iter().map(|(start, size)| NewSymbol::function("f", *start, *size)).collect();
        let bytes = file(&[], Hash::None, &entries);
        let elf = Elf::parse(&bytes).unwrap();
        let addresses: Vec<_> = addresses.into_iter().map(|address| TEXT + address).collect();
        let mut lookup = Lookup::new(&addresses);
        lookup.pass(&elf);
        for (found, address) in lookup.finish().into_iter().zip(&addresses) {
            prop_assert_eq!(found.map(|found| found.start), by_definition(&symbols, *address), "{:#x}", address);
        }
    }

    #[test]
    fn any_name_is_made_readable_within_its_bound(
        name in prop_oneof![
            "(_Z|_R|_ZN|_RNv|_GLOBAL_)[A-Za-z0-9_]{0,80}",
            "_Z[NILJTXSEDpcsrRKPFvij0-9_]{0,120}",
            any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        ],
        is_full in any::<bool>(),
    ) {
        let style = if is_full { Style::Full } else { Style::NoArguments };
        prop_assert!(readable(&name, style).len() <= limits::NAME_BYTES + '…'.len_utf8());
    }

    #[test]
    fn a_changed_name_of_this_test_is_made_readable(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), b'0'..b'z'), 0..6),
    ) {
        let mut name = NAMES[which.index(NAMES.len())].as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(name.len());
            name[at] = byte;
        }
        let mut out = String::new();
        demangle(&name, Style::Full, &mut out);
        demangle(&name, Style::NoArguments, &mut out);
    }
}

/// Names of Node 26 with much of the grammar in them.
const NAMES: [&str; 6] = [
    "_ZZN2v88internal4Heap14CollectGarbageENS0_15AllocationSpaceENS0_23GarbageCollectionReasonENS_15GCCallbackFlagsENS1_21PerformHeapLimitCheckEENKUlvE_clEv",
    "_ZN4node12SPrintFImplIRPKcJRA4_S1_iEEENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEES2_OT_DpOT0_",
    "_ZNSt17_Function_handlerIFvPN2v88internal7IsolateEEZNS1_8compiler4ImplEvEUlS3_E_E9_M_managerERSt9_Any_dataRKS8_St18_Manager_operation",
    "_ZN2tl8expectedINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEN3ada6errorsEEC2IRA1_KcTnPNSt9enable_ifIXsr3std14is_convertibleIOT_S6_EE5valueEvE4typeELPv0EEEv",
    "_RNvXs_NtNtCs5jzZ_4core3fmt3numINtB4_3FoohE3fmt",
    "_ZThn16_NK2v88internal6torque3fooEv.constprop.0.cold.12",
];
