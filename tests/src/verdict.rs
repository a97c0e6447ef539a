//! Are the sampled stacks the ones that a workload states?

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::{
    stacks::{Frame, Stack},
    workload::Workload,
};

/// The share of samples, in percent, that may be caught in what a calling function does between its calls.
///
/// A caller needs a moment of V8's own code too: an inline cache, an allocation, the clock. Such a stack ends in
/// a builtin or native frame below a function without work of its own, and is right. But a stack that lost its
/// last function can look the same, so only this share counts as exact.
const PASSING: u64 = 2;

/// What a profile's samples came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Samples with a frame of the workload's file.
    pub samples: u64,
    /// Of those, the ones whose frames of that file are exactly a stated chain.
    pub exact: u64,
    /// Of those that are not, the ones that V8's own code was met below the beginning of a stated chain.
    pub passing: u64,
    /// Samples without such a frame.
    pub others: u64,
    /// The stacks that are not exact, and their counts.
    pub wrong: BTreeMap<String, u64>,
    /// The stated stacks that were met.
    pub met: HashSet<Vec<String>>,
    /// The roots of stated chains from which no sample was met, such as a worker or a callback.
    pub roots_missed: BTreeSet<String>,
}

impl Tally {
    /// Judges stacks whose labels name first lines.
    pub fn of_stacks(workload: &Workload, stacks: &[Stack]) -> Self {
        let scripts = workload.scripts();
        let possible: HashSet<Vec<String>> =
            workload.possible().map(|chain| chain.iter().map(|&f| workload.label(f)).collect()).collect();
        let begun: HashSet<Vec<String>> = (workload.chains.iter())
            .flat_map(|chain| (1..chain.len()).map(|n| &chain[..n]))
            .map(|chain| chain.iter().map(|&f| workload.label(f)).collect())
            .collect();
        let mut this = Self::default();
        for stack in stacks {
            let own: Vec<String> = stack
                .frames
                .iter()
                .filter(|label| Frame::in_scripts(label, &scripts).is_some())
                .cloned()
                .collect();
            if own.is_empty() {
                this.others += stack.count;
                continue;
            }
            this.samples += stack.count;
            if possible.contains(&own) {
                this.exact += stack.count;
                this.met.insert(own);
            } else {
                if begun.contains(&own) && stack.frames.last().is_some_and(|l| l.ends_with(']')) {
                    this.passing += stack.count;
                }
                *this.wrong.entry(shorten(workload, stack)).or_default() += stack.count;
            }
        }
        let roots =
            workload.chains.iter().filter_map(|chain| chain.first()).map(|&root| workload.label(root));
        this.roots_missed = roots.filter(|root| !this.met.iter().any(|met| met[0] == *root)).collect();
        this
    }

    /// The share of exact samples, in percent; 0 without samples. Includes at most [`PASSING`] of passing ones.
    pub fn percent(&self) -> f64 {
        percent(self.exact + self.passing.min(self.samples * PASSING / 100), self.samples)
    }

    /// Of so many samples that chance is no reason, none came from some root.
    pub fn misses_a_root(&self) -> bool {
        self.samples >= 150 && !self.roots_missed.is_empty()
    }

    /// The most frequent wrong stacks, one a line with its count.
    pub fn worst(&self, how_many: usize) -> String {
        worst(&self.wrong, how_many)
    }
}

/// `part` of `whole`, in percent; 0 of nothing.
pub fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// The stack from the first frame of the workload's file to the third below the last such, its script's name
/// left out.
fn shorten(workload: &Workload, stack: &Stack) -> String {
    let scripts = workload.scripts();
    let start = stack.frames.iter().position(|l| Frame::in_scripts(l, &scripts).is_some()).unwrap_or(0);
    let last = stack.frames.iter().rposition(|l| Frame::in_scripts(l, &scripts).is_some()).unwrap_or(start);
    let script = format!(":{}:", workload.script);
    let mut text = String::new();
    let mut repeated = 0;
    for (i, label) in stack.frames.iter().enumerate().take(last + 4).skip(start) {
        if i > start && *label == stack.frames[i - 1] {
            repeated += 1;
            continue;
        }
        if repeated > 0 {
            text += &format!("*{}", repeated + 1);
            repeated = 0;
        }
        if i > start {
            text += " > ";
        }
        text += &label.replace(&script, ":");
    }
    if repeated > 0 {
        text += &format!("*{}", repeated + 1);
    }
    text
}

