//! Where a profile goes: standard output, or a file that is written whole or not at all.
//!
//! A file is written without a name in its own directory, and has one when it is whole and on the disk:
//! nobody ever sees half of it, an old profile stays until the new one is complete, and what is killed
//! leaves nothing behind. To take the place of an old file it has a passing name for a moment. Where the
//! filesystem knows no files without a name (NFS, overlayfs of older kernels), the passing name is there from
//! the start. The file is made before the sampling starts, and the kernel is asked whether the old one may be
//! replaced: a place that cannot be written to is said at once, not after an hour of sampling. A file that
//! cannot take its name all the same keeps the passing one, and that is said. What is a mount of its own, as
//! a file of a container may be, has no other file in its place: it is written as it is. Symbolic links are
//! refused, never followed: run by root in a directory of others, a write through a link would overwrite a
//! file of their choice. A file written by root has mode 0600, since a profile tells paths and names that
//! others may have no right to see; other users' files have the mode that their umask gives.

use crate::message::system_words;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
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
    /// It is a file that stays what it was until it can be replaced by a whole one.
    pub is_kept: bool,
}

impl OutputError {
    fn stdout(cause: OutputCause) -> Self {
        OutputError { path: None, cause, is_kept: false }
    }
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
    /// The path ends in a slash, and there is no such directory.
    EndsInSlash,
    /// The directory that the file is to stand in cannot be opened.
    Directory(Errno),
    /// What stands there is a directory or a symbolic link.
    NotAFile(FileType),
    /// The file that is there may not be replaced.
    NotReplaceable,
    /// The file cannot be made.
    Create(Errno),
    /// Writing failed.
    Write(io::Error),
}

/// Writes what an output is to hold; called once. Not generic: each writer would have its own copy of all that is here.
type Content<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

/// An output that is open and holds nothing yet.
#[derive(Debug)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// A device, a pipe with a name, or a mount of its own, which keeps what it is.
    Direct(File, PathBuf),
    /// A file that will take its name when it is whole.
    Replace(Replacement),
}

/// A file without a name, or under a passing one, which is removed when this is dropped.
#[derive(Debug)]
pub struct Replacement {
    directory: OwnedFd,
    passing: Option<String>,
    name: OsString,
    path: PathBuf,
    file: File,
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(passing) = &self.passing {
            // After the rename there is nothing left under this name.
            let _ = rustix::fs::unlinkat(&self.directory, passing, AtFlags::empty());
        }
    }
}

impl Output {
    /// Opens `path`, or standard output for `None` and `-`.
    pub fn open(path: Option<&Path>) -> Result<Output, OutputError> {
        let Some(path) = path.filter(|path| *path != "-") else {
            let is_closed = flame_sys::streams::stdout_was_closed();
            let closed = OutputError::stdout(OutputCause::Closed);
            return if is_closed { Err(closed) } else { Ok(Output::Stdout) };
        };
        open_file(path).map_err(|cause| OutputError { path: Some(path.into()), cause, is_kept: false })
    }

