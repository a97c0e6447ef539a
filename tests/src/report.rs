//! node-flame's closing report.

/// Its counts of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Ticks.
    pub wanted: u64,
    /// Those at which a sample was taken.
    pub taken: u64,
    /// Those at which the thread waited.
    pub idle: u64,
    /// Those among them at which it waited for nothing but a CPU.
    pub starved: u64,
    /// All others.
    pub lost: u64,
    /// Threads that fell asleep before they stopped.
    pub disturbed: u64,
}

impl Report {
    /// Reads `Samples: T taken of W wanted, I idle, L lost.` and what follows it.
    pub fn parse(stderr: &str) -> Option<Self> {
        let line = stderr.lines().find(|line| line.starts_with("Samples: "))?;
        let number = |word: &str| {
            let mut words = line.split([' ', ',', '.']).filter(|word| !word.is_empty()).peekable();
            while let Some(before) = words.next() {
                if words.peek() == Some(&word) {
                    return before.parse().ok();
                }
            }
            None
        };
        let asleep = |line: &str| line.strip_prefix("Note: ")?.strip_suffix(ASLEEP)?.trim().parse().ok();
        let starved = |line: &str| line.strip_prefix("Note: ")?.split_once(STARVED)?.0.parse().ok();
        Some(Self {
            wanted: number("wanted")?,
            taken: number("taken")?,
            idle: number("idle")?,
            starved: stderr.lines().find_map(starved).unwrap_or(0),
            lost: number("lost")?,
            disturbed: stderr.lines().find_map(asleep).unwrap_or(0),
        })
    }

    /// Whether every tick is accounted for.
    pub fn adds_up(&self) -> bool {
        self.taken + self.idle + self.lost == self.wanted
    }
}

const ASLEEP: &str = "threads fell asleep just before they stopped.";
const STARVED: &str = " of the idle ones waited for a CPU";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_the_reports_first_line() {
        let text = "Sampling 7 for 8s, outputting text.\nSamples: 980 taken of 990 wanted, 7 idle, 3 lost.\n\
            Note: 2 threads fell asleep just before they stopped.\n\
            Note: 3 of the idle ones waited for a CPU that others had\n";
        let report = Report::parse(text).unwrap();
        assert_eq!(report, Report { wanted: 990, taken: 980, idle: 7, starved: 3, lost: 3, disturbed: 2 });
        assert!(report.adds_up());
        assert_eq!(Report::parse("node-flame: no process 7"), None);
    }
}
