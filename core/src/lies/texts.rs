//! Texts that lie: `/proc/PID/maps`, and mangled names.

use super::Choices;
use crate::limits::NAME_BYTES;
use crate::maps::Maps;
use crate::symbols::{Style, demangle};
use alloc::format;
use alloc::string::String;

/// Lines of `/proc/PID/maps`, in an order and with fields that no kernel gives.
pub fn maps(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let (mut text, mut maps) = (String::new(), Maps::new());
    for _ in 0..choices.byte() % 24 {
        let start =
            if choices.byte() < 200 { u64::from(choices.half() >> 8) << 12 } else { choices.number() };
        let end = start.wrapping_add(choices.number() % (1 << 20));
        let name = [
            "",
            "/usr/bin/node",
            "/usr/lib/libnode.so.115 (deleted)",
            "[stack]",
            "[vdso]",
            "[heap]",
            "/a b\u{e9}",
        ];
        let rights = ["r-xp", "rw-p", "rwxs", "---p", "r-", ""][choices.below(6)];
        let (offset, inode) = (choices.number(), choices.number() % 5);
        text += &format!(
            "{start:x}-{end:x} {rights} {offset:x} 08:{:x} {inode} {}\n",
            choices.byte(),
            name[choices.below(7)]
        );
        if choices.byte() < 8 {
            text.truncate(text.floor_char_boundary(choices.below(text.len() + 1)));
        }
    }
    let near = [choices.number(), choices.number()];
    maps.update(text.as_bytes(), &near);
    let raw = choices.rest();
    maps.update(&[text.as_bytes(), raw].concat(), &[]);
    maps.update(raw, &near);
    maps.update(text.as_bytes(), &near);
    assert!(maps.regions().windows(2).all(|pair| pair[0].end <= pair[1].start));
    for region in maps.regions() {
        assert_eq!(maps.find(region.start), Some(region));
        let _ = (maps.place(region.start), maps.place(region.end));
        if let Some(module) = region.module {
            let _ = (maps.path(module), maps.regions_of(module).count());
        }
    }
}

/// A symbol's name: any bytes, and pieces of the two grammars in any order.
pub fn names(bytes: &[u8]) {
    const PIECES: [&str; 40] = [
        "_Z",
        "_ZN",
        "_R",
        "_RN",
        "St",
        "S_",
        "S0_",
        "T_",
        "T0_",
        "I",
        "E",
        "N",
        "X",
        "L",
        "J",
        "Dp",
        "Dn",
        "DT",
        "cl",
        "sr",
        "cv",
        "K",
        "P",
        "R",
        "F",
        "v",
        "i",
        "A",
        "C1",
        "D0",
        "3foo",
        "12node_example",
        "4294967295x",
        "99999999999999999999a",
        "Ul",
        "E_",
        ".cold",
        ".constprop.0",
        "B_",
        "B3_",
    ];
    let mut choices = Choices(bytes);
    let mut name = String::new();
    if choices.byte() < 200 {
        for _ in 0..choices.byte() {
            name += PIECES[usize::from(choices.byte()) % PIECES.len()];
        }
    }
    let name = [name.as_bytes(), choices.rest()].concat();
    for style in [Style::Full, Style::NoArguments] {
        let mut out = String::new();
        demangle(&name, style, &mut out);
        // Cut and marked as such.
        assert!(out.len() <= NAME_BYTES + '…'.len_utf8(), "{} bytes", out.len());
    }
}
