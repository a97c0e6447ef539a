//! node-flame: flame graphs of running Node.js processes, from outside.
//!
//! # One command walked through
//!
//! `node-flame 1234 flame 10 -o out.html`: [`args`] makes of the words a [`command`]. [`output`] opens a passing
//! file beside `out.html`, so that a place that cannot be written to is told at once. [`target`] finds
//! the object that holds V8 in process 1234, or says what it runs instead. [`sampling`] has `flame_sys`
//! hold its running threads and makes a profile of what is found, while [`narrator`] tells how it goes.
//! Then nothing is traced any more: the profile is rendered and the file takes its name, and [`report`]
//! tells the whole truth about the run. Every way out with an error passes through [`main`], with the
//! words of [`message`].

mod args;
mod called;
mod children;
mod command;
mod compare;
mod dump;
mod followed;
mod launch;
mod listing;
mod member;
mod message;
mod narrator;
mod output;
mod report;
mod sampling;
mod symbols;
mod target;
mod top;
mod values;

use command::{Command, Target};
use flame_sys::signals::Blocked;
use message::Failure;
use output::Output;
use std::process::ExitCode;

fn main() -> ExitCode {
    carry_out().unwrap_or_else(|failure| {
        narrator::complain(&failure);
        ExitCode::from(failure.exit_code())
    })
}

fn carry_out() -> Result<ExitCode, Failure> {
    flame_sys::files::raise_limit();
    flame_sys::signals::ignore_file_too_large();
    match args::parse(std::env::args_os().skip(1).collect())? {
        Command::Help => print(include_str!("help.txt")),
        Command::Version => print(concat!("node-flame ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Diff(wanted) => compare::diff(&wanted),
        Command::Dump(wanted) => dump::dump(&wanted),
        Command::Top(wanted) => top::top(&wanted),
        Command::Ps(wanted) => listing::ps(&wanted),
        Command::Profile(wanted) => {
            let output = Output::open(wanted.output.as_deref())?;
            let output = if wanted.format.is_binary() { output.take_binary()? } else { output };
            match &wanted.target {
                Target::Pid(pid) => profile(&wanted, *pid, output),
                Target::Run(command) => launch::run(&wanted, command, output),
            }
        }
    }
}

fn profile(wanted: &command::Profile, pid: u32, output: Output) -> Result<ExitCode, Failure> {
    let signals = Blocked::new();
    let mut files = target::Files::default();
    let run = if wanted.children {
        let command = target::command_of(pid)?;
        sampling::sample_family(&signals, pid, command, &mut files, wanted, None)?
    } else {
        let target = target::Target::open(pid, &mut files)?;
        sampling::sample(&signals, target, &mut files, wanted, None)?
    };
    // A file is written at once and not left half-way; a reader of stdout may let us wait for ever.
    let _blocked = output.path().map(|_| signals);
    sampling::write(output, &run.profile, wanted)?;
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> Result<ExitCode, Failure> {
    Output::open(None)?.write(&mut |to| to.write_all(text.as_bytes()))?;
    Ok(ExitCode::SUCCESS)
}
