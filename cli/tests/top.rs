//! `top`: in a real terminal (tmux), in a dumb one, and that it is given back on every way out.

mod common;

use common::{NODE_FLAME, Target, assert_free, eventually, is_traced, kill, start_node_flame, wait_until};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Two functions, one of which takes nearly all the time.
const PROGRAM: &str = "
    function hot(until) {
        let sum = 0;
        while (Date.now() < until) for (let at = 0; at < 20000; at++) sum = (sum * 31 + at) % 65521;
        return sum;
    }
    function turn() { hot(Date.now() + 8); setTimeout(turn, 2); }
    process.stdin.on('data', (data) => process.stdout.write(data)).on('end', () => process.exit(0));
    turn();
    console.log('ready');
";

/// A shell in a terminal of 80 columns and 24 lines. Its end is the terminal's, and of all that runs there.
struct Screen {
    socket: String,
}

impl Screen {
    fn new() -> Screen {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let screen = Screen { socket: format!("node-flame-{}-{number}", std::process::id()) };
        need_tmux();
        screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "env PS1='% ' sh"]);
        screen.shows("%");
        screen
    }

    fn tmux(&self, words: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the screen holds a text, and gives all of it.
    #[track_caller]
    fn shows(&self, text: &str) -> String {
        self.is(text, |screen| screen.contains(text))
    }

    #[track_caller]
    fn is(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let screen = self.text();
            if condition(&screen) {
                return screen;
            }
            assert!(Instant::now() < until, "waited in vain for {what}; there is\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts `top` between two looks at the terminal's settings.
    fn start(&self, target: &Target) {
        let line = format!("clear; stty -g; {NODE_FLAME} {} top; echo \"code $?\"; stty -g", target.pid());
        self.keys(&[&line, "Enter"]);
        self.shows("hot:[eval]:2");
    }

    /// Fails unless the terminal is as it was and `top` ended with this code.
    #[track_caller]
    fn assert_given_back(&self, code: i32) {
        let screen =
            self.is("both looks at the settings", |screen| screen.lines().filter(is_look).count() == 2);
        let looks: Vec<&str> = screen.lines().filter(is_look).collect();
        assert_eq!(looks[0], looks[1], "{screen}");
        assert!(screen.contains(&format!("code {code}")), "{screen}");
    }
}

/// As root on Debian, installs it if it is not there.
fn need_tmux() {
    let install = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/install");
    let done = Command::new(install).args(["tmux", "tmux"]).stdout(Stdio::null()).status();
    assert!(done.is_ok_and(|done| done.success()), "tmux is missing");
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).stderr(Stdio::null()).status();
    }
}

fn row<'a>(screen: &'a str, label: &str) -> Option<&'a str> {
    screen.lines().find(|line| line.ends_with(label))
}

/// Whether a line is a look at the terminal's settings, as `stty -g` writes them.
fn is_look(line: &&str) -> bool {
    line.matches(':').count() > 30 && !line.contains(' ')
}

/// The number of samples that the first line tells.
fn samples(screen: &str) -> Option<u64> {
    screen.lines().next()?.strip_suffix(" samples")?.rsplit(' ').next()?.parse().ok()
}

/// The process that traces the target.
fn tracer(target: &Target) -> u32 {
    let field = |pid: &str, name: &str| -> String {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    };
    let thread = field(&target.pid().to_string(), "TracerPid:");
    field(&thread, "Tgid:").parse().unwrap()
}

#[test]
fn keys_sort_filter_pause_and_quit() {
    let (mut target, screen) = (Target::script(PROGRAM, &[]), Screen::new());
    screen.start(&target);
    let picture = screen.is("the hot function leads, and the use of CPUs is measured", |screen| {
        screen.lines().nth(5).is_some_and(|line| line.ends_with("hot:[eval]:2"))
            && screen.lines().nth(1).is_some_and(|line| line != "CPU –")
    });
    let lines: Vec<&str> = picture.lines().collect();
    assert!(lines[0].starts_with(&format!("{} node [eval]: last 10 s, ", target.pid())), "{picture}");
    assert!(lines[1].contains(&format!("main ({})", target.pid())), "{picture}");
    assert!(
        ["JavaScript ", "GC ", "compile ", "idle "].iter().all(|share| lines[2].contains(share)),
        "{picture}"
    );
    assert!(lines[4].starts_with("*SELF %") && lines[23].starts_with("q quit"), "{picture}");
    screen.keys(&["t"]);
    screen.shows("*TOTAL %");
    screen.keys(&["s"]);
    screen.shows("*SELF %");
    screen.keys(&["/HOT:"]);
    let filtered = screen.shows("filter: HOT:_");
    assert!(row(&filtered, "turn:[eval]:7").is_none(), "{filtered}");
    screen.keys(&["Escape"]);
    screen.shows("turn:[eval]:7");
    screen.tmux(&["resize-window", "-x", "50", "-y", "12"]);
    screen.is("it fits a small screen", |screen| {
        screen.lines().count() == 12 && screen.lines().last().is_some_and(|line| line.starts_with("q quit"))
    });
    screen.tmux(&["resize-window", "-x", "80", "-y", "24"]);
    screen.keys(&["q"]);
    screen.assert_given_back(0);
    target.assert_unharmed();
}

