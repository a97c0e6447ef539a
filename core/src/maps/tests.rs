extern crate std;

use crate::elf::fixture::head;
use alloc::format;
use alloc::string::String;
use proptest::prelude::*;

use super::*;

/// A Node process in short: executable in several segments, builtins mapped twice, JIT pages, heap.
const NODE: &[u8] = b"\
00400000-00b6f000 r--p 00000000 08:01 77    /opt/node/bin/node\n\
00b6f000-00b71000 r-xp 0076f000 08:01 77    /opt/node/bin/node\n\
00b72000-025fe000 r-xp 00772000 08:01 77    /opt/node/bin/node\n\
0563a000-0563e000 r--p 05239000 08:01 77    /opt/node/bin/node\n\
0563e000-0565c000 rw-p 0523d000 08:01 77    /opt/node/bin/node\n\
0565c000-05689000 rw-p 00000000 00:00 0 \n\
06000000-06500000 rw-p 00000000 00:00 0     [heap]\n\
10000000-10040000 rw-p 00000000 00:00 0 \n\
7f0000000000-7f0000001000 r-xp 00000000 00:00 0 \n\
7f0000001000-7f0000002000 rwxp 00000000 00:00 0 [anon:v8]\n\
7f0000003000-7f0000004000 r-xp 00000000 00:00 0 \n\
7f1000000000-7f1000200000 r-xp 01000000 08:01 77    /opt/node/bin/node\n\
7f2000000000-7f2000100000 r--p 00000000 08:01 12    /usr/share/some data.bin\n\
7f3000000000-7f3000001000 r-xp 00000000 08:01 99    /tmp/a\\012b (deleted)\n\
7f4000000000-7f4000800000 rw-p 00000000 00:00 0 \n\
7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0     [stack]\n\
7ffe000fd000-7ffe000ff000 r-xp 00000000 00:00 0     [vdso]\n\
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0     [vsyscall]\n";

fn node() -> Maps {
    let mut maps = Maps::new();
    maps.update(NODE, &[0x7f40_0000_1000]);
    maps
}

#[test]
fn only_what_matters_is_kept() {
    let maps = node();
    assert!(maps.find(0x1000_0000).is_none(), "V8's heap");
    assert!(maps.find(0x7f20_0000_0000).is_none(), "a data file");
    assert!(maps.find(0x563_e000).is_some(), "data of a file with code");
    assert_eq!(maps.find(0x7f40_0000_2000).unwrap().end, 0x7f40_0080_0000, "a thread's stack");
    assert_eq!(maps.find(0x7ffe_0000_0000).unwrap().kind, RegionKind::Stack);
    assert_eq!(maps.find(0xffff_ffff_ff60_0010).unwrap().kind, RegionKind::Vsyscall);
    assert_eq!(maps.dropped(), Dropped::default());
}

#[test]
fn adjacent_jit_pages_are_one_region() {
    let maps = node();
    let jit = maps.find(0x7f00_0000_1800).unwrap();
    assert!(jit.is_jit());
    assert_eq!((jit.start, jit.end), (0x7f00_0000_0000, 0x7f00_0000_2000));
    assert!(maps.find(0x7f00_0000_2800).is_none());
}

#[test]
fn builtins_mapped_twice_are_at_the_same_place_of_the_file() {
    let maps = node();
    let first = maps.place(0xb7_2000 + (0x100_0000 - 0x77_2000) + 0x123).unwrap();
    let second = maps.place(0x7f10_0000_0123).unwrap();
    assert_eq!(first, second);
    assert_eq!(maps.path(first.module), b"/opt/node/bin/node");
    assert_eq!(maps.place(0x563_e000), None, "data is no code");
}

#[test]
fn a_deleted_file_keeps_its_number() {
    let mut maps = node();
    let before = maps.place(0xb7_2000).unwrap().module;
    assert!(!maps.module(before).unwrap().deleted);
    let text = String::from_utf8(NODE.to_vec()).unwrap().replace("bin/node\n", "bin/node (deleted)\n");
    maps.update(text.as_bytes(), &[]);
    let after = maps.place(0xb7_2000).unwrap().module;
    assert_eq!(before, after);
    assert!(maps.module(after).unwrap().deleted);
    assert_eq!(maps.path(after), b"/opt/node/bin/node");
}

#[test]
fn a_newline_in_a_path_is_a_newline() {
    let maps = node();
    let place = maps.place(0x7f30_0000_0000).unwrap();
    assert_eq!(maps.path(place.module), b"/tmp/a\nb");
    assert!(maps.module(place.module).unwrap().deleted);
}

