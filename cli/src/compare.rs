//! `diff`: two files of stacks, this tool's or another's, as one page.

use crate::command;
use crate::message::Failure;
use crate::narrator::say;
use crate::output::Output;
use flame_render::DiffError;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

/// Writes the page.
pub fn diff(wanted: &command::Diff) -> Result<ExitCode, Failure> {
    let output = Output::open(wanted.output.as_deref())?;
    let (mut before, mut after) = (open(&wanted.before)?, open(&wanted.after)?);
    let names = [&wanted.before, &wanted.after].map(|path| path.display().to_string());
    let (mut cause, mut remarks) = (None, Vec::new());
    let written = output.write(&mut |to| {
        let done = flame_render::diff((&names[0], &mut before), (&names[1], &mut after), to);
        match done {
            Ok(said) => {
                remarks = said;
                Ok(())
            }
            Err(DiffError::Write(error)) => Err(error),
            Err(other) => Err(std::io::Error::other(cause.insert(other).to_string())),
        }
    });
    if let Some(cause) = cause {
        return Err(Failure::Diff(cause));
    }
    written?;
    for remark in remarks.into_iter().filter(|_| !wanted.quiet) {
        say(&format!("Note: {remark}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    File::open(path).map(BufReader::new).map_err(|error| Failure::Read(path.into(), error))
}
