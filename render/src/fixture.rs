//! Small profiles made by hand, for tests.

use flame_core::profile::{
    Activity, Frame, Kind, Meta, Profile, Receipt, Recorder, Sources, Strings, Text, Thread, ThreadId,
};
use std::collections::HashMap;

/// What a frame is known by.
type Key = (Kind, Text, Text, u32, u32, u64);

/// Collects stacks and makes a profile of them.
pub struct Build {
    strings: Strings,
    frames: Vec<Frame>,
    numbers: HashMap<Key, u32>,
    recorder: Recorder<u32>,
    sources: Sources,
    /// What was profiled.
    pub meta: Meta,
    /// How it went.
    pub receipt: Receipt,
    /// Time of the next sample in microseconds since the start; each one moves it by 10 ms.
    pub now: u64,
}

impl Default for Build {
    fn default() -> Self {
        // More than a run has: pages of many files' call paths are as large.
        let mut recorder = Recorder::with_room(0, 1 << 18, 1 << 18, 1 << 17);
        recorder.thread(Thread { tid: 100, name: "main".into() });
        Build {
            strings: Strings::new(1 << 16, 1 << 21),
            frames: vec![Frame::ELIDED],
            numbers: HashMap::new(),
            recorder,
            sources: Sources::default(),
            meta: Meta { pid: 100, command: "node app.js".into(), rate_hz: 100, ..Meta::default() },
            receipt: Receipt::default(),
            now: 0,
        }
    }
}

impl Build {
    /// A further thread.
    pub fn thread(&mut self, tid: u32, name: &str) -> ThreadId {
        self.recorder.thread(Thread { tid, name: name.into() })
    }

    /// A frame at line 1.
    pub fn frame(&mut self, kind: Kind, name: &str, file: &str) -> Frame {
        let line = u32::from(kind.is_javascript());
        Frame { name: self.text(name), file: self.text(file), line, ..Frame::new(kind) }
    }

    /// A script's text, whose first line is the one after `line_offset` of its file.
    pub fn source(&mut self, file: &str, line_offset: i32, text: &str) {
        if !self.sources.are_wanted() {
            self.sources = Sources::with_room();
        }
        let place = (self.text(file), line_offset);
        let script = self.sources.iter().count() as u32;
        let units: Vec<u16> = text.encode_utf16().collect();
        let one_byte = units.iter().all(|unit| *unit < 256);
        let bytes: Vec<u8> = if one_byte {
            units.iter().map(|unit| *unit as u8).collect()
        } else {
            units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
        };
        let added = self.sources.add(script, place, |filling| {
            let piece = filling.piece(units.len() as u32, one_byte, |into| {
                into.copy_from_slice(&bytes);
                Ok::<(), ()>(())
            });
            piece.unwrap_or(Ok(()))
        });
        assert_eq!(added, Ok(()));
    }

    fn text(&mut self, text: &str) -> Text {
        self.strings.intern(text).unwrap_or(Text::EMPTY)
    }

    /// One sample of the first thread in JavaScript, root first, 10 ms after the one before.
    pub fn stack(&mut self, stack: &[Frame]) {
        self.stack_in(Activity::JavaScript, stack);
    }

    /// One sample of the first thread.
    pub fn stack_in(&mut self, activity: Activity, stack: &[Frame]) {
        self.stack_of(ThreadId(0), activity, stack);
    }

    /// One sample.
    pub fn stack_of(&mut self, thread: ThreadId, activity: Activity, stack: &[Frame]) {
        let frames = &mut self.frames;
        let numbers: Vec<u32> = stack
            .iter()
            .map(|frame| {
                let key = (frame.kind, frame.name, frame.file, frame.line, frame.executing, frame.offset);
                *self.numbers.entry(key).or_insert_with(|| {
                    frames.push(*frame);
                    frames.len() as u32 - 1
                })
            })
            .collect();
        self.recorder.record(self.now, thread, activity, numbers);
        self.now += 10_000;
    }

    /// The profile.
    pub fn finish(self) -> Profile {
        let frames = self.frames;
        let mut profile =
            self.recorder.finish(self.strings, self.meta, self.receipt, |raw, _| frames[raw as usize]);
        profile.sources = self.sources;
        profile
    }
}
