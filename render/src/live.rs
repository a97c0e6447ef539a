//! A view of a run that goes on: the hottest functions of the last seconds, as lines of a screen.

use crate::label::{Style, escape, push};
use crate::tree::Shown;
use flame_core::maps::FilePlace;
use flame_core::profile::{Activity, Kind, Sample, Strings, Text, Thread};
use flame_core::sample::news::{NewFrame, News};
use flame_core::sample::resolve::Symbols;
use std::collections::VecDeque;

/// Length of the window in microseconds.
pub const WINDOW_US: u64 = 10_000_000;

/// What one thread has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Its id.
    pub tid: u32,
    /// CPU time in nanoseconds.
    pub cpu_ns: u64,
    /// Ticks at which it did not run.
    pub idle: u64,
    /// Ticks that were lost.
    pub lost: u64,
}

/// What the threads have used so far, at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Microseconds since the start.
    pub at_us: u64,
    /// Every thread that lives.
    pub threads: Vec<Used>,
}

/// What is to be shown, as the keys have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// By the samples in a function and what it calls; else by those in itself.
    pub by_total: bool,
    /// Only functions whose label holds this, in any case of letters.
    pub filter: String,
    /// The filter is being typed.
    pub is_typing: bool,
    /// Only this thread.
    pub thread: Option<u32>,
    /// Nothing moves.
    pub is_paused: bool,
    /// Frames that are not JavaScript are shown.
    pub native: bool,
}

/// A node of the call tree: its parent, and its frame.
type Node = (u32, Option<u32>);

/// What is known of a run.
pub struct Live {
    pid: u32,
    command: String,
    frames: Vec<NewFrame>,
    /// The label's number of each frame, once it is named.
    labels_of: Vec<u32>,
    /// By the label's number.
    kinds: Vec<Kind>,
    labels: Strings,
    nodes: Vec<Node>,
    threads: Vec<Thread>,
    samples: VecDeque<Sample>,
    usages: VecDeque<Usage>,
    is_full: bool,
}

/// A function's samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    label: u32,
    own: u32,
    total: u32,
}

impl Live {
    /// Nothing yet of a process.
    pub fn new(pid: u32, command: &str) -> Self {
        let mut escaped = String::new();
        escape(command, &mut escaped);
        Live {
            pid,
            command: escaped,
            frames: Vec::new(),
            labels_of: Vec::new(),
            kinds: Vec::new(),
            labels: Strings::default(),
            nodes: Vec::new(),
            threads: Vec::new(),
            samples: VecDeque::new(),
            usages: VecDeque::new(),
            is_full: false,
        }
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        self.samples.clear();
        self.usages.drain(..self.usages.len().saturating_sub(1));
    }

    /// Forgets everything: numbers begin anew.
    pub fn clear(&mut self) {
        *self = Live { command: std::mem::take(&mut self.command), ..Live::new(self.pid, "") };
    }

    /// Takes in what samples to come are made of.
    pub fn learn(&mut self, news: News) {
        self.frames.extend(news.frames);
        self.nodes.extend(news.nodes);
        self.threads.extend(news.threads);
        self.samples.extend(news.samples);
        self.is_full |= news.is_full;
    }

    /// Takes in what is new; samples before the window are forgotten.
    pub fn update(&mut self, news: News, usage: Usage) {
        let start = usage.at_us.saturating_sub(WINDOW_US);
        self.learn(news);
        while self.samples.front().is_some_and(|sample| sample.at_us < start) {
            self.samples.pop_front();
        }
        self.usages.push_back(usage);
        // One that is older than the window is kept, to count from.
        while self.usages.get(1).is_some_and(|second| second.at_us <= start) {
            self.usages.pop_front();
        }
    }

    /// Places of native code that have no name yet.
    pub fn unnamed(&self) -> Vec<FilePlace> {
        self.frames.iter().skip(self.labels_of.len()).filter_map(|frame| frame.place).collect()
    }

    /// Names all frames that have no label yet.
    pub fn name(&mut self, symbols: &mut dyn Symbols) {
        for number in self.labels_of.len()..self.frames.len() {
            let Some(new) = self.frames.get_mut(number) else { return };
            if let Some(place) = new.place {
                new.frame.kind = symbols.name(place, &mut new.name);
                symbols.path(place, &mut new.file);
            }
            let mut label = String::new();
            Style::default().write_with(&new.frame, &new.name, &new.file, &mut label);
            // One that finds no room has the empty label, which is not shown.
            let number = self.labels.intern(&label).unwrap_or(Text::EMPTY);
            self.kinds.resize(self.labels.len(), new.frame.kind);
            self.labels_of.push(number.0);
        }
    }