#[test]
fn a_pause_holds_the_picture_and_a_reset_counts_from_nothing() {
    let (target, screen) = (Target::script(PROGRAM, &[]), Screen::new());
    screen.start(&target);
    screen.is("a window of some seconds", |screen| samples(screen) >= Some(300));
    screen.keys(&["Space"]);
    screen.shows("PAUSED");
    let paused =
        eventually("it is drawn to its end", || Some(screen.text()).filter(|drawn| *drawn == screen.text()));
    // Longer than two of its pictures would last.
    let until = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < until {
        assert_eq!(screen.text(), paused);
    }
    screen.keys(&["Space"]);
    screen.is("it goes on", |screen| !screen.contains("PAUSED") && samples(screen) != samples(&paused));
    screen.is("the window is full again", |screen| samples(screen) >= Some(300));
    screen.keys(&["r"]);
    screen.is("it has begun anew", |screen| samples(screen).is_some_and(|samples| samples < 150));
    // That it names functions as before, from tables that were empty.
    screen.is("samples come again", |screen| {
        samples(screen) > Some(150) && row(screen, "hot:[eval]:2").is_some()
    });
}

/// A thread beside the main one that computes in a function of its own.
const WORKERS: &str = "
    const { Worker } = require('worker_threads');
    const burn = (name) => `
        function ${name}(until) { let sum = 0; while (Date.now() < until) sum = (sum * 31 + 7) % 65521; return sum; }
        (function turn() { ${name}(Date.now() + 8); setTimeout(turn, 2); })();`;
    new Worker(burn('hotInWorker'), { eval: true }).on('online', () => console.log('ready'));
    eval(burn('hotOnMain'));
";

#[test]
fn keys_switch_between_all_threads_and_each_alone() {
    let (target, screen) = (Target::script(WORKERS, &[]), Screen::new());
    screen.keys(&[&format!("{NODE_FLAME} {} top", target.pid()), "Enter"]);
    let holds = |screen: &str| ["hotOnMain:", "hotInWorker:"].map(|name| screen.contains(name));
    let both = screen.is("both functions", |screen| holds(screen) == [true, true]);
    assert!(both.contains("thread: all"), "{both}");
    let main = format!("thread: main ({})", target.pid());
    let is_main = |screen: &str| screen.contains(&main) && holds(screen) == [true, false];
    let is_all = |screen: &str| screen.contains("thread: all") && holds(screen) == [true, true];
    let is_worker = |screen: &str| {
        !screen.contains("thread: all") && !screen.contains(&main) && holds(screen) == [false, true]
    };
    screen.keys(&["n"]);
    screen.is("the main thread alone", is_main);
    screen.keys(&["Right"]);
    screen.is("the worker alone", is_worker);
    screen.keys(&["Down"]);
    screen.is("all of them", is_all);
    screen.keys(&["p"]);
    screen.is("the worker, backwards", is_worker);
    screen.keys(&["Left"]);
    screen.is("the main thread, backwards", is_main);
    screen.keys(&["Up"]);
    screen.is("all of them, backwards", is_all);
}

#[test]
fn the_terminal_is_given_back_after_signals_and_the_targets_end() {
    let screen = Screen::new();
    for way in ["C-c", "C-\\", "TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "target"] {
        let mut target = Target::script(PROGRAM, &[]);
        screen.start(&target);
        match way {
            "target" => target.kill(),
            key if key.starts_with("C-") => screen.keys(&[key]),
            signal => kill(tracer(&target), signal),
        }
        screen.assert_given_back(0);
        if way == "target" {
            screen.shows("was killed by SIGKILL.");
        } else {
            target.assert_unharmed();
        }
    }
}

#[test]
fn a_second_interrupt_waits_until_the_terminal_is_given_back() {
    let (mut target, screen) = (Target::script(PROGRAM, &[]), Screen::new());
    screen.start(&target);
    let top = tracer(&target);
    let twice = format!("kill -INT {top}; kill -TERM {top}");
    // The second one may find it gone.
    Command::new("sh").args(["-c", &twice]).stderr(Stdio::null()).status().unwrap();
    let picture = screen.is("the shell is back", |screen| screen.trim_end().ends_with('%'));
    assert!(!picture.contains("TOTAL %"), "{picture}");
    // The shell may have left out what was to come after `top`.
    screen.keys(&["stty -g; echo END", "Enter"]);
    let picture = screen.is("its settings", |screen| screen.lines().any(|line| line == "END"));
    let looks: Vec<&str> = picture.lines().filter(is_look).collect();
    assert!(looks.len() > 1 && looks.iter().all(|look| *look == looks[0]), "{picture}");
    target.assert_unharmed();
}