/// How many frames of `--lines` output name a line on which their call or loop stands.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// Frames that called another frame of the file.
    pub callers: u64,
    /// Of those, with a right line.
    pub callers_right: u64,
    /// Last frames of the file.
    pub leaves: u64,
    /// Of those, with a right line.
    pub leaves_right: u64,
    /// Samples whose names are no stated chain; their frames are not counted.
    pub unknown: u64,
    /// The frames with a wrong line (`NAME:LINE`, the leaves with `(leaf)`), and their counts.
    pub wrong: BTreeMap<String, u64>,
}

impl Lines {
    /// Judges stacks whose labels name executing lines. Functions that state no lines are left out.
    pub fn of_stacks(workload: &Workload, stacks: &[Stack]) -> Self {
        let scripts = workload.scripts();
        let mut possible: HashMap<Vec<(&str, bool)>, Vec<&[usize]>> = HashMap::new();
        for chain in workload.possible() {
            let f = |&i: &usize| (workload.functions[i].name.as_str(), workload.functions[i].eval);
            possible.entry(chain.iter().map(f).collect()).or_default().push(chain);
        }
        let mut this = Self::default();
        for stack in stacks {
            let own: Vec<Frame<'_>> =
                stack.frames.iter().filter_map(|label| Frame::in_scripts(label, &scripts)).collect();
            if own.is_empty() {
                continue;
            }
            let names: Vec<_> = own.iter().map(|f| (f.name, f.script != workload.script)).collect();
            match possible.get(&names) {
                Some(chains) => this.count(workload, chains, &own, stack.count),
                None => this.unknown += stack.count,
            }
        }
        this
    }

    fn count(&mut self, workload: &Workload, chains: &[&[usize]], own: &[Frame<'_>], count: u64) {
        for (i, frame) in own.iter().enumerate() {
            // Functions of the same name, such as anonymous ones, cannot be told apart here.
            let stated: Vec<_> = (chains.iter())
                .map(|chain| (&workload.functions[chain[i]], chain.get(i + 1).copied()))
                .collect();
            if stated.iter().any(|(function, _)| function.lines.is_empty()) {
                continue;
            }
            let right = stated.iter().any(|(function, callee)| function.can_be_at(frame.line, *callee));
            let leaf = i + 1 == own.len();
            let (all, good) = if leaf {
                (&mut self.leaves, &mut self.leaves_right)
            } else {
                (&mut self.callers, &mut self.callers_right)
            };
            *all += count;
            if right {
                *good += count;
            } else {
                let frame = format!("{}:{}{}", frame.name, frame.line, if leaf { " (leaf)" } else { "" });
                *self.wrong.entry(frame).or_default() += count;
            }
        }
    }

    /// The most frequent frames with a wrong line, one a line with its count.
    pub fn worst(&self, how_many: usize) -> String {
        worst(&self.wrong, how_many)
    }
}

fn worst(counts: &BTreeMap<String, u64>, how_many: usize) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|&(what, count)| (u64::MAX - count, what));
    let line = |(what, count): &(&String, &u64)| format!("{count:6}  {what}\n");
    counts.iter().take(how_many).map(line).collect()
}

