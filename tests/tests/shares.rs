//! A profile's shares are those of the time that the target spent.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use tests::{
    binary::node_flame,
    matrix::{alone, tell},
    nodes::node,
    process::{Target, command, run},
    stacks::{self, Frame},
    verdict::total_variation,
    version::Version,
};

/// Profiles of a program, one of which has to be right. Without a held CPU `calls.js` is 20 % apart in each.
const TRIES: usize = 3;

/// The time in each function so far, in µs, by the target's newest whole line.
fn spent(target: &Target) -> BTreeMap<String, u64> {
    let text = target.stdout();
    let (whole, _) = text.rsplit_once('\n').expect("READY stands on a line of its own");
    let line = whole.lines().rfind(|line| line.starts_with("SHARES ")).expect("a first round");
    let part = |part: &str| {
        let (name, ms) = part.split_once('=').expect("name=ms");
        (name.to_owned(), (ms.parse::<f64>().expect("milliseconds") * 1e3) as u64)
    };
    line.split(' ').skip(1).map(part).collect()
}

#[test]
fn a_profile_has_the_shares_that_the_program_measured_itself() {
    holds_for("shares.js", 0.03);
}

#[test]
fn a_program_is_not_found_in_system_calls_more_often_than_it_is_there() {
    holds_for("calls.js", 0.03);
}

/// A profile of a program and what the program says are no further apart than this share.
fn holds_for(program: &str, bound: f64) {
    let _alone = alone();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(program);
    for version in [Version::new(16, 20, 2), Version::new(22, 23, 3), Version::new(26, 10, 0)] {
        let target = Target::ready(Command::new(node(version)).arg(&program)).unwrap();
        assert!(target.says("SHARES", Duration::from_secs(5)), "{}", target.stdout());
        // A host that keeps the sampler itself from its CPU has it ask too late; it gets more tries.
        let mut apart = f64::MAX;
        for _ in 0..TRIES {
            apart = profile_apart_from_truth(&target, &program);
            tell(&format!("{version}: {:.2} % apart", apart * 100.0));
            if apart < bound {
                break;
            }
        }
        assert!(apart < bound, "{version}: profile and truth are {:.2} % apart", apart * 100.0);
    }
}

/// Takes a profile of a running program. How far it is from what the program says of the same time.
fn profile_apart_from_truth(target: &Target, program: &Path) -> f64 {
    let before = spent(target);
    let pid = target.pid().to_string();
    let ended =
        run(&mut command(node_flame(), &[&pid, "folded", "7", "--rate", "250"]), Duration::from_secs(40));
    let after = spent(target);
    assert!(ended.ok(), "{}", ended.stderr);
    let truth: BTreeMap<String, u64> =
        after.iter().map(|(name, us)| (name.clone(), us - before.get(name).unwrap_or(&0))).collect();
    let stacks = stacks::folded(&ended.stdout).unwrap();
    let path = program.display().to_string();
    let mut sampled = BTreeMap::new();
    for stack in &stacks {
        let own = stack.frames.iter().rev().find_map(|label| Frame::in_scripts(label, &[&path]));
        if let Some(frame) = own.filter(|frame| truth.contains_key(frame.name)) {
            *sampled.entry(frame.name.to_owned()).or_default() += stack.count;
        }
    }
    tell(&format!("  truth   {truth:?}\n  sampled {sampled:?}"));
    assert!(sampled.values().sum::<u64>() > 800, "too few samples\n{}", ended.stderr);
    total_variation(&truth, &sampled)
}