#[test]
fn a_suspension_gives_the_terminal_back_and_goes_on_after_it() {
    let (mut target, screen) = (Target::script(PROGRAM, &[]), Screen::new());
    screen.start(&target);
    screen.keys(&["C-z"]);
    let suspended = screen.shows("Stopped");
    assert!(!suspended.contains("TOTAL %"), "{suspended}");
    assert!(!is_traced(target.pid()));
    target.assert_unharmed();
    screen.keys(&["fg", "Enter"]);
    screen.shows("TOTAL %");
    wait_until("it is traced again", || is_traced(target.pid()));
    screen.keys(&["q"]);
    screen.is("the shell is back", |screen| !screen.contains("TOTAL %"));
    target.assert_unharmed();
}

#[test]
fn a_terminal_that_is_closed_ends_it() {
    let (target, screen) = (Target::script(PROGRAM, &[]), Screen::new());
    screen.start(&target);
    drop(screen);
    wait_until("nothing traces it", || !is_traced(target.pid()));
    assert_free(target.pid());
}

#[test]
fn signals_end_it_where_the_terminal_takes_nothing_any_more() {
    for is_halted in [true, false] {
        let mut target = Target::script(PROGRAM, &[]);
        // Its terminal is read by `script`, until nobody takes what that writes.
        let mut script = Command::new("script")
            .args(["-qec", &format!("stty rows 50 cols 200; {NODE_FLAME} {} top", target.pid()), "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script, of bsdutils, starts");
        wait_until("it is traced", || is_traced(target.pid()));
        let top = tracer(&target);
        let mut keyboard = script.stdin.take().unwrap();
        if is_halted {
            std::thread::sleep(Duration::from_millis(1500));
            keyboard.write_all(b"\x13").unwrap();
            std::thread::sleep(Duration::from_millis(1500));
        } else {
            // Each key has a picture drawn, until the last one stays half-way.
            for _ in 0..400 {
                keyboard.write_all(b"s").unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let start = Instant::now();
        kill(top, "TSTP");
        std::thread::sleep(Duration::from_millis(300));
        kill(top, "TERM");
        // Where the suspension came about, it is over.
        kill(top, "CONT");
        // Whoever started it is held up as well, and has not asked for its exit code.
        let is_zombie = |status: &str| status.lines().any(|line| line.starts_with("State:\tZ"));
        let status = || std::fs::read_to_string(format!("/proc/{top}/status"));
        wait_until("it has ended", || status().map_or(true, |status| is_zombie(&status)));
        let passed = start.elapsed();
        common::tell(&format!(
            "ended {passed:?} after a suspension, on a terminal that is halted: {is_halted}"
        ));
        assert!(passed < Duration::from_secs(15), "{passed:?}");
        target.assert_unharmed();
        script.kill().unwrap();
        script.wait().unwrap();
    }
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let (mut target, screen) = (Target::script(PROGRAM, &[]), Screen::new());
    screen.keys(&[&format!("TERM=dumb {NODE_FLAME} {} top", target.pid()), "Enter"]);
    let plain = screen.shows("hot:[eval]:2");
    assert!(plain.contains("% TERM=dumb") && !plain.contains("q quit"), "{plain}");
    screen.keys(&["C-c"]);
    screen.is("the shell is back", |screen| screen.trim_end().ends_with('%'));
    target.assert_unharmed();
}

#[test]
fn a_picture_comes_each_second() {
    let target = Target::script(PROGRAM, &[]);
    let mut child = start_node_flame(&format!("{} top", target.pid()));
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let heads = lines.filter(|line| line.starts_with(&format!("{} node [eval]: ", target.pid())));
    let times: Vec<Instant> = heads.map(|_| Instant::now()).take(7).collect();
    let passed = times[6] - times[0];
    common::tell(&format!("7 pictures: the last one {passed:?} after the first"));
    // Never more often; a busy machine may make them late.
    assert!(passed > Duration::from_secs(5) && passed < Duration::from_secs(12), "{passed:?}");
    kill(child.id(), "TERM");
    child.wait().unwrap();
}

#[test]
fn a_pipe_gets_plain_lines_and_its_end_ends_it() {
    let mut target = Target::script(
        &format!("const f = {{ ['ev\\x1b[2Jil']() {{ {PROGRAM} }} }}; f['ev\\x1b[2Jil']();"),
        &[],
    );
    let mut child = start_node_flame(&format!("{} top --native off -r 250", target.pid()));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let found = lines.by_ref().take(500).find(|line| {
        assert!(!line.contains('\u{1b}') && !line.contains("[native]"), "{line}");
        line.ends_with("hot:[eval]:2")
    });
    assert!(found.is_some());
    let hostile = lines.by_ref().take(500).find(|line| line.contains("TOTAL %"));
    assert!(hostile.is_some());
    drop(lines);
    wait_until("it has ended", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    target.assert_unharmed();
}