    /// Refuses a terminal, for a format that is no text.
    pub fn take_binary(self) -> Result<Output, OutputError> {
        match self {
            Output::Stdout if io::stdout().is_terminal() => Err(OutputError::stdout(OutputCause::Terminal)),
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
    pub fn write(self, content: Content<'_>) -> Result<(), OutputError> {
        let path = self.path().map(Path::to_path_buf);
        let is_kept = matches!(self, Output::Replace(_));
        let done = match self {
            Output::Stdout => buffered(&mut Patient(io::stdout().lock()), content),
            Output::Direct(file, _) => {
                // What is no file has nothing in it.
                let _ = file.set_len(0);
                buffered(&mut Patient(&file), content)
            }
            Output::Replace(replacement) => replacement.fill(content),
        };
        done.map_err(|error| OutputError { path, cause: OutputCause::Write(error), is_kept })
    }
}

impl Replacement {
    fn fill(mut self, content: Content<'_>) -> io::Result<()> {
        buffered(&mut &self.file, content)?;
        sync(&self.file)?;
        let from = match self.passing.take() {
            Some(passing) => passing,
            None => {
                // By its file descriptor itself a file is linked by root alone, on older kernels.
                let file = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                let link = |name: &OsStr| {
                    rustix::fs::linkat(CWD, &file, &self.directory, name, AtFlags::SYMLINK_FOLLOW)
                };
                if link(&self.name).is_ok() {
                    return Ok(());
                }
                // There is an old file.
                match passing(&mut |name| link(name.as_ref())) {
                    Ok((passing, ())) => passing,
                    Err(_) => self.copy()?,
                }
            }
        };
        // From here on it stays, whatever it is called.
        self.passing = None;
        rustix::fs::renameat(&self.directory, &from, &self.directory, &self.name).map_err(|error| {
            let left = self.path.with_file_name(&from);
            io::Error::other(format!("{}; the profile is in {}", system_words(&error.into()), left.display()))
        })
    }

    /// Copies what is written to a file with a passing name, where it may not have a name itself.
    fn copy(&mut self) -> io::Result<String> {
        let (passing, file) = named(&self.directory)?;
        let from = std::mem::replace(&mut self.file, file.into());
        let mut at = 0;
        self.passing = Some(passing.clone());
        while rustix::fs::sendfile(&self.file, &from, Some(&mut at), 1 << 30)? > 0 {}
        sync(&self.file)?;
        Ok(passing)
    }
}

/// Has what is written on the disk before it has its name, so that after a power cut too there is all of it or
/// nothing.
fn sync(file: &File) -> io::Result<()> {
    match rustix::fs::fdatasync(file) {
        // Not every filesystem has a disk.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        done => Ok(done?),
    }
}

/// An output that somebody else may have made non-blocking, as Node does with the pipes of its children: where it is
/// full, what is written waits for its reader.
struct Patient<T>(T);

impl<T: AsFd> Patient<T> {
    fn wait<U>(&mut self, mut write: impl FnMut(&mut T) -> io::Result<U>) -> io::Result<U> {
        loop {
            match write(&mut self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // What is wrong with it, the next write says.
                    let _ = poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None);
                }
                done => return done,
            }
        }
    }
}

impl<T: Write + AsFd> Write for Patient<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(|to| to.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wait(T::flush)
    }
}

fn buffered(to: &mut dyn Write, content: Content<'_>) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(1 << 16, to);
    content(&mut to)?;
    to.flush()
}

fn open_file(path: &Path) -> Result<Output, OutputCause> {
    let name = path.file_name().ok_or(OutputCause::NoFileName)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Its names need not be readable.
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty()).map_err(OutputCause::Directory)?;
    match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) if path.as_os_str().as_bytes().ends_with(b"/") => Err(OutputCause::EndsInSlash),
        Err(Errno::NOENT) => replace(directory, name, path),
        Err(error) => Err(OutputCause::Create(error)),
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if !is_mount(&directory, name) => {
                // Removes no file: the kernel looks whether it may, and then sees that this is no directory.
                match rustix::fs::unlinkat(&directory, name, AtFlags::REMOVEDIR) {
                    Err(Errno::PERM) => Err(OutputCause::NotReplaceable),
                    _ => replace(directory, name, path),
                }
            }
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

