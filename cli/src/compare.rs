//! `diff`: two files of stacks, this tool's or another's, as one page.

use crate::command;
use crate::message::Failure;
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
    let mut cause = None;
    let written = output.write(|to| {
        let done = flame_render::diff((&names[0], &mut before), (&names[1], &mut after), to);
        done.map_err(|error| match error {
            DiffError::Write(error) => error,
            other => std::io::Error::other(cause.insert(other).to_string()),
        })
    });
    match cause {
        Some(cause) => Err(Failure::Diff(cause)),
        None => written.map(|()| ExitCode::SUCCESS).map_err(Failure::Output),
    }
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    File::open(path).map(BufReader::new).map_err(|error| Failure::Read(path.into(), error))
}