#[test]
fn the_vdso_is_a_module_whose_offsets_start_at_its_image() {
    let maps = node();
    let place = maps.place(0x7ffe_000f_d123).unwrap();
    assert_eq!(place.offset, 0x123);
    assert_eq!(maps.path(place.module), b"[vdso]");
}

#[test]
fn a_module_that_is_no_longer_mapped_says_so() {
    let mut maps = node();
    let count = maps.modules().len();
    maps.update(b"7f3000000000-7f3000001000 r-xp 00000000 08:01 99    /tmp/a\\012b (deleted)\n", &[]);
    assert_eq!(maps.modules().len(), count);
    assert_eq!(maps.modules().iter().filter(|module| module.mapped).count(), 1);
}

#[test]
fn growing_jit_code_does_not_count_as_a_change_of_files() {
    let mut maps = node();
    let text = String::from_utf8(NODE.to_vec()).unwrap();
    assert!(!maps.update(
        text.replace("7f0000003000-7f0000004000 r-x", "7f0000003000-7f0000009000 rw-").as_bytes(),
        &[]
    ));
    assert!(maps.update(
        text.replace("7f3000000000-7f3000001000 r-x", "7f3000000000-7f3000001000 rw-").as_bytes(),
        &[]
    ));
}

#[test]
fn each_mapping_of_the_builtins_has_its_own_bias() {
    let text = std::fs::read("/proc/self/maps").unwrap();
    let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let elf = Elf::parse(&bytes).unwrap();
    let mut maps = Maps::new();
    maps.update(&text, &[]);
    let own = *maps.find(node as *const () as u64).unwrap();
    let bias = maps.load_bias(own.module.unwrap(), &elf);
    assert_eq!(own.bias(&elf), bias);
    let again = Region { start: own.start + 0x1_0000_0000, end: own.end + 0x1_0000_0000, ..own };
    assert_eq!(again.bias(&elf), bias.map(|bias| bias + 0x1_0000_0000));
}

#[test]
fn code_that_was_moved_to_huge_pages_is_still_the_files() {
    let mut maps = Maps::new();
    let text = b"\
00401000-00600000 r-xp 00001000 08:01 77    /opt/node/bin/node\n\
00600000-00c00000 r-xp 00000000 00:00 0 \n\
00c00000-00c01000 r-xp 00800000 08:01 77    /opt/node/bin/node\n\
7f0000000000-7f0000200000 r-xp 00000000 00:00 0 \n\
7f0000200000-7f0000400000 rwxp 00000000 00:00 0 \n";
    maps.update(text, &[]);
    let module = maps.place(0x40_1000).unwrap().module;
    assert_eq!(maps.place(0x70_0000), None);
    let file = head(1, 5, [0x1000, 0x40_1000, 0x80_0000]);
    maps.find_moved_code(module, &Elf::parse(&file).unwrap(), 0);
    assert_eq!(maps.place(0x70_0000), Some(FilePlace { module, offset: 0x30_0000 }));
    assert_eq!(maps.place(0x7f00_0000_1000), None, "JIT code");
    maps.update(text, &[]);
    assert_eq!(maps.place(0x70_0000), None, "known until the next update");
}

#[test]
fn a_copy_of_code_is_known_by_where_it_starts() {
    let mut maps = node();
    maps.update(b"7f0000000000-7f0000200000 r-xp 00000000 00:00 0 \n", &[]);
    assert_eq!(maps.code_without_file(), core::slice::from_ref(&(0x7f00_0000_0000..0x7f00_0020_0000)));
    let place = FilePlace { module: ModuleId(0), offset: 0x5000 };
    maps.enter_copy(0x7f00_0000_0000..0x7f00_0010_0000, place);
    assert_eq!(maps.place(0x7f00_0000_0123), Some(FilePlace { offset: 0x5123, ..place }));
    assert!(maps.find(0x7f00_0010_0000).unwrap().is_jit());
}

#[test]
fn copies_beyond_the_bound_are_counted() {
    let mut text = String::new();
    for index in 0..limits::CODE_COPIES as u64 + 3 {
        let start = 0x1000_0000 + index * 0x1000_0000;
        text += &format!("{start:x}-{:x} r-xp 00000000 00:00 0 \n", start + 0x80_0000);
    }
    let mut maps = Maps::new();
    maps.update(text.as_bytes(), &[]);
    assert_eq!((maps.code_without_file().len(), maps.dropped().regions), (limits::CODE_COPIES, 3));
    for _ in 0..=limits::CODE_COPIES {
        maps.enter_copy(0..1, FilePlace { module: ModuleId(0), offset: 0 });
    }
    assert_eq!(maps.dropped().regions, 4);
}

