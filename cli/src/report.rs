//! The closing report: what a run took, what it cost, and what is not as it should be.

use flame_core::profile::{Counts, Frame, Kind, Profile, Receipt};
use flame_render::Printable;
use flame_sys::session::Outcome;
use std::fmt::Write;

/// The report's lines.
pub fn report(profile: &Profile) -> String {
    // The frame that stands for frames that were cut is always there, and few runs have a use for it.
    let mut occurs = vec![false; profile.frames().len()];
    for id in profile.tree().nodes().filter_map(|node| node.frame) {
        if let Some(occurs) = occurs.get_mut(id.0 as usize) {
            *occurs = true;
        }
    }
    let frames =
        || profile.frames().iter().zip(&occurs).filter(|(_, occurs)| **occurs).map(|(frame, _)| frame);
    let unresolved = frames().filter(|frame| is_unresolved(profile, frame)).count();
    let mut text = lines(&profile.receipt, frames().count(), unresolved);
    if profile.frames().iter().any(|frame| matches!(frame.kind, Kind::Thread | Kind::Process)) {
        let Receipt { came, went, .. } = profile.receipt;
        let sampled = profile.threads().len();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "Threads: {sampled} sampled; {came} came and {went} went meanwhile.");
    }
    text
}

/// Said at the start, and again at the end and in the profile.
pub const BLIND: &str = "threads that wait count as idle in spite of --wall: Linux tells where they are from 5.7 on, \
     to root and to the user of the process";

/// What a session did.
///
/// Threads that run no JavaScript are looked at to find that out; they have no part in the counts.
pub fn receipt(outcome: &Outcome) -> Receipt {
    let mut counts = Counts::default();
    let mut pauses = outcome.pauses;
    for report in &outcome.threads {
        let part = report.counts;
        if report.not_wanted || (!report.is_first && part.taken == 0) {
            continue;
        }
        counts.wanted += part.wanted;
        counts.taken += part.taken;
        counts.idle += part.idle;
        counts.lost += part.lost;
        counts.disturbed += part.disturbed;
    }
    pauses.observed_ns = counts.wanted.saturating_mul(outcome.period_ns);
    let mut remarks = remarks(outcome);
    // Those of threads without JavaScript are among them, whose ticks have no part in the counts.
    let starved = outcome.starved.min(counts.idle);
    if starved > 0 {
        remarks.push(format!("{starved} of the idle ones waited for a CPU that others had"));
    }
    Receipt { counts, pauses, came: outcome.came, went: outcome.went, remarks }
}

/// What a session lost, in sentences.
fn remarks(outcome: &Outcome) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut remark = |count: u64, what: &str| {
        if count > 0 {
            remarks.push(format!("{count} {what}"));
        }
    };
    remark(outcome.throttled, "of the lost samples would have held a thread beyond its share of time");
    remark(outcome.overworked, "of the lost samples were due while node-flame was at work on others");
    remark(outcome.late_reads, "reads came too late into a stop and were left out");
    remark(outcome.untracked, "threads were not followed: too many of them, or of open files");
    remark(outcome.refused, "threads could not be traced");
    remarks.extend((outcome.blind > 0).then(|| BLIND.into()));
    remarks
}

/// Native code without a symbol, or JavaScript whose script could not be read.
fn is_unresolved(profile: &Profile, frame: &Frame) -> bool {
    let (name, file) = (profile.text(frame.name), profile.text(frame.file));
    match frame.kind {
        Kind::Builtin => name.is_empty(),
        kind if kind.is_native() => name.is_empty(),
        kind if kind.is_javascript() => file.is_empty() || file == "[unknown]",
        _ => false,
    }
}