    /// Threads with samples in the window, by their ids: the ones that can be looked at alone.
    pub fn tids(&self) -> Vec<u32> {
        let of = |sample: &Sample| self.threads.get(usize::from(sample.thread.0)).map(|thread| thread.tid);
        let mut tids: Vec<u32> = self.samples.iter().filter_map(of).collect();
        tids.sort_unstable();
        tids.dedup();
        tids
    }

    fn chosen(&self, look: &Look) -> impl Iterator<Item = &Sample> {
        let threads = &self.threads;
        let wanted = look.thread;
        self.samples.iter().filter(move |sample| {
            let thread = threads.get(usize::from(sample.thread.0));
            wanted.is_none() || thread.map(|thread| thread.tid) == wanted
        })
    }

    /// The functions of the window, the hottest first, and the number of samples.
    fn counts(&self, look: &Look) -> (Vec<Count>, u32) {
        let shown = Shown { glue: false, native: look.native };
        let mut of_node = vec![0; self.nodes.len()];
        let mut samples = 0;
        for sample in self.chosen(look) {
            if let Some(count) = of_node.get_mut(sample.node.0 as usize) {
                *count += sample.weight;
            }
            samples += sample.weight;
        }
        let mut counts: Vec<Count> =
            (0..self.labels.len() as u32).map(|label| Count { label, ..Count::default() }).collect();
        // The path in which a label was met last: a function that calls itself counts once.
        let mut met = vec![0; counts.len()];
        for (leaf, weight) in (0..).zip(of_node).filter(|(_, weight)| *weight > 0) {
            let path = leaf + 1;
            let mut next = leaf;
            let mut is_leaf = true;
            while let Some((parent, Some(frame))) = self.nodes.get(next as usize).copied() {
                next = parent;
                let label = self.labels_of.get(frame as usize).map_or(usize::MAX, |label| *label as usize);
                let (Some(count), Some(kind)) = (counts.get_mut(label), self.kinds.get(label)) else {
                    continue;
                };
                if !shown.holds(*kind) {
                    continue;
                }
                if std::mem::take(&mut is_leaf) {
                    count.own += weight;
                }
                if std::mem::replace(&mut met[label], path) != path {
                    count.total += weight;
                }
            }
        }
        let filter = look.filter.to_lowercase();
        counts.retain(|count| {
            let label = self.labels.get(Text(count.label));
            count.label > 0
                && count.total > 0
                && (filter.is_empty() || label.to_lowercase().contains(&filter))
        });
        let key =
            |count: &Count| if look.by_total { (count.total, count.own) } else { (count.own, count.total) };
        counts.sort_unstable_by(|a, b| key(b).cmp(&key(a)).then(a.label.cmp(&b.label)));
        (counts, samples)
    }

    /// The screen: `height` lines of at most `width` columns; fewer lines if `keys` are not wanted.
    pub fn draw(&self, look: &Look, width: usize, height: usize, keys: bool) -> Vec<String> {
        let (counts, samples) = self.counts(look);
        let state = match (look.is_paused, self.is_full) {
            (true, _) => "PAUSED",
            (_, true) => "TABLES FULL, r RESETS",
            _ => "last 10 s",
        };
        let mut lines = vec![
            format!("{} {}: {state}, {samples} samples", self.pid, self.command),
            self.cpu(),
            self.shares(look, samples),
        ];
        if keys {
            let thread = look.thread.map_or_else(|| "all".to_owned(), |tid| self.name_of(tid));
            let mut line = format!("thread: {thread}");
            if look.is_typing || !look.filter.is_empty() {
                line.push_str("  filter: ");
                escape(&look.filter, &mut line);
                line.push_str(if look.is_typing { "_" } else { "" });
            }
            lines.push(line);
        }
        let mark = |is: bool| if is { '*' } else { ' ' };
        lines.push(format!("{}SELF % {}TOTAL %  FUNCTION", mark(!look.by_total), mark(look.by_total)));
        let rows = height.saturating_sub(lines.len() + usize::from(keys));
        let percent = |part: u32| f64::from(part) * 100.0 / f64::from(samples.max(1));
        for count in counts.iter().take(rows) {
            let label = self.labels.get(Text(count.label));
            lines.push(format!("{:7.1} {:8.1}  {label}", percent(count.own), percent(count.total)));
        }
        if keys {
            lines.resize(height.saturating_sub(1), String::new());
            let help = if look.is_typing {
                "type a part of a function's name; Enter keeps it, Esc drops it"
            } else {
                "q quit  s self  t total  / filter  space pause  n p thread  r reset"
            };
            lines.push(help.into());
        }
        lines.truncate(height);
        lines.iter_mut().for_each(|line| cut(line, width));
        lines
    }

    fn name_of(&self, tid: u32) -> String {
        let known = self.threads.iter().rfind(|thread| thread.tid == tid);
        let mut name = String::new();
        match known.map_or("", |thread| thread.name.as_str()) {
            "" if tid == self.pid => name.push_str("main"),
            "" => name.push_str("worker"),
            known => escape(known, &mut name),
        }
        push(&mut name, format_args!(" ({tid})"));
        name
    }

