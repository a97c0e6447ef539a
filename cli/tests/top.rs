//! `top`: in a real terminal (tmux), in a dumb one, and that it is given back on every way out.

mod common;

use common::{NODE_FLAME, Target, assert_free, eventually, is_traced, kill, start_node_flame, wait_until};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

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
        eventually(what, || Some(self.text()).filter(|screen| condition(screen)))
    }

    /// Starts `top` between two looks at the terminal's settings.
    fn start(&self, target: &Target) {
        let line = format!("stty -g; {NODE_FLAME} {} top; echo \"code $?\"; stty -g", target.pid());
        self.keys(&[&line, "Enter"]);
        self.shows("hot:[eval]:2");
    }

    /// Fails unless the terminal is as it was and `top` ended with this code.
    #[track_caller]
    fn assert_given_back(&self, code: i32) {
        let is_look = |line: &&str| line.matches(':').count() > 30 && !line.contains(' ');
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

#[test]
fn keys_sort_filter_pause_and_quit() {
    let (mut target, screen) = (Target::script(PROGRAM, &[]), Screen::new());
    screen.start(&target);
    let picture = screen.is("the hot function leads", |screen| {
        screen.lines().nth(5).is_some_and(|line| line.ends_with("hot:[eval]:2"))
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
    screen.keys(&["/HOT:"]);
    let filtered = screen.shows("filter: HOT:_");
    assert!(row(&filtered, "turn:[eval]:7").is_none(), "{filtered}");
    screen.keys(&["Escape"]);
    screen.shows("turn:[eval]:7");
    screen.keys(&["n"]);
    screen.shows(&format!("thread: main ({})", target.pid()));
    screen.keys(&["Right"]);
    screen.shows("thread: all");
    screen.keys(&["Space"]);
    screen.shows("PAUSED");
    screen.keys(&["Space", "r"]);
    screen.is("it is no longer paused", |screen| !screen.contains("PAUSED"));
    screen.shows("hot:[eval]:2");
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
fn the_terminal_is_given_back_after_signals_and_the_targets_end() {
    let screen = Screen::new();
    for way in ["C-c", "TERM", "INT", "target"] {
        let mut target = Target::script(PROGRAM, &[]);
        screen.keys(&["clear", "Enter"]);
        screen.start(&target);
        match way {
            "C-c" => screen.keys(&["C-c"]),
            "target" => target.kill(),
            signal => {
                let status = format!("/proc/{}/status", target.pid());
                let status = std::fs::read_to_string(status).unwrap();
                let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap().trim();
                let status = std::fs::read_to_string(format!("/proc/{tracer}/status")).unwrap();
                let process = status.lines().find_map(|line| line.strip_prefix("Tgid:")).unwrap().trim();
                kill(process.parse().unwrap(), signal);
            }
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
