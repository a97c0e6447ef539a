//! The command line: options by argh, then the words that are left by one match.
//!
//! A first word that is a pid or a verb is no grammar for a derive, but a plain pattern match. What
//! argh lacks is put in order before it looks: `--rate=250`, `-r250`, and the command after `--`.

use crate::command::{
    Command, DEFAULT_MAX_PAUSE, DEFAULT_RATE, Diff, Dump, Misuse, Profile, Ps, Target, Top,
};
use crate::values::{format, lossy, path, percent, pid, rate, seconds, separated, switch, switch_with_value};
use argh::FromArgs;
use flame_render::{Format, View};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Options, and all words that are none.
#[derive(FromArgs)]
#[argh(help_triggers("-h", "--help"))]
struct Words {
    #[argh(option, short = 'r')]
    rate: Option<String>,
    #[argh(option, short = 'o')]
    output: Option<String>,
    #[argh(switch)]
    wall: bool,
    #[argh(switch)]
    lines: bool,
    #[argh(option)]
    native: Option<String>,
    #[argh(switch)]
    annotate: bool,
    #[argh(switch)]
    source: bool,
    #[argh(option)]
    max_pause: Option<String>,
    #[argh(switch)]
    json: bool,
    #[argh(switch)]
    threads: bool,
    #[argh(switch)]
    args: bool,
    #[argh(switch)]
    children: bool,
    #[argh(switch, short = 'q')]
    quiet: bool,
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(positional)]
    words: Vec<String>,
}

/// Verbs that stand after the process that they are for.
const VERBS_OF_A_PID: [&str; 2] = ["dump", "top"];