#[test]
fn a_full_table_counts_what_it_leaves_out() {
    let mut text = String::new();
    for index in 0..limits::REGIONS as u64 + 5 {
        let start = 0x10_0000 + index * 0x2000;
        text += &format!("{start:x}-{:x} r-xp 00000000 00:00 0 \n", start + 0x1000);
    }
    let mut maps = Maps::new();
    maps.update(text.as_bytes(), &[]);
    assert_eq!(maps.regions().len(), limits::REGIONS);
    assert_eq!(maps.dropped().regions, 5);
}

#[test]
fn the_table_of_this_process_leads_to_its_own_code() {
    let text = std::fs::read("/proc/self/maps").unwrap();
    let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let elf = Elf::parse(&bytes).unwrap();
    let mut maps = Maps::new();
    let local = 0_u8;
    let (pc, sp) = (node as *const () as u64, &raw const local as u64);
    maps.update(&text, &[sp]);
    let place = maps.place(pc).unwrap();
    let vaddr = elf.vaddr_of(place.offset).unwrap();
    assert_eq!(maps.load_bias(place.module, &elf), Some(pc - vaddr));
    assert!(maps.find(sp).unwrap().writable);
}

proptest! {
    #[test]
    fn hostile_texts_give_a_sorted_table(
        text in proptest::collection::vec(prop_oneof![
            "[0-9a-f]{1,6}-[0-9a-f]{1,6} [r-][w-][x-]p [0-9a-f]{1,8} [0-9]{2}:[0-9]{2} [0-9]{1,3} {0,4}(/[a-c ]{0,3}|\\[vdso\\]|)( \\(deleted\\))?\n",
            ".{0,60}\n",
        ], 0..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let text = text.concat();
        let bytes = &text.as_bytes()[..cut.index(text.len() + 1)];
        let mut maps = Maps::new();
        maps.update(bytes, &[0x100]);
        maps.update(bytes, &[]);
        prop_assert!(maps.regions().windows(2).all(|pair| pair[0].end <= pair[1].start));
        for region in maps.regions() {
            prop_assert_eq!(maps.find(region.start), Some(region));
            prop_assert_eq!(maps.find(region.end - 1), Some(region));
            prop_assert!(region.module.is_none_or(|module| maps.module(module).is_some_and(|module| module.mapped)));
        }
    }
}

#[test]
fn only_a_large_code_can_hold_v8() {
    let large = b"00400000-00b3e000 r-xp 00000000 103:5 7 /usr/bin/node\n";
    assert!(may_hold_v8(large));
    assert!(!may_hold_v8(b"00400000-00b3e000 rw-p 00000000 103:5 7 /usr/lib/data\n"));
    assert!(!may_hold_v8(b"00400000-0043e000 r-xp 00000000 103:5 7 /bin/bash\n"));
    assert!(!may_hold_v8(b"00400000-00b3e000 r-xp 00000000 00:00 0\n"));
}

#[test]
fn what_is_set_aside_behind_jit_code_may_have_become_code() {
    let mut maps = Maps::new();
    maps.update(
        b"7f2a27003000-7f2a27019000 r-xp 00000000 00:00 0\n\
          7f2a27019000-7f2a27040000 ---p 00000000 00:00 0\n\
          7f2a27040000-7f2a27042000 rw-p 00000000 00:00 0\n\
          7f2a27042000-7f2a27043000 ---p 00000000 00:00 0\n\
          7f2a27043000-7f2a2707f000 r-xp 00000000 00:00 0\n\
          7f2a2707f000-7f2a2a000000 ---p 00000000 00:00 0\n\
          7f2a2a000000-7f2a2effe000 ---p 00000000 00:00 0\n\
          7f2a2efff000-7f2a2f000000 ---p 00000000 00:00 0\n",
        &[],
    );
    assert_eq!(maps.reserved(0x7f2a_2708_3000), Some(0x7f2a_2707_f000));
    assert_eq!(maps.reserved(0x7f2a_2eff_dfff), Some(0x7f2a_2707_f000));
    assert_eq!(maps.reserved(0x7f2a_2702_0000), Some(0x7f2a_2701_9000));
    for not in [0x7f2a_2704_1000, 0x7f2a_2704_2000, 0x7f2a_2707_0000, 0x7f2a_2eff_f000, 0x7f2a_2700_0000] {
        assert_eq!(maps.reserved(not), None, "{not:#x}");
    }
}
