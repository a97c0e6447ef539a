//! node-flame: flame graphs of running Node.js processes, from outside.

mod args;
mod message;
mod output;
mod printable;
#[expect(dead_code, reason = "no run yields a profile yet")]
mod report;

use args::Command;
use message::Failure;
use output::Output;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match carry_out() {
        Ok(code) => code,
        Err(failure) => {
            // Where stderr is gone, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "node-flame: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn carry_out() -> Result<ExitCode, Failure> {
    match args::parse(std::env::args_os().skip(1).collect())? {
        Command::Help => print(include_str!("help.txt"))?,
        Command::Version => print(concat!("node-flame ", env!("CARGO_PKG_VERSION"), "\n"))?,
        Command::Profile(profile) => return Err(Failure::Unwired(profile)),
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> Result<(), Failure> {
    Ok(Output::Stdout.write(|to| to.write_all(text.as_bytes()))?)
}
