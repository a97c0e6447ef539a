//! Profiles an HTTP server under load for a long time and watches node-flame's own resources:
//! `soak MINUTES`.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use tests::{
    binary::node_flame,
    nodes::node,
    process::{Running, Target, command, status},
    report::Report,
    stacks,
    version::Version,
};

/// Between looks at the profiler.
const LOOK: Duration = Duration::from_secs(5);

/// Bytes of one sample in node-flame's list of them, which fills up by design, and the list's bound.
const SAMPLE_BYTES: u64 = 16;
const SAMPLES_BOUND: u64 = 1 << 16;

/// Memory that may come to be used after the first tenth of the run beside that list: functions that the
/// server calls for the first time, say.
const GROWTH: u64 = 512 << 10;

/// What the profiler uses at one time.
struct Look {
    resident: u64,
    files: usize,
}

impl Look {
    fn at(pid: u32) -> Option<Self> {
        let resident = status(pid, "VmRSS")?.trim_end_matches(" kB").trim().parse::<u64>().ok()? << 10;
        Some(Self { resident, files: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() })
    }
}

fn main() -> ExitCode {
    let minutes: f64 = std::env::args().nth(1).and_then(|word| word.parse().ok()).expect("soak MINUTES");
    let seconds = (minutes * 60.0).round();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/http-load.js");
    let mut server = Command::new(node(Version::new(22, 23, 3)));
    server.arg(program).env("WORKLOAD_SECONDS", (seconds + 300.0).to_string());
    let mut server = Target::ready(&mut server).expect("the server starts");
    let pid = server.pid().to_string();
    let mut profiler =
        Running::start(&mut command(node_flame(), &[&pid, "folded", &seconds.to_string(), "--rate", "99"]));
    let (begin, mut looks) = (Instant::now(), Vec::new());
    while profiler.alive() {
        thread::sleep(LOOK);
        // Near the end it writes the profile.
        if begin.elapsed().as_secs_f64() < seconds - 2.0
            && let Some(look) = Look::at(profiler.pid())
        {
            let at = begin.elapsed().as_secs();
            if looks.len() % 12 == 0 {
                println!("{at:5} s: {} kB resident, {} open files", look.resident >> 10, look.files);
            }
            looks.push(look);
        }
    }
    let ended = profiler.ended();
    println!("{}", ended.stderr.trim_end());
    let mut wrong = Vec::new();
    let mut check = |is_right: bool, what: String| {
        println!("{}: {what}", if is_right { "good" } else { "WRONG" });
        if !is_right {
            wrong.push(what);
        }
    };

    check(ended.ok(), format!("node-flame ended with {}", ended.status));
    let report = Report::parse(&ended.stderr).unwrap_or_default();
    check(
        report.wanted > 0 && report.adds_up(),
        format!(
            "{} samples taken, {} idle, {} lost, {} wanted",
            report.taken, report.idle, report.lost, report.wanted
        ),
    );
    // The server has one thread that runs JavaScript.
    let due = 99.0 * seconds;
    check(
        (report.wanted as f64 - due).abs() < due * 0.02,
        format!("{} samples wanted in {seconds} s at 99 Hz", report.wanted),
    );
    let written: u64 =
        stacks::folded(&ended.stdout).map_or(0, |all| all.iter().map(|stack| stack.count).sum());
    check(written == report.taken, format!("{written} samples stand in the profile"));

    let warm = looks.len() / 10;
    let settled = looks.get(warm..).unwrap_or_default();
    check(settled.len() >= 10, format!("{} looks at node-flame after its first tenth", settled.len()));
    if let (Some(first), Some(most)) = (settled.first(), settled.iter().map(|look| look.resident).max()) {
        let list = report.taken.min(SAMPLES_BOUND) * SAMPLE_BYTES;
        let growth = most - first.resident;
        check(
            growth <= list + GROWTH,
            format!(
                "resident memory grew by {} kB from {} kB on, of which the list of samples may take {} kB",
                growth >> 10,
                first.resident >> 10,
                list >> 10
            ),
        );
        // Fewer, as threads turn out to run no JavaScript; never more. One is open for a moment now and then.
        let first = settled.first().map_or(0, |look| look.files);
        let most = settled.iter().map(|look| look.files).max().unwrap_or(0);
        check(most <= first + 1 && most < 100, format!("{most} open files at most, {first} at first"));
    }
    check(server.alive() && server.status("TracerPid").as_deref() == Some("0"), "the server is free".into());
    ExitCode::from(u8::from(!wrong.is_empty()))
}