/// Whether a file is mounted over another one; before Linux 5.8 nobody can tell.
fn is_mount(directory: &OwnedFd, name: &OsStr) -> bool {
    let told = rustix::fs::statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
    told.is_ok_and(|told| told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn replace(directory: OwnedFd, name: &OsStr, path: &Path) -> Result<Output, OutputCause> {
    let nameless = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let (passing, file) = match rustix::fs::openat(&directory, ".", nameless, mode()) {
        Ok(file) => (None, file),
        // What is wrong with the directory is wrong with a named file too.
        Err(_) => named(&directory).map(|(name, file)| (Some(name), file)).map_err(OutputCause::Create)?,
    };
    let (name, path, file) = (name.into(), path.into(), file.into());
    Ok(Output::Replace(Replacement { directory, passing, name, path, file }))
}

fn mode() -> Mode {
    Mode::from_raw_mode(if rustix::process::geteuid().is_root() { 0o600 } else { 0o666 })
}

/// A new file with a passing name.
fn named(directory: &OwnedFd) -> Result<(String, OwnedFd), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    passing(&mut |name| rustix::fs::openat(directory, name, flags, mode()))
}

/// Has `make` make something under a passing name that is not taken.
fn passing<T>(make: &mut dyn FnMut(&str) -> Result<T, Errno>) -> Result<(String, T), Errno> {
    let mut attempt = 0;
    loop {
        let name = format!(".node-flame-{}-{attempt}", std::process::id());
        attempt += 1;
        match make(&name) {
            Err(Errno::EXIST) if attempt < ATTEMPTS => {}
            made => return made.map(|made| (name, made)),
        }
    }
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
        // Where the filesystem of temporary files has no files without a name, a passing one is there.
        let Output::Replace(replacement) = &output else { panic!("not a file") };
        assert_eq!(scratch.names().is_empty(), replacement.passing.is_none());
        output.write(&mut |to| to.write_all(b"profile")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"profile");
        assert_eq!(scratch.names(), ["out"]);
        if rustix::process::geteuid().is_root() {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_takes_the_place_of_an_old_one_with_and_without_a_passing_name() {
        let scratch = Scratch::new("old");
        let path = scratch.0.join("out");
        fs::write(&path, b"old").unwrap();
        for text in ["new", "newer"] {
            let mut output = Output::open(Some(&path)).unwrap();
            if let Output::Replace(replacement) = &mut output
                && text == "newer"
            {
                // As on a filesystem where each file has a name.
                fs::write(scratch.0.join("passing"), b"").unwrap();
                replacement.file = fs::File::create(scratch.0.join("passing")).unwrap();
                replacement.passing = Some("passing".into());
            }
            output.write(&mut |to| to.write_all(text.as_bytes())).unwrap();
            assert_eq!(
                (fs::read_to_string(&path).unwrap(), scratch.names()),
                (text.into(), vec!["out".into()])
            );
        }
    }

    #[test]
    fn what_may_not_be_linked_is_copied() {
        let scratch = Scratch::new("copied");
        let path = scratch.0.join("out");
        let Output::Replace(mut replacement) = Output::open(Some(&path)).unwrap() else { panic!() };
        if replacement.passing.is_none() {
            (&replacement.file).write_all(&[7; 100_000]).unwrap();
            let copied = replacement.copy().unwrap();
            assert_eq!(fs::read(scratch.0.join(&copied)).unwrap(), [7; 100_000]);
            assert_eq!(scratch.names(), [copied]);
            drop(replacement);
            assert!(scratch.names().is_empty());
        }
    }

    #[test]
    fn a_directory_whose_names_may_not_be_read_holds_an_output() {
        // Where everything may be read there is nothing to see but that it works.
        let scratch = Scratch::new("closed");
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o333)).unwrap();
        let path = scratch.0.join("out");
        Output::open(Some(&path)).unwrap().write(&mut |to| to.write_all(b"x")).unwrap();
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let scratch = Scratch::new("failure");
        let path = scratch.0.join("out");
        fs::write(&path, b"old").unwrap();
        let output = Output::open(Some(&path)).unwrap();
        let error = output
            .write(&mut |to| {
                to.write_all(&[0; 1 << 20])?;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            })
            .unwrap_err();
        assert!(matches!(error.cause, OutputCause::Write(_)));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(scratch.names(), ["out"]);
    }

    #[test]
    fn a_file_that_cannot_take_its_name_keeps_the_passing_one() {
        let scratch = Scratch::new("kept");
        let path = scratch.0.join("out");
        let output = Output::open(Some(&path)).unwrap();
        // In the hour of sampling.
        fs::create_dir(&path).unwrap();
        let error = output.write(&mut |to| to.write_all(b"profile")).unwrap_err().to_string();
        let (words, kept) = error.split_once("; the profile is in ").unwrap();
        assert_eq!(words, format!("cannot write {}: Is a directory", path.display()));
        assert_eq!(fs::read(kept).unwrap(), b"profile");
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
        let error = output.write(&mut |to| to.write_all(b"x")).unwrap_err();
        let OutputCause::Write(error) = error.cause else { panic!("not a write error") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let null = Output::open(Some(Path::new("/dev/null"))).unwrap();
        null.write(&mut |to| to.write_all(b"x")).unwrap();
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
        let mut slash = scratch.0.join("new").into_os_string();
        slash.push("/");
        let slash = Output::open(Some(Path::new(&slash))).unwrap_err();
        assert!(matches!(slash.cause, OutputCause::EndsInSlash));
        assert!(scratch.names().is_empty());
    }
}