    /// CPU of each thread with samples, and of all others together, over the last second.
    fn cpu(&self) -> String {
        let Some(now) = self.usages.back() else { return String::new() };
        let since = now.at_us.saturating_sub(1_500_000);
        let before = self.usages.iter().find(|usage| usage.at_us >= since).unwrap_or(now);
        if before.at_us == now.at_us {
            // With one look at them nothing is measured yet.
            return "CPU –".into();
        }
        let passed_ns = now.at_us.saturating_sub(before.at_us).saturating_mul(1000).max(1);
        let percent = |used: u64| (used as f64 * 100.0 / passed_ns as f64).round();
        let tids = self.tids();
        let (mut line, mut all, mut rest) = (String::new(), 0, 0);
        for used in &now.threads {
            let earlier = before.threads.iter().find(|earlier| earlier.tid == used.tid);
            let cpu_ns = used.cpu_ns.saturating_sub(earlier.map_or(used.cpu_ns, |earlier| earlier.cpu_ns));
            all += cpu_ns;
            if tids.binary_search(&used.tid).is_ok() {
                push(&mut line, format_args!(", {} {} %", self.name_of(used.tid), percent(cpu_ns)));
            } else {
                rest += cpu_ns;
            }
        }
        let line = line.trim_start_matches(", ");
        let gap = if line.is_empty() { "" } else { ", " };
        format!("CPU {} %: {line}{gap}other threads {} %", percent(all), percent(rest))
    }

    /// What V8 did in the window, idle time included.
    fn shares(&self, look: &Look, samples: u32) -> String {
        let mut of = [0u32; Activity::ALL.len()];
        for sample in self.chosen(look) {
            of[sample.activity as usize] += sample.weight;
        }
        let tids = self.tids();
        let is_chosen = |used: &&Used| match look.thread {
            Some(tid) => used.tid == tid,
            None => used.tid == self.pid || tids.binary_search(&used.tid).is_ok(),
        };
        let (mut idle, mut lost) = (0, 0);
        if let (Some(first), Some(last)) = (self.usages.front(), self.usages.back()) {
            for used in last.threads.iter().filter(is_chosen) {
                let earlier = first.threads.iter().find(|earlier| earlier.tid == used.tid);
                let earlier = earlier.copied().unwrap_or_default();
                idle += used.idle.saturating_sub(earlier.idle);
                lost += used.lost.saturating_sub(earlier.lost);
            }
        }
        let whole = (u64::from(samples) + idle).max(1) as f64;
        let mut line = String::new();
        for (name, count) in [
            ("JavaScript", of[Activity::JavaScript as usize].into()),
            ("native", of[Activity::Native as usize].into()),
            ("GC", of[Activity::Gc as usize].into()),
            ("compile", of[Activity::Compile as usize].into()),
            ("idle", idle),
        ] {
            push(&mut line, format_args!("{name} {} %  ", (count as f64 * 100.0 / whole).round()));
        }
        push(&mut line, format_args!("lost samples {lost}"));
        line
    }
}

/// Cuts a line at a number of columns.
fn cut(line: &mut String, width: usize) {
    let mut columns = 0;
    let end = line.char_indices().find(|(_, char)| {
        columns += columns_of(*char);
        columns > width
    });
    if let Some((end, _)) = end {
        line.truncate(end);
    }
}