/// How far two distributions are apart: half the sum of the differences of shares, 0 to 1.
pub fn total_variation(a: &BTreeMap<String, u64>, b: &BTreeMap<String, u64>) -> f64 {
    let (sum_a, sum_b) = (a.values().sum::<u64>().max(1) as f64, b.values().sum::<u64>().max(1) as f64);
    let keys: HashSet<&String> = a.keys().chain(b.keys()).collect();
    let share = |of: &BTreeMap<String, u64>, key: &String, sum| of.get(key).map_or(0.0, |&n| n as f64 / sum);
    keys.into_iter().map(|key| (share(a, key, sum_a) - share(b, key, sum_b)).abs()).sum::<f64>() / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{stacks, version::Version};

    fn nested() -> Workload {
        Workload::load("nested.js", Version::new(22, 23, 3)).unwrap()
    }

    fn folded(workload: &Workload, chains: &[(&[&str], u64)]) -> Vec<Stack> {
        let label = |key: &&str| match workload.functions.iter().position(|f| f.key == **key) {
            Some(i) => workload.label(i),
            None => (**key).to_owned(),
        };
        chains
            .iter()
            .map(|(keys, count)| Stack { frames: keys.iter().map(label).collect(), count: *count })
            .collect()
    }

    #[test]
    fn a_missing_a_doubled_and_an_invented_frame_are_wrong() {
        let w = nested();
        let right = ["node", "top", "outer", "builtin", "middle", "inner", "native"];
        let stacks = folded(
            &w,
            &[
                (&right, 90),
                (&["top", "first", "second", "third"], 5),
                (&["top", "outer", "inner"], 1),
                (&["top", "outer", "middle", "inner", "inner"], 1),
                (&["top", "outer", "middle"], 1),
                (&["outer", "middle", "inner"], 1),
                (&["top", "first", "second", "middle", "inner"], 1),
                (&["epoll_wait"], 7),
            ],
        );
        let tally = Tally::of_stacks(&w, &stacks);
        assert_eq!((tally.samples, tally.exact, tally.others), (100, 95, 7));
        assert_eq!(tally.wrong.len(), 5);
    }

    #[test]
    fn little_time_of_a_caller_in_builtins_is_right_and_much_is_a_lost_leaf() {
        let w = nested();
        let right: &[&str] = &["top", "outer", "middle", "inner"];
        let passing: &[&str] = &["top", "outer", "Load:[builtin]"];
        let percent = |n| Tally::of_stacks(&w, &folded(&w, &[(right, 100 - n), (passing, n)])).percent();
        assert_eq!((percent(0), percent(2), percent(10)), (100.0, 100.0, 92.0));
    }

    #[test]
    fn a_root_without_samples_is_missed() {
        let w = Workload::load("promises.js", Version::new(22, 23, 3)).unwrap();
        let met = ["main > step", "fulfilled", "rejected", "viaArrow", "step"];
        let chains: Vec<Vec<&str>> = met.iter().map(|c| c.split(" > ").chain(["burn"]).collect()).collect();
        let missed = |n| {
            let some: Vec<(&[&str], u64)> = chains[..n].iter().map(|chain| (&chain[..], 1)).collect();
            Tally::of_stacks(&w, &folded(&w, &some)).roots_missed.len()
        };
        assert_eq!((missed(5), missed(4), missed(1)), (0, 1, 4));
    }

    #[test]
    fn a_wrong_line_or_path_is_wrong() {
        let w = nested();
        let moved = |label: String| label.replace("inner:", "inner:/other");
        for change in [moved, |label: String| label.replace("js:8", "js:9")] {
            let mut stacks = folded(&w, &[(&["top", "outer", "middle", "inner"], 1)]);
            for label in &mut stacks[0].frames {
                *label = change(label.clone());
            }
            assert_eq!(Tally::of_stacks(&w, &stacks).exact, 0, "{:?}", stacks[0].frames);
        }
    }

    #[test]
    fn lines_of_callers_and_leaves_are_counted_apart() {
        let w = nested();
        let line = |key: &str, line: Option<u32>| {
            let f = w.functions.iter().find(|f| f.key == key).unwrap();
            format!("{}:{}:{}", f.name, w.script, line.unwrap_or(f.lines[0].0))
        };
        let stack = |of_outer| {
            [line("top", None), line("outer", of_outer), line("middle", None), line("inner", None)].join(";")
        };
        let stacks = stacks::folded(&format!("{} 3\n{} 1\n", stack(None), stack(Some(1)))).unwrap();
        let lines = Lines::of_stacks(&w, &stacks);
        assert_eq!((lines.callers, lines.callers_right, lines.unknown), (12, 11, 0));
        assert_eq!((lines.leaves, lines.leaves_right), (4, 4));
    }

    #[test]
    fn distributions_differ_by_what_would_have_to_move() {
        let of = |pairs: &[(&str, u64)]| pairs.iter().map(|&(k, n)| (k.to_owned(), n)).collect();
        let (a, b): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (of(&[("x", 3), ("y", 1)]), of(&[("x", 50), ("z", 50)]));
        assert!((total_variation(&a, &b) - 0.5).abs() < 1e-9);
        assert!(total_variation(&a, &a) < 1e-9);
    }
}