fn lines(receipt: &Receipt, frames: usize, unresolved: usize) -> String {
    let (counts, pauses) = (&receipt.counts, &receipt.pauses);
    let mut text = format!(
        "Samples: {} taken of {} wanted, {} idle, {} lost.\n",
        counts.taken, counts.wanted, counts.idle, counts.lost
    );
    let mut line = |arguments: std::fmt::Arguments| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{arguments}");
    };
    line(format_args!(
        "Pause per sample: p50 {}, p99 {}, max {}; threads held {:.2} % of the time.",
        Millis(pauses.p50_ns),
        Millis(pauses.p99_ns),
        Millis(pauses.max_ns),
        share(pauses.total_ns, pauses.observed_ns)
    ));
    line(format_args!("Frames: {frames} distinct, {unresolved} unresolved."));
    if counts.disturbed > 0 {
        line(format_args!("Note: {} threads fell asleep just before they stopped.", counts.disturbed));
    }
    if receipt.remarks.is_empty() {
        line(format_args!("Nothing was cut; no table was full."));
    }
    for remark in &receipt.remarks {
        line(format_args!("Note: {}", Printable(remark)));
    }
    text
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Nanoseconds, shown as milliseconds.
struct Millis(u64);

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} ms", self.0 as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flame_core::profile::Pauses;

    #[test]
    fn every_figure_is_told() {
        let receipt = Receipt {
            counts: Counts { wanted: 990, taken: 980, idle: 7, lost: 3, disturbed: 2 },
            pauses: Pauses {
                p50_ns: 61_000,
                p99_ns: 180_400,
                max_ns: 1_200_000,
                total_ns: 60_000_000,
                observed_ns: 10_000_000_000,
            },
            came: 0,
            went: 0,
            remarks: vec!["12 names were cut at 1024 bytes\u{1b}[2J".into()],
        };
        let expected = "\
Samples: 980 taken of 990 wanted, 7 idle, 3 lost.
Pause per sample: p50 0.061 ms, p99 0.180 ms, max 1.200 ms; threads held 0.60 % of the time.
Frames: 40 distinct, 5 unresolved.
Note: 2 threads fell asleep just before they stopped.
Note: 12 names were cut at 1024 bytes\\x1b[2J
";
        assert_eq!(lines(&receipt, 40, 5), expected);
    }

    #[test]
    fn frames_are_counted_where_they_occur() {
        use flame_core::profile::{Activity, Meta, Recorder, Strings, Thread};
        let mut recorder = Recorder::with_room(Kind::Elided, 8, 8, 8);
        let main = recorder.thread(Thread { tid: 7, name: String::new() });
        recorder.record(0, main, Activity::Native, [Kind::Glue, Kind::Native]);
        let profile = recorder
            .finish(Strings::default(), Meta::default(), Receipt::default(), |kind, _| Frame::new(kind));
        assert!(report(&profile).contains("Frames: 2 distinct, "), "{}", report(&profile));
    }

    #[test]
    fn ticks_without_a_cpu_are_told_of_those_that_are_counted() {
        use flame_sys::session::{End, ThreadKey, ThreadReport};
        let thread = ThreadReport {
            thread: ThreadKey { process: 0, index: 0, tid: 7 },
            is_first: true,
            has_ended: false,
            not_wanted: false,
            counts: Counts { wanted: 9, taken: 4, idle: 5, ..Counts::default() },
        };
        let mut outcome = Outcome {
            end: End::Time,
            length_ns: 1_000_000_000,
            period_ns: 10_000_000,
            counts: thread.counts,
            pauses: Pauses::default(),
            rounds: Pauses::default(),
            throttled: 0,
            overworked: 0,
            starved: 3,
            late_reads: 0,
            untracked: 0,
            refused: 0,
            came: 0,
            blind: 0,
            went: 0,
            threads: vec![thread],
        };
        let words = "of the idle ones waited for a CPU that others had";
        assert_eq!(receipt(&outcome).remarks, [format!("3 {words}")]);
        outcome.starved = 7;
        assert_eq!(receipt(&outcome).remarks, [format!("5 {words}")]);
        outcome.starved = 0;
        assert!(receipt(&outcome).remarks.is_empty());
    }

    #[test]
    fn a_run_without_samples_has_a_report_too() {
        let text = lines(&Receipt::default(), 0, 0);
        assert!(text.starts_with("Samples: 0 taken of 0 wanted, 0 idle, 0 lost.\n"));
        assert!(text.contains("held 0.00 %") && text.ends_with("Nothing was cut; no table was full.\n"));
    }
}