/// Columns that a character takes on a terminal: two for those of East Asia and pictures, none for marks
/// that join the one before.
fn columns_of(char: char) -> usize {
    match u32::from(char) {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flame_core::maps::ModuleId;
    use flame_core::profile::{Frame, NodeId, ThreadId};

    struct Native;

    impl Symbols for Native {
        fn name(&mut self, place: FilePlace, into: &mut String) -> Kind {
            push(into, format_args!("native{}", place.offset));
            Kind::Native
        }
        fn path(&mut self, _: FilePlace, _: &mut String) {}
    }

    fn frame(kind: Kind, name: &str) -> NewFrame {
        let place = (kind == Kind::Native).then_some(FilePlace { module: ModuleId(0), offset: 7 });
        NewFrame {
            frame: Frame { line: 1, ..Frame::new(kind) },
            name: name.into(),
            file: "a.js".into(),
            place,
        }
    }

    fn sample(at_us: u64, node: u32, thread: u16, activity: Activity) -> Sample {
        Sample { at_us, node: NodeId(node), thread: ThreadId(thread), activity, weight: 1 }
    }

    /// Two threads; `main` calls `work`, which calls itself and native code.
    fn live() -> Live {
        let mut live = Live::new(10, "node a\u{1b}.js");
        let news = News {
            frames: vec![
                frame(Kind::Optimized, "main"),
                frame(Kind::Interpreted, "wo\u{1b}rk"),
                frame(Kind::Native, ""),
                frame(Kind::Glue, "EntryFrame"),
            ],
            nodes: vec![(0, None), (0, Some(0)), (1, Some(1)), (2, Some(1)), (3, Some(2)), (3, Some(3))],
            threads: [10, 11].map(|tid| Thread { tid, name: String::new() }).into(),
            samples: vec![
                sample(1, 4, 0, Activity::Native),
                sample(2, 5, 0, Activity::JavaScript),
                sample(3, 1, 0, Activity::Gc),
                sample(4, 3, 1, Activity::JavaScript),
            ],
            is_full: false,
        };
        let used = |tid, cpu_ns, idle| Used { tid, cpu_ns, idle, lost: 0 };
        live.update(
            News::default(),
            Usage { at_us: 0, threads: vec![used(10, 0, 0), used(11, 0, 0), used(12, 0, 0)] },
        );
        let usage = Usage {
            at_us: 1_000_000,
            threads: vec![used(10, 900_000_000, 4), used(11, 100_000_000, 0), used(12, 20_000_000, 0)],
        };
        live.update(news, usage);
        assert_eq!(live.unnamed().len(), 1);
        live.name(&mut Native);
        assert_eq!(live.unnamed().len(), 0);
        live
    }

    #[test]
    fn no_use_of_a_cpu_is_told_before_it_is_measured() {
        let mut live = Live::new(10, "node");
        let used = Used { tid: 10, cpu_ns: 900_000_000, ..Used::default() };
        for (at_us, expected) in [(0, "CPU –"), (1_000_000, "CPU 0 %: other threads 0 %")] {
            live.update(News::default(), Usage { at_us, threads: vec![used] });
            assert_eq!(live.draw(&Look::default(), 80, 24, false)[1], expected);
        }
    }

    #[test]
    fn functions_stand_by_their_own_samples_and_count_once_in_a_stack() {
        let look = Look { native: true, ..Look::default() };
        let lines = live().draw(&look, 80, 24, false);
        let expected = [
            "10 node a\\x1b.js: last 10 s, 4 samples",
            "CPU 102 %: main (10) 90 %, worker (11) 10 %, other threads 2 %",
            "JavaScript 25 %  native 13 %  GC 13 %  compile 0 %  idle 50 %  lost samples 0",
            "*SELF %  TOTAL %  FUNCTION",
            "   50.0     75.0  wo\\x1brk:a.js:1",
            "   25.0    100.0  main:a.js:1",
            "   25.0     25.0  native7:[native]",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn keys_change_what_is_shown() {
        let live = live();
        let rows = |look: &Look| -> Vec<String> {
            let lines = live.draw(look, 80, 24, true);
            assert_eq!(lines.len(), 24);
            lines[5..].iter().take_while(|line| !line.is_empty()).cloned().collect()
        };
        let by_total = Look { by_total: true, native: true, ..Look::default() };
        assert!(rows(&by_total)[0].ends_with(" 100.0  main:a.js:1"));
        let filtered = Look { filter: "RK:A".into(), ..by_total.clone() };
        assert_eq!(rows(&filtered), ["   50.0     75.0  wo\\x1brk:a.js:1"]);
        let javascript = Look::default();
        assert_eq!(rows(&javascript)[0], "   75.0     75.0  wo\\x1brk:a.js:1");
        assert_eq!(rows(&javascript).len(), 2);
        let worker = Look { thread: Some(11), ..Look::default() };
        assert_eq!(rows(&worker)[0], "  100.0    100.0  wo\\x1brk:a.js:1");
        assert_eq!(live.tids(), [10, 11]);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut live = live();
        let usage = |at_us| Usage { at_us, threads: Vec::new() };
        live.update(News::default(), usage(WINDOW_US + 3));
        assert_eq!(live.samples.len(), 2);
        assert_eq!(live.usages.len(), 3);
        live.update(News::default(), usage(3 * WINDOW_US));
        assert_eq!((live.samples.len(), live.usages.len()), (0, 2));
        live.reset();
        assert!(live.draw(&Look::default(), 80, 24, true)[0].ends_with(", 0 samples"));
    }

    #[test]
    fn no_size_of_a_screen_breaks_it() {
        let live = live();
        for (width, height) in [(0, 0), (1, 1), (3, 2), (10, 5), (300, 100)] {
            let lines = live.draw(&Look { is_typing: true, ..Look::default() }, width, height, true);
            assert_eq!(lines.len(), height);
            assert!(lines.iter().all(|line| line.chars().count() <= width));
        }
        let mut wide = "日本語".to_owned();
        cut(&mut wide, 5);
        assert_eq!(wide, "日本");
    }
}
