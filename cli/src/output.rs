//! Where a profile goes: standard output, or a file that is written whole or not at all.
//!
//! A file is written under a passing name in its own directory and then renamed, so that nobody ever
//! sees half of it and an old profile stays until the new one is complete. The passing file is made
//! before the sampling starts: a directory that cannot be written to is said at once, not after an
//! hour of sampling. Symbolic links are refused, never followed: run by root in a directory of
//! others, a write through a link would overwrite a file of their choice. A file written by root has
//! mode 0600, since a profile tells paths and names that others may have no right to see; other
//! users' files have the mode that their umask gives.

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Passing names that are tried before giving up: each is taken only by a node-flame of the same
/// pid that was killed in this directory.
const ATTEMPTS: u32 = 100;

/// An output that could not be opened or written.
#[derive(Debug)]
pub struct OutputError {
    /// The file; standard output if `None`.
    pub path: Option<PathBuf>,
    /// What is wrong with it.
    pub cause: OutputCause,
}

/// What is wrong with an output.
#[derive(Debug)]
pub enum OutputCause {
    /// It was closed when node-flame was started.
    Closed,
    /// It is a terminal, and the format is no text.
    Terminal,
    /// The path ends in no file name.
    NoFileName,
    /// The directory that the file is to stand in cannot be opened.
    Directory(Errno),
    /// What stands there is a directory or a symbolic link.
    NotAFile(FileType),
    /// The file cannot be made.
    Create(Errno),
    /// Writing failed.
    Write(io::Error),
}

/// An output that is open and holds nothing yet.
#[derive(Debug)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// A device or pipe with a name, which keeps what it is.
    Direct(File, PathBuf),
    /// A file that will take its name when it is whole.
    Replace(Replacement),
}

/// A file under a passing name. It is removed when this is dropped.
#[derive(Debug)]
pub struct Replacement {
    directory: OwnedFd,
    passing: OsString,
    name: OsString,
    path: PathBuf,
    file: File,
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // After the rename there is nothing left under this name.
        let _ = rustix::fs::unlinkat(&self.directory, &self.passing, AtFlags::empty());
    }
}

impl Output {
    /// Opens `path`, or standard output for `None` and `-`.
    pub fn open(path: Option<&Path>) -> Result<Output, OutputError> {
        let Some(path) = path.filter(|path| *path != "-") else {
            let is_closed = flame_sys::streams::stdout_was_closed();
            let closed = OutputError { path: None, cause: OutputCause::Closed };
            return if is_closed { Err(closed) } else { Ok(Output::Stdout) };
        };
        open_file(path).map_err(|cause| OutputError { path: Some(path.into()), cause })
    }

    /// Refuses a terminal, for a format that is no text.
    pub fn take_binary(self) -> Result<Output, OutputError> {
        match self {
            Output::Stdout if io::stdout().is_terminal() => {
                Err(OutputError { path: None, cause: OutputCause::Terminal })
            }
            other => Ok(other),
        }
    }

    /// The file's path; `None` for standard output.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Output::Stdout => None,
            Output::Direct(_, path) => Some(path),
            Output::Replace(replacement) => Some(&replacement.path),
        }
    }

    /// Writes all that `content` writes, or leaves the file as it was.
    pub fn write(self, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), OutputError> {
        let path = self.path().map(Path::to_path_buf);
        let done = match &self {
            Output::Stdout => buffered(io::stdout().lock(), content),
            Output::Direct(file, _) => buffered(file, content),
            Output::Replace(replacement) => replacement.fill(content),
        };
        done.map_err(|error| OutputError { path, cause: OutputCause::Write(error) })
    }
}

impl Replacement {
    fn fill(&self, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        buffered(&self.file, content)?;
        Ok(rustix::fs::renameat(&self.directory, &self.passing, &self.directory, &self.name)?)
    }
}

fn buffered(to: impl Write, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(1 << 16, to);
    content(&mut to)?;
    to.flush()
}

