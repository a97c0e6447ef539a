//! Lies about a process: inputs for every reader of what a target can hold, made from any bytes.
//!
//! One function for each kind of input. A fuzzer (`core/fuzz`) finds the bytes by what they reach; the test
//! here draws them at random, some thousand in every run and as many as `FLAME_CASES` says. In either case:
//! no panic, an end after a bounded number of reads, no text beyond its limit. `found` holds inputs that are read in
//! every run: one for each hazard that has a name (strings and frames that lead to themselves, lengths of 4 GiB),
//! and each input that was once answered otherwise. How much memory they take is tested where an allocator can
//! count: `sys/tests/lies.rs`.

mod files;
mod process;
mod tables;
mod texts;

pub use files::{elf, unwinding};
pub use process::sampler;
pub use tables::tables;
pub use texts::{maps, names};

/// Every kind of input: what it is called, who reads it, how many of the bytes
/// it looks at, and how many such inputs are read for each hundred wanted.
pub const KINDS: [Kind; 6] = [
    Kind { name: "sampler", read: sampler, most: 160, share: 10 },
    Kind { name: "elf", read: elf, most: 160, share: 400 },
    Kind { name: "unwinding", read: unwinding, most: 400, share: 50 },
    Kind { name: "tables", read: tables, most: 600, share: 50 },
    Kind { name: "maps", read: maps, most: 400, share: 100 },
    Kind { name: "names", read: names, most: 300, share: 390 },
];

/// A kind of input.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Reads what the bytes stand for.
    pub read: fn(&[u8]),
    /// More bytes than these make no other input.
    pub most: usize,
    /// Inputs of each hundred wanted: few of those that take long.
    pub share: u64,
}

/// Choices, taken from bytes one after the other; zeros at their end.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn half(&mut self) -> u32 {
        u32::from_le_bytes([(); 4].map(|()| self.byte()))
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes([(); 8].map(|()| self.byte()))
    }

    /// A number below `end`, which is above 0.
    fn below(&mut self, end: usize) -> usize {
        self.half() as usize % end
    }

    /// A number that readers stumble over, or any.
    fn number(&mut self) -> u64 {
        match self.byte() % 12 {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => u64::MAX - u64::from(self.byte()),
            4 => 1 << 32,
            5 => (1 << 32) - 1,
            6 => i64::MIN as u64,
            7 => 1 << (self.byte() % 64),
            8 => u64::from(self.half()),
            9 => u64::from(self.half()) << 32,
            10 => u64::from(self.byte()),
            _ => self.word(),
        }
    }

    fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// splitmix64's last step: a number that looks like none before.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::vec::Vec;
    use std::time::{Duration, Instant};
    use std::{eprintln, fs, path::Path};

    /// Inputs without `FLAME_CASES`.
    const CASES: u64 = 3_000;

    /// Longest time that one input may take: some milliseconds of work.
    const LONGEST: Duration = Duration::from_secs(5);

    /// `FLAME_CASES=NUMBER`: ten times as many inputs in all; `FLAME_CASES=NUMBER:KIND`: of that kind alone.
    fn wanted() -> (u64, Option<std::string::String>) {
        let Ok(text) = std::env::var("FLAME_CASES") else { return (CASES, None) };
        let (number, kind) = text.split_once(':').map_or((text.as_str(), None), |(n, k)| (n, Some(k.into())));
        (number.parse().expect("FLAME_CASES is a number"), kind)
    }

    #[test]
    fn no_lie_of_a_target_breaks_its_reader() {
        let (cases, only) = wanted();
        let seed = std::env::var("FLAME_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64)
        });
        for (number, kind) in (0..).zip(KINDS) {
            if only.as_deref().is_some_and(|only| only != kind.name) {
                continue;
            }
            let (start, mut slowest, mut bytes) = (Instant::now(), Duration::ZERO, Vec::new());
            let cases = cases * kind.share / 100;
            for case in 0..cases {
                let mut state = mix(seed ^ number << 56).wrapping_add(case << 8);
                bytes.clear();
                bytes.resize(mix(state) as usize % (kind.most + 1), 0);
                for chunk in bytes.chunks_mut(8) {
                    state += 1;
                    chunk.copy_from_slice(&mix(state).to_le_bytes()[..chunk.len()]);
                }
                let told = Told { kind: kind.name, case, seed };
                slowest = slowest.max(time(kind, &bytes));
                std::mem::forget(told);
            }
            assert!(slowest < LONGEST, "{}: {slowest:?} for one input; FLAME_SEED={seed}", kind.name);
            eprintln!(
                "{}: {cases} inputs in {:.1} s, the slowest in {:.1} ms",
                kind.name,
                start.elapsed().as_secs_f64(),
                slowest.as_secs_f64() * 1e3
            );
        }
    }

    /// How long an input takes. One that took long is read again: others may have had the CPU.
    fn time(kind: Kind, bytes: &[u8]) -> Duration {
        let mut least = Duration::MAX;
        for _ in 0..5 {
            let begin = Instant::now();
            (kind.read)(bytes);
            least = least.min(begin.elapsed());
            if least < Duration::from_secs(1) {
                break;
            }
        }
        least
    }

    /// Says which input it was, if that ends in a panic.
    struct Told {
        kind: &'static str,
        case: u64,
        seed: u64,
    }

    impl Drop for Told {
        fn drop(&mut self) {
            eprintln!("input {} of {}, FLAME_SEED={}", self.case, self.kind, self.seed);
        }
    }

    #[test]
    fn every_hazard_with_a_name_and_every_input_that_once_broke_a_reader_is_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lies/found");
        let mut counts = KINDS.map(|_| 0);
        for entry in fs::read_dir(folder).expect("the folder of inputs") {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap();
            let kind = KINDS.iter().position(|kind| name.starts_with(kind.name)).expect("KIND-WHAT");
            let took = time(KINDS[kind], &fs::read(&path).unwrap());
            assert!(took < LONGEST, "{name}: {took:?}");
            counts[kind] += 1;
        }
        let told: Vec<_> = KINDS.iter().zip(counts).map(|(kind, count)| (kind.name, count)).collect();
        eprintln!("inputs that are kept: {told:?}");
        assert!(counts.iter().all(|count| *count > 0), "{told:?}");
    }
}
