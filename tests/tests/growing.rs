//! Functions that V8 has just compiled, on pages that it has just made, and those that a collection moves have their
//! names like all others.

use std::{path::PathBuf, process::Command};

use tests::{
    matrix::{alone, in_parallel, tell},
    native::stacks_of,
    nodes::node,
    process::Target,
    stacks::Stack,
    version::Version,
};

/// The numbers of a stack's `partN` functions, from the outermost on.
fn parts(stack: &Stack) -> Vec<u32> {
    let number = |label: &String| label.strip_prefix("part")?.split(':').next()?.parse().ok();
    stack.frames.iter().filter_map(number).collect()
}

#[test]
fn new_and_moved_functions_have_their_names() {
    let _alone = alone();
    let versions = [(12, 22, 12), (16, 20, 2), (22, 23, 3), (24, 21, 0)];
    in_parallel(&versions, 2, |&(major, minor, patch)| {
        let version = Version::new(major, minor, patch);
        let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("programs/growing.js");
        // From the beginning, when most pages come.
        let target = Target::ready(Command::new(node(version)).arg(program)).unwrap();
        let stacks = stacks_of(target.pid(), 3.0, 499);
        let count = |has: &dyn Fn(&Stack) -> bool| {
            stacks.iter().filter(|stack| has(stack)).map(|stack| stack.count).sum::<u64>()
        };
        let all = count(&|stack| !parts(stack).is_empty());
        let without_name = |label: &String| {
            label.contains("[unknown]") || (label.starts_with("[0x") && !label.contains(" in "))
        };
        let unnamed = count(&|stack| stack.frames.iter().any(without_name));
        let with_gaps = count(&|stack| parts(stack).into_iter().zip(0..).any(|(part, at)| part != at));
        tell(&format!("{version}: of {all} stacks {unnamed} have a frame without a name, {with_gaps} a gap"));
        assert!(all > 100, "{version}: {stacks:?}");
        // One may be caught where V8 is just moving the function itself.
        assert!(unnamed * 200 <= all, "{version}: {unnamed} of {all}: {stacks:?}");
        assert!(with_gaps * 100 <= all, "{version}: {with_gaps} of {all}: {stacks:?}");
    });
}