fn open_file(path: &Path) -> Result<Output, OutputCause> {
    let name = path.file_name().ok_or(OutputCause::NoFileName)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty()).map_err(OutputCause::Directory)?;
    match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => replace(directory, name, path),
        Err(error) => Err(OutputCause::Create(error)),
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => replace(directory, name, path),
            kind @ (FileType::Directory | FileType::Symlink) => Err(OutputCause::NotAFile(kind)),
            // /dev/null and the like: replacing one by a file would harm the host.
            _ => {
                let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&directory, name, flags, Mode::empty());
                file.map(|file| Output::Direct(file.into(), path.into())).map_err(OutputCause::Create)
            }
        },
    }
}

fn replace(directory: OwnedFd, name: &OsStr, path: &Path) -> Result<Output, OutputCause> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(if rustix::process::geteuid().is_root() { 0o600 } else { 0o666 });
    let mut error = Errno::EXIST;
    for attempt in 0..ATTEMPTS {
        let passing = OsString::from(format!(".node-flame-{}-{attempt}", std::process::id()));
        match rustix::fs::openat(&directory, &passing, flags, mode) {
            Ok(file) => {
                let (name, path, file) = (name.into(), path.into(), file.into());
                return Ok(Output::Replace(Replacement { directory, passing, name, path, file }));
            }
            Err(Errno::EXIST) => {}
            Err(other) => {
                error = other;
                break;
            }
        }
    }
    Err(OutputCause::Create(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// An empty directory, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("node-flame-output-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        fn names(&self) -> Vec<String> {
            fs::read_dir(&self.0)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_appears_whole_and_nothing_else_stays() {
        let scratch = Scratch::new("whole");
        let path = scratch.0.join("out");
        let output = Output::open(Some(&path)).unwrap();
        assert!(!path.exists());
        output.write(|to| to.write_all(b"profile")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"profile");
        assert_eq!(scratch.names(), ["out"]);
        if rustix::process::geteuid().is_root() {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let scratch = Scratch::new("failure");
        let path = scratch.0.join("out");
        fs::write(&path, b"old").unwrap();
        let output = Output::open(Some(&path)).unwrap();
        let error = output
            .write(|to| {
                to.write_all(&[0; 1 << 20])?;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            })
            .unwrap_err();
        assert!(matches!(error.cause, OutputCause::Write(_)));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(scratch.names(), ["out"]);
    }

    #[test]
    fn an_output_that_is_never_written_leaves_nothing() {
        let scratch = Scratch::new("never");
        drop(Output::open(Some(&scratch.0.join("out"))).unwrap());
        assert!(scratch.names().is_empty());
    }

    #[test]
    fn a_symbolic_link_is_refused_and_what_it_names_is_left_alone() {
        let scratch = Scratch::new("link");
        let (victim, link) = (scratch.0.join("victim"), scratch.0.join("link"));
        fs::write(&victim, b"precious").unwrap();
        symlink(&victim, &link).unwrap();
        let error = Output::open(Some(&link)).unwrap_err();
        assert!(matches!(error.cause, OutputCause::NotAFile(FileType::Symlink)));
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn a_device_stays_a_device() {
        let output = Output::open(Some(Path::new("/dev/full"))).unwrap();
        let error = output.write(|to| to.write_all(b"x")).unwrap_err();
        let OutputCause::Write(error) = error.cause else { panic!("not a write error") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let null = Output::open(Some(Path::new("/dev/null"))).unwrap();
        null.write(|to| to.write_all(b"x")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn places_without_a_file_are_refused_before_anything_is_sampled() {
        let scratch = Scratch::new("places");
        let missing = Output::open(Some(&scratch.0.join("no/out"))).unwrap_err();
        assert!(matches!(missing.cause, OutputCause::Directory(Errno::NOENT)));
        let directory = Output::open(Some(&scratch.0)).unwrap_err();
        assert!(matches!(directory.cause, OutputCause::NotAFile(FileType::Directory)));
        let nameless = Output::open(Some(Path::new(".."))).unwrap_err();
        assert!(matches!(nameless.cause, OutputCause::NoFileName));
    }
}
