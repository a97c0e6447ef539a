//! A program that is told what to do on its standard input, and answers on its standard output.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Such a program. Killed when it is dropped.
#[derive(Debug)]
pub struct Dialog {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Dialog {
    /// Starts it; `None` if there is no such program.
    pub fn start(command: &mut Command) -> Option<Self> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let (input, output) = child.stdin.take().zip(child.stdout.take())?;
        Some(Dialog { child, input, output: BufReader::new(output) })
    }

    /// Waits for a line; `None` if the program has ended.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).ok().filter(|read| *read > 0).map(|_| line)
    }

    /// Says a line and waits for the answer; `None` if the program has ended.
    pub fn ask(&mut self, line: &str) -> Option<String> {
        writeln!(self.input, "{line}").ok()?;
        self.hear()
    }
}

impl Drop for Dialog {
    fn drop(&mut self) {
        // Errors mean that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_answered_until_the_end() {
        let mut echo = Dialog::start(&mut Command::new("cat")).unwrap();
        assert_eq!(echo.ask("one").as_deref(), Some("one\n"));
        assert_eq!(echo.ask("two").as_deref(), Some("two\n"));
        let mut ended = Dialog::start(Command::new("sh").args(["-c", "echo last"])).unwrap();
        assert_eq!(ended.hear().as_deref(), Some("last\n"));
        assert_eq!(ended.hear(), None);
        assert!(Dialog::start(&mut Command::new("/nowhere")).is_none());
    }
}