/// Understands the arguments, program name excluded.
pub fn parse(mut arguments: Vec<OsString>) -> Result<Command, Misuse> {
    let command = arguments.iter().position(|argument| argument == "--").map(|at| {
        let command = arguments.split_off(at + 1);
        arguments.pop();
        command
    });
    let switch = |argument: &OsString| switch_with_value(argument.as_bytes());
    if let Some(switch) = arguments.iter().find_map(switch) {
        return Err(Misuse::NoValue(switch));
    }
    let plain: Vec<String> = arguments.iter().flat_map(|argument| separated(argument.as_bytes())).collect();
    let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
    let given = match Words::from_args(&["node-flame"], &plain) {
        Ok(given) => given,
        Err(exit) if exit.status.is_ok() => return Ok(Command::Help),
        Err(exit) => return Err(option_error(&lossy(exit.output.trim()))),
    };
    if given.version {
        return Ok(Command::Version);
    }
    if given.output.as_deref() == Some("") {
        return Err(Misuse::NoOutput);
    }
    match given.words.first().map(String::as_str) {
        Some("diff") if command.is_none() => return diff(&given).map(Command::Diff),
        Some("ps") if command.is_none() => return ps(&given).map(Command::Ps),
        _ => {}
    }
    let words: Vec<String> = given.words.iter().map(|word| lossy(word)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (target, rest) = match (words.as_slice(), command) {
        ([], None) => return Err(Misuse::Nothing),
        (["help"], None) => return Ok(Command::Help),
        ([], Some(_)) => return Err(Misuse::FirstWord("--".into())),
        (["run", _, _, extra, ..], None) => return Err(Misuse::CommandWithoutDashes((*extra).into())),
        (["run", rest @ ..], command) => (Target::Run(command.unwrap_or_default()), rest),
        ([first, rest @ ..], command) => match (pid(first), command) {
            (None, _) => return Err(first_word(first, rest)),
            (Some(_), Some(_)) => return Err(Misuse::CommandForPid),
            (Some(pid), None) if rest.first() == Some(&"dump") => {
                return dump(pid, rest, &given).map(Command::Dump);
            }
            (Some(pid), None) if rest.first() == Some(&"top") => {
                return top(pid, rest, &given).map(Command::Top);
            }
            (Some(pid), None) => (Target::Pid(pid), rest),
        },
    };
    let (format, length) = match rest {
        [] => return Err(Misuse::NoFormat),
        [name] => return Err(format(name).err().unwrap_or(Misuse::NoSeconds)),
        [name, length] => (format(name)?, seconds(length)?),
        [_, _, extra, ..] => return Err(Misuse::Extra((*extra).into())),
    };
    let native = native(&given)?;
    let rate = rate_of(&given)?;
    let max_pause = max_pause_of(&given)?;
    if given.annotate && format != Format::Folded {
        return Err(Misuse::OptionFor("--annotate", format.name().into()));
    }
    if given.source && given.children {
        return Err(Misuse::OptionFor("--source", "--children".into()));
    }
    if given.source && format != Format::Flame {
        return Err(Misuse::OptionFor("--source", format.name().into()));
    }
    if given.json {
        return Err(Misuse::OptionFor("--json", format.name().into()));
    }
    if given.args {
        return Err(Misuse::OptionFor("--args", format.name().into()));
    }
    let output = given.output.as_deref().map(path);
    if let Target::Run(command) = &target {
        match output {
            _ if command.is_empty() => return Err(Misuse::NoCommand),
            None => return Err(Misuse::RunNeedsOutput),
            Some(_) => {}
        }
    }
    Ok(Command::Profile(Profile {
        target,
        format,
        length,
        rate,
        output,
        max_pause,
        wall: given.wall,
        view: View { lines: given.lines, native, annotate: given.annotate },
        source: given.source,
        threads: given.threads,
        children: given.children,
        quiet: given.quiet,
    }))
}

/// Why a word cannot stand first.
fn first_word(first: &str, rest: &[&str]) -> Misuse {
    match VERBS_OF_A_PID.into_iter().find(|verb| *verb == first) {
        Some(verb) => {
            let pid = rest.first().filter(|word| pid(word).is_some());
            Misuse::PidFirst(verb, pid.copied().unwrap_or("<pid>").into())
        }
        None => Misuse::FirstWord(first.into()),
    }
}

/// What argh has to say of an option, in the words of all other messages. A number with a sign before it is an
/// option to argh.
fn option_error(sentence: &str) -> Misuse {
    let after = |start: &str| sentence.strip_prefix(start);
    if let Some(word) = after("Unrecognized argument: ")
        && word
            .strip_prefix('-')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
    {
        return Misuse::Seconds(word.into());
    }
    if sentence.contains("duplicate values provided") {
        let option = sentence.split('\'').find(|part| part.starts_with('-')).unwrap_or_default();
        return Misuse::Twice(option.into());
    }
    Misuse::Option(sentence.into())
}

fn diff(given: &Words) -> Result<Diff, Misuse> {
    only(given, "diff", &["--output", "--quiet"])?;
    match given.words.as_slice() {
        [_, before, after] => {
            let output = given.output.as_deref().map(path);
            Ok(Diff { before: path(before), after: path(after), output, quiet: given.quiet })
        }
        [_, _, _, extra, ..] => Err(Misuse::Extra(lossy(extra))),
        _ => Err(Misuse::NoFiles),
    }
}

fn ps(given: &Words) -> Result<Ps, Misuse> {
    only(given, "ps", &["--json", "--output"])?;
    match given.words.as_slice() {
        [_, extra, ..] => Err(Misuse::Extra(lossy(extra))),
        _ => Ok(Ps { json: given.json, output: given.output.as_deref().map(path) }),
    }
}

fn dump(pid: u32, words: &[&str], given: &Words) -> Result<Dump, Misuse> {
    only(given, "dump", &["--json", "--args", "--native", "--output", "--quiet"])?;
    if let [_, extra, ..] = words {
        return Err(Misuse::Extra((*extra).into()));
    }
    Ok(Dump {
        pid,
        arguments: given.args,
        json: given.json,
        view: View { lines: true, native: native(given)?, annotate: false },
        output: given.output.as_deref().map(path),
        quiet: given.quiet,
    })
}

fn top(pid: u32, words: &[&str], given: &Words) -> Result<Top, Misuse> {
    only(given, "top", &["--rate", "--max-pause", "--native"])?;
    match words {
        [_, extra, ..] => Err(Misuse::Extra((*extra).into())),
        _ => Ok(Top { pid, rate: rate_of(given)?, max_pause: max_pause_of(given)?, native: native(given)? }),
    }
}

fn rate_of(given: &Words) -> Result<u32, Misuse> {
    given.rate.as_ref().map_or(Ok(DEFAULT_RATE), |text| rate(&lossy(text)))
}

fn max_pause_of(given: &Words) -> Result<f64, Misuse> {
    given.max_pause.as_ref().map_or(Ok(DEFAULT_MAX_PAUSE), |text| percent(&lossy(text)))
}

fn native(given: &Words) -> Result<bool, Misuse> {
    given.native.as_ref().map_or(Ok(true), |text| switch(&lossy(text)))
}

/// Refuses what has no meaning for a verb.
fn only(given: &Words, verb: &str, meant: &[&str]) -> Result<(), Misuse> {
    let options = [
        ("--rate", given.rate.is_some()),
        ("--output", given.output.is_some()),
        ("--wall", given.wall),
        ("--lines", given.lines),
        ("--native", given.native.is_some()),
        ("--annotate", given.annotate),
        ("--source", given.source),
        ("--max-pause", given.max_pause.is_some()),
        ("--threads", given.threads),
        ("--children", given.children),
        ("--json", given.json),
        ("--args", given.args),
        ("--quiet", given.quiet),
    ];
    match options.into_iter().find(|(option, is_given)| *is_given && !meant.contains(option)) {
        Some((option, _)) => Err(Misuse::OptionFor(option, verb.into())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt;
    use std::time::Duration;

    fn parsed(line: &str) -> Result<Command, Misuse> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    fn profile(line: &str) -> Profile {
        match parsed(line) {
            Ok(Command::Profile(profile)) => profile,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_pid_a_format_and_seconds_are_enough() {
        let expected = Profile {
            target: Target::Pid(1234),
            format: Format::Text,
            length: Duration::from_millis(2500),
            rate: DEFAULT_RATE,
            output: None,
            max_pause: DEFAULT_MAX_PAUSE,
            wall: false,
            view: View::default(),
            source: false,
            threads: false,
            children: false,
            quiet: false,
        };
        assert_eq!(profile("1234 text 2.5"), expected);
    }

    #[test]
    fn options_stand_anywhere_and_in_every_usual_spelling() {
        for line in [
            "-r 250 1 flame 3 -o out -q",
            "1 --rate=250 flame 3 --output=out --quiet",
            "1 flame 3 -r250 -oout -q",
            "--quiet 1 flame --rate 250 3 --output out",
        ] {
            let profile = profile(line);
            assert_eq!((profile.rate, profile.quiet), (250, true), "{line}");
            assert_eq!(profile.output.as_deref(), Some("out".as_ref()), "{line}");
        }
    }

    #[test]
    fn native_frames_are_shown_unless_switched_off() {
        for (line, native) in
            [("1 text 1", true), ("1 text 1 --native on", true), ("--native=off 1 text 1", false)]
        {
            assert_eq!(profile(line).view.native, native, "{line}");
        }
    }

    #[test]
    fn source_lines_are_for_the_page() {
        assert!(profile("1 flame 1 --source").source && !profile("1 flame 1").source);
    }

    #[test]
    fn lines_threads_waiting_ones_and_the_longest_pause_can_be_asked_for() {
        let profile = profile("1 text 1 --lines --wall --threads --children --max-pause 2.5");
        assert!(
            profile.view.lines
                && profile.wall
                && profile.threads
                && profile.children
                && profile.max_pause == 2.5
        );
    }

    #[test]
    fn the_command_of_run_is_left_alone() {
        let profile = profile("run folded 1 -o out -- node --rate=3 -q -- --help");
        let Target::Run(command) = profile.target else { panic!("not a run") };
        assert_eq!(command, ["node", "--rate=3", "-q", "--", "--help"]);
        assert!(!profile.quiet);
    }

    #[test]
    fn a_path_need_not_be_utf8() {
        let output = OsString::from_vec(b"/tmp/\xff\xfe\xc3\xa9".to_vec());
        let arguments = ["1", "text", "1", "-o"].map(OsString::from).into_iter().chain([output.clone()]);
        let Ok(Command::Profile(profile)) = parse(arguments.collect()) else { panic!("refused") };
        assert_eq!(profile.output, Some(output.into()));
    }

    #[test]
    fn every_misuse_is_told_apart() {
        let cases = [
            ("", Misuse::Nothing),
            ("frobnicate", Misuse::FirstWord("frobnicate".into())),
            ("0 text 1", Misuse::FirstWord("0".into())),
            ("+7 text 1", Misuse::FirstWord("+7".into())),
            ("4294967296 text 1", Misuse::FirstWord("4294967296".into())),
            ("1", Misuse::NoFormat),
            ("run", Misuse::NoFormat),
            ("1 svg 3", Misuse::Format("svg".into())),
            ("1 svg", Misuse::Format("svg".into())),
            ("1 text", Misuse::NoSeconds),
            ("1 text 0", Misuse::Seconds("0".into())),
            ("1 text inf", Misuse::Seconds("inf".into())),
            ("1 text 1e3", Misuse::Seconds("1e3".into())),
            ("1 text .", Misuse::Seconds(".".into())),
            ("1 text 99999999999", Misuse::Seconds("99999999999".into())),
            ("1 text 3 4", Misuse::Extra("4".into())),
            ("1 text 3 -r 0", Misuse::Rate("0".into())),
            ("1 text 3 -r 10001", Misuse::Rate("10001".into())),
            ("1 text 3 --rate=fast", Misuse::Rate("fast".into())),
            ("1 text 3 --max-pause 0", Misuse::MaxPause("0".into())),
            ("1 text 3 --max-pause 5%", Misuse::MaxPause("5%".into())),
            ("1 text 3 --native maybe", Misuse::Native("maybe".into())),
            ("1 text 3 --frob", Misuse::Option("Unrecognized argument: --frob".into())),
            ("1 text 3 -o", Misuse::Option("No value provided for option '-o'.".into())),
            ("1 text 3 --annotate", Misuse::OptionFor("--annotate", "text".into())),
            ("1 flame 3 --source --children", Misuse::OptionFor("--source", "--children".into())),
            ("1 folded 3 --source", Misuse::OptionFor("--source", "folded".into())),
            ("1 text --wall=0.2", Misuse::NoValue("--wall")),
            ("--wall=1 text 1", Misuse::NoValue("--wall")),
            ("1 text 3 --quiet=", Misuse::NoValue("--quiet")),
            ("1 text 3 -r 5 --rate=6", Misuse::Twice("--rate".into())),
            ("1 text -1", Misuse::Seconds("-1".into())),
            ("1 text 3 --output=", Misuse::NoOutput),
            ("top 1234", Misuse::PidFirst("top", "1234".into())),
            ("dump", Misuse::PidFirst("dump", "<pid>".into())),
            ("1 top -q", Misuse::OptionFor("--quiet", "top".into())),
            ("ps -q", Misuse::OptionFor("--quiet", "ps".into())),
            ("1 dump --lines", Misuse::OptionFor("--lines", "dump".into())),
            ("diff a b --lines", Misuse::OptionFor("--lines", "diff".into())),
            ("1 text 3 --json", Misuse::OptionFor("--json", "text".into())),
            ("ps --rate 5", Misuse::OptionFor("--rate", "ps".into())),
            ("1 text 3 --args", Misuse::OptionFor("--args", "text".into())),
            ("1 dump --rate 3", Misuse::OptionFor("--rate", "dump".into())),
            ("1 top --lines", Misuse::OptionFor("--lines", "top".into())),
            ("1 top 3", Misuse::Extra("3".into())),
            ("1 top -r 0", Misuse::Rate("0".into())),
            ("1 dump 3", Misuse::Extra("3".into())),
            ("run dump 3 -o out -- node", Misuse::Format("dump".into())),
            ("ps 1", Misuse::Extra("1".into())),
            ("diff a", Misuse::NoFiles),
            ("diff a b c", Misuse::Extra("c".into())),
            ("run text 3 -o out", Misuse::NoCommand),
            ("run text 3 -o out --", Misuse::NoCommand),
            ("run text 3 node app.js", Misuse::CommandWithoutDashes("node".into())),
            ("run text 3 -- node", Misuse::RunNeedsOutput),
            ("1 text 3 -- node", Misuse::CommandForPid),
        ];
        for (line, misuse) in cases {
            assert_eq!(parsed(line), Err(misuse), "{line}");
        }
    }

    #[test]
    fn two_files_can_be_compared() {
        let diff = Diff { before: "a".into(), after: "b".into(), output: Some("out".into()), quiet: false };
        assert_eq!(parsed("diff -o out a b"), Ok(Command::Diff(diff.clone())));
        assert_eq!(parsed("diff -q -o out a b"), Ok(Command::Diff(Diff { quiet: true, ..diff })));
    }

    #[test]
    fn processes_can_be_listed() {
        assert_eq!(parsed("ps"), Ok(Command::Ps(Ps { json: false, output: None })));
        assert_eq!(
            parsed("ps --json -o out"),
            Ok(Command::Ps(Ps { json: true, output: Some("out".into()) }))
        );
    }

    #[test]
    fn stacks_can_be_dumped() {
        let plain = Dump {
            pid: 1,
            arguments: false,
            json: false,
            view: View { lines: true, ..View::default() },
            output: None,
            quiet: false,
        };
        assert_eq!(parsed("1 dump"), Ok(Command::Dump(plain.clone())));
        let all = Dump { arguments: true, json: true, view: View { native: false, ..plain.view }, ..plain };
        assert_eq!(parsed("1 dump --args --json --native off"), Ok(Command::Dump(all)));
    }

    #[test]
    fn a_process_can_be_watched() {
        let plain = Top { pid: 1, rate: DEFAULT_RATE, max_pause: DEFAULT_MAX_PAUSE, native: true };
        assert_eq!(parsed("1 top"), Ok(Command::Top(plain.clone())));
        let other = Top { rate: 250, native: false, ..plain };
        assert_eq!(parsed("1 top -r 250 --native off"), Ok(Command::Top(other)));
    }

    #[test]
    fn help_and_version_win_over_what_is_missing() {
        for line in ["--help", "-h", "help", "1 --help", "run -h"] {
            assert_eq!(parsed(line), Ok(Command::Help), "{line}");
        }
        for line in ["--version", "-V", "1 -V"] {
            assert_eq!(parsed(line), Ok(Command::Version), "{line}");
        }
    }

    #[test]
    fn the_help_names_every_format() {
        let help = include_str!("help.txt");
        assert!(Format::ALL.iter().all(|format| help.contains(&format!("\n  {} ", format.name()))));
        assert!(help.lines().all(|line| line.chars().count() <= 90));
    }

    #[test]
    fn the_help_names_every_option_of_each_verb() {
        let (_, usage) = include_str!("help.txt").split_once("\nUsage: ").unwrap();
        for (verb, line) in
            [("<pid> dump ", "1 dump"), ("<pid> top ", "1 top"), ("ps ", "ps"), ("diff ", "diff a b")]
        {
            let told = usage.split("node-flame ").find(|told| told.starts_with(verb)).unwrap();
            for option in ["-r HZ", "-o FILE", "-q", "--native on|off", "--max-pause PCT", "--json", "--args"]
            {
                let given = option.replace("HZ", "9").replace("on|off", "off").replace("PCT", "9");
                let is_taken = parsed(&format!("{line} {given}")).is_ok();
                assert_eq!(told.contains(&format!("[{option}]")), is_taken, "{verb}{option}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_arguments_make_it_panic(
            arguments in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 0..8)
        ) {
            let _ = parse(arguments.into_iter().map(OsString::from_vec).collect());
        }

        #[test]
        fn no_order_of_real_words_makes_it_panic(
            words in proptest::collection::vec(
                proptest::sample::select(vec![
                    "1", "run", "text", "3", "--", "-r", "-o", "-q", "--rate=5", "--output=", "help",
                    "-h", "-V", "diff", "-", "", "=", "--=", "-rx", "node",
                ]),
                0..9,
            )
        ) {
            let _ = parse(words.into_iter().map(OsString::from).collect());
        }
    }
}
