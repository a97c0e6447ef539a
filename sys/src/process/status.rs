//! The texts `status` and `stat`.

use memchr::memrchr;

/// What `/proc/PID/status` says. What a kernel leaves out is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Name of the first thread.
    pub name: String,
    /// `R`, `S`, `D`, `T` stopped, `t` held by a tracer, `Z` zombie, `I` idle kernel thread, `X` dead.
    pub state: u8,
    /// Id of the process. Differs from the number that was asked for if that is a thread's.
    pub tgid: u32,
    /// Parent, 0 if it is outside of this pid namespace.
    pub parent: u32,
    /// The thread that traces it, 0 for none or one outside of this pid namespace.
    pub tracer: u32,
    /// Real, effective, saved and file system user.
    pub uid: [u32; 4],
    /// Real, effective, saved and file system group.
    pub gid: [u32; 4],
    /// Its id in each pid namespace, from this one inwards.
    pub ns_pids: Vec<u32>,
    /// Number of threads.
    pub threads: u32,
    /// Capabilities it may use.
    pub cap_permitted: u64,
    /// Capabilities it uses.
    pub cap_effective: u64,
    /// 0 none, 1 strict, 2 filtered.
    pub seccomp: u8,
}

impl Status {
    /// Reads the text; what is not understood is passed over.
    pub fn parse(text: &[u8]) -> Self {
        let mut status = Status::default();
        for line in text.split(|byte| *byte == b'\n') {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let value = line[colon + 1..].trim_ascii();
            match &line[..colon] {
                b"Name" => status.name = String::from_utf8_lossy(value).into_owned(),
                b"State" => status.state = value.first().copied().unwrap_or(0),
                b"Tgid" => status.tgid = number(value),
                b"PPid" => status.parent = number(value),
                b"TracerPid" => status.tracer = number(value),
                b"Uid" => status.uid = four(value),
                b"Gid" => status.gid = four(value),
                b"NSpid" => status.ns_pids = numbers(value).collect(),
                b"Threads" => status.threads = number(value),
                b"CapPrm" => status.cap_permitted = hexadecimal(value),
                b"CapEff" => status.cap_effective = hexadecimal(value),
                b"Seccomp" => status.seccomp = number(value) as u8,
                _ => {}
            }
        }
        status
    }
}

/// Flag of a process that was forked and has executed nothing since (`include/linux/sched.h`).
const PF_FORKNOEXEC: u64 = 0x40;

/// What `/proc/PID/stat` says, or a thread's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// As [`Status::state`].
    pub state: u8,
    /// Parent.
    pub parent: u32,
    /// Process group.
    pub group: u32,
    /// It was forked and has not become a program of its own yet.
    pub is_fork: bool,
    /// CPU time used, in clock ticks of 10 ms.
    pub cpu_ticks: u64,
    /// Number of threads.
    pub threads: u32,
    /// Start, in clock ticks of 10 ms since boot: with the id it names a process for good.
    pub started_ticks: u64,
}

impl Stat {
    /// Reads the line.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = after_name(text)?.split(|byte| *byte == b' ');
        let mut field = |skip: usize| fields.nth(skip).and_then(decimal);
        // Numbers are those of proc_pid_stat(5), where the state is field 3.
        let state = *after_name(text)?.first()?;
        let parent = field(1)? as u32; // 4
        let group = field(0)? as u32; // 5
        let flags = field(3)?; // 9
        let (user, system) = (field(4)?, field(0)?); // 14, 15
        let threads = field(4)? as u32; // 20
        let started_ticks = field(1)?; // 22
        Some(Stat {
            state,
            parent,
            group,
            is_fork: flags & PF_FORKNOEXEC != 0,
            cpu_ticks: user.saturating_add(system),
            threads,
            started_ticks,
        })
    }

    /// The state alone, without allocation.
    pub fn state_of(text: &[u8]) -> Option<u8> {
        after_name(text)?.first().copied()
    }

    /// What a thread's line says of one that runs, without allocation.
    pub fn running(text: &[u8]) -> Option<Running> {
        let mut fields = after_name(text)?.split(|byte| *byte == b' ');
        let mut field = |skip: usize| fields.nth(skip).and_then(decimal);
        // Fields 20 and 39; the state is field 3.
        Some(Running { threads: field(17)? as u32, cpu: field(18)? as usize })
    }
}

/// What is told of a thread that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The CPU that it runs on or waits for.
    pub cpu: usize,
    /// Number of its process' threads.
    pub threads: u32,
}

/// What follows the name, which stands in brackets and can hold any character.
fn after_name(text: &[u8]) -> Option<&[u8]> {
    text.get(memrchr(b')', text)? + 2..)
}

/// A decimal number; a negative one is its bit pattern.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    text.parse::<u64>().ok().or_else(|| text.parse::<i64>().ok().map(|number| number as u64))
}

fn numbers(text: &[u8]) -> impl Iterator<Item = u32> {
    text.split(u8::is_ascii_whitespace).filter_map(decimal).map(|number| number as u32)
}

fn number(text: &[u8]) -> u32 {
    numbers(text).next().unwrap_or(0)
}

fn four(text: &[u8]) -> [u32; 4] {
    let mut four = [0; 4];
    for (slot, number) in four.iter_mut().zip(numbers(text)) {
        *slot = number;
    }
    four
}

pub(super) fn hexadecimal(text: &[u8]) -> u64 {
    std::str::from_utf8(text).ok().and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let line = b"77 (a) R (b) S 12 34 34 0 -1 4194368 1 2 3 4 50 60 0 0 20 0 11 0 98765 1 2";
        let stat = Stat::parse(line).unwrap();
        let expected = Stat {
            state: b'S',
            parent: 12,
            group: 34,
            is_fork: true,
            cpu_ticks: 110,
            threads: 11,
            started_ticks: 98765,
        };
        assert_eq!(stat, expected);
        assert_eq!((Stat::state_of(line), Stat::running(line)), (Some(b'S'), None));
    }

    #[test]
    fn the_cpu_is_told_by_the_line_of_a_thread() {
        let line = b"77 (a) R 12 34 34 0 -1 4194368 1 2 3 4 50 60 0 0 20 0 11 0 98765 23 24 25 26 27 28 29 30 31 32 33 34 35 \
            36 37 38 5 40 41";
        assert_eq!(Stat::running(line), Some(Running { cpu: 5, threads: 11 }));
    }

    #[test]
    fn a_status_is_read_field_by_field() {
        let status = Status::parse(
            b"Name:\tnode\nState:\tt (tracing stop)\nTgid:\t5\nPPid:\t1\nTracerPid:\t9\nUid:\t1\t2\t3\t4\n\
              NSpid:\t5\t1\nCapEff:\t0000000000080000\nSeccomp:\t2\nThreads:\t7\n",
        );
        assert_eq!((status.name.as_str(), status.state, status.tgid), ("node", b't', 5));
        assert_eq!((status.tracer, status.uid, status.ns_pids), (9, [1, 2, 3, 4], vec![5, 1]));
        assert_eq!((status.cap_effective, status.seccomp, status.threads), (1 << 19, 2, 7));
    }

    proptest! {
        #[test]
        fn no_text_can_break_the_readers(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (Status::parse(&text), Stat::parse(&text), Stat::state_of(&text), Stat::running(&text));
        }
    }
}
