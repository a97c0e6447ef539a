//! The end of a run: from raw frames to what people see.

use super::functions::{Function, Functions};
use super::lines::Lines;
use super::raw::{FunctionId, Position, RawFrame, ScriptId};
use super::roles::ThreadRole;
use super::sampler::Sampler;
use super::wasm::WasmTable;
use crate::maps::FilePlace;
use crate::profile::{Frame, Kind, Meta, NO_INDEX, Profile, Receipt, Strings, Text, Thread};
use crate::v8::builtins::{Builtins, Role};
use crate::v8::layout::FrameType;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// Names of native code, as an implementor outside finds them.
pub trait Symbols {
    /// The name of the function at a place in an object file, appended to `into`, and what kind of
    /// code it is. Nothing appended: it has no name.
    fn name(&mut self, place: FilePlace, into: &mut String) -> Kind;

    /// The object file's path as the target sees it.
    fn path(&mut self, place: FilePlace, into: &mut String);
}

/// A place in a script as people count: from 1; 0 is unknown.
#[derive(Clone, Copy, Default)]
pub(super) struct LineColumn {
    line: u32,
    column: u32,
}

impl Sampler<'_> {
    /// All distinct places in object files, for a look-up of all of them at once.
    pub fn native_places(&self) -> impl Iterator<Item = FilePlace> + '_ {
        self.recorder.raw_frames().iter().filter_map(|frame| match frame {
            RawFrame::Native(place) => Some(*place),
            _ => None,
        })
    }

    /// Ends the run.
    pub fn finish(mut self, meta: Meta, mut receipt: Receipt, symbols: &mut dyn Symbols) -> Profile {
        self.remark(&mut receipt);
        self.name_threads(symbols);
        let roles = core::mem::take(&mut self.roles);
        let threads = self.recorder.threads_mut().to_vec();
        let lines = line_columns(&self.functions, &self.lines, self.recorder.raw_frames());
        let strings = core::mem::take(&mut self.functions.strings);
        let sources = core::mem::take(&mut self.sources);
        let mut resolver = Resolver {
            functions: &self.functions,
            builtins: &self.image.builtins,
            wasm: &self.wasm,
            lines: &lines,
            threads: &threads,
            buffer: String::new(),
        };
        let mut profile = self
            .recorder
            .finish(strings, meta, receipt, |raw, strings| resolver.frame(raw, strings, symbols));
        profile.sources = sources;
        profile.classify_helpers(|id| roles.get(usize::from(id.0)) == Some(&ThreadRole::Helper));
        profile
    }

    /// Says what was not as it should be.
    fn remark(&self, receipt: &mut Receipt) {
        use alloc::format;
        let mut remark = |count: u64, words: &str| {
            if count > 0 {
                receipt.remarks.push(format!("{count} {words}"));
            }
        };
        remark(self.truncated, "stacks could not be followed to their thread's start");
        remark(self.losses.functions, "JavaScript frames whose function could not be read");
        remark(
            self.losses.stale,
            "JavaScript frames in whose function's place something else stood afterwards",
        );
        remark(self.losses.leaves, "leaves caught between frames whose function could not be told");
        remark(self.losses.codes, "compiled frames whose code object was not found");
        remark(self.losses.mismatches, "optimized frames whose code says another function");
        let (flushes, missing) = self.codes.losses();
        remark(flushes, "times the table of code objects was full and begun anew");
        remark(missing, "look-ups in V8's code that found no code object");
        remark(self.image.builtins.refused().into(), "builtins found their table full");
        let is_outside = |frame: &&RawFrame| matches!(frame, RawFrame::JavaScript { function, position, .. } if self.functions.within(*function, *position) != *position);
        let outside = self.recorder.raw_frames().iter().filter(is_outside).count();
        remark(self.places.unread() + outside as u64, "places in code without a source position");
        let is_uncollected = |frame: &&RawFrame| matches!(frame, RawFrame::JavaScript { position, .. } if *position == Position::UNCOLLECTED);
        let uncollected = self.recorder.raw_frames().iter().filter(is_uncollected).count();
        remark(
            uncollected as u64,
            "frames at their function's first line: V8 has not collected its positions",
        );
        let refused = self.lines.refused();
        let scripts = (0..).map(ScriptId).take_while(|id| self.functions.script(*id).is_some());
        let without =
            scripts.filter(|id| !self.lines.has(*id) && !self.functions.is_wasm(*id)).count() as u64;
        remark(refused, "scripts whose lines found no room");
        remark(without.saturating_sub(refused), "scripts whose source could not be read");
        remark(self.sources.refused(), "scripts whose text found no room");
        let (functions, scripts) = self.functions.refused();
        remark(functions + scripts, "functions or scripts found their table full");
        remark(self.wasm.refused(), "WebAssembly frames found the table of functions full");
        remark(self.wasm.unseen(), "WebAssembly frames were not looked up, since too much of a stop was new");
        remark(self.functions.strings.refused(), "names found their table full");
        remark(self.functions.strings.cut(), "names were cut to 1024 bytes");
        remark(self.recorder.cut(), "stacks were cut because the call tree is full");
        if self.image.layout.is_guess() {
            let version = self.image.layout.version;
            receipt.remarks.push(format!(
                "V8 {version} was not measured: read by its symbols and what holds for older ones"
            ));
        }
    }
}

/// What raw frames are resolved by.
pub(super) struct Resolver<'r, 'a> {
    pub functions: &'r Functions,
    pub builtins: &'r Builtins<'a>,
    pub wasm: &'r WasmTable,
    pub lines: &'r Places,
    pub threads: &'r [Thread],
    pub buffer: String,
}

impl Resolver<'_, '_> {
    fn of_function(&self, id: FunctionId) -> (Text, Option<ScriptId>, Position) {
        let function = self.functions.function(id);
        let script = function.and_then(Function::script);
        let start = function.map_or(Position::NONE, |function| function.start);
        let name = function.map_or(Text::EMPTY, |function| function.name);
        (name, script, start)
    }

    /// Inlined, or without a frame of its own, a builtin is met as any other function.
    fn is_builtin(&self, id: FunctionId) -> bool {
        self.functions.function(id).is_some_and(Function::is_builtin)
    }

    /// What people see of a raw frame.
    #[inline(never)]
    pub fn frame(&mut self, raw: RawFrame, strings: &mut Strings, symbols: &mut dyn Symbols) -> Frame {
        match raw {
            RawFrame::JavaScript { function, .. } if self.is_builtin(function) => {
                Frame { name: self.of_function(function).0, ..Frame::new(Kind::Builtin) }
            }
            RawFrame::JavaScript { function, position, kind } => {
                let position = self.functions.within(function, position);
                let (name, script, start) = self.of_function(function);
                let info = script.and_then(|script| self.functions.script(script));
                let first = place_of(self.lines, script, start);
                let at = place_of(self.lines, script, position);
                Frame {
                    kind,
                    name,
                    file: info.map_or(Text::EMPTY, |info| info.name),
                    line: first.line,
                    column: first.column,
                    executing: if position.offset().is_some() { at.line } else { first.line },
                    offset: info.map_or(0, |info| u64::from(info.id.cast_unsigned())),
                }
            }
            RawFrame::Builtin(id) => {
                let builtin = self.builtins.get(id);
                let is_glue = builtin.is_some_and(|builtin| builtin.role != Role::Work);
                let name = builtin.map_or("", |builtin| builtin.name);
                let kind = if is_glue { Kind::Glue } else { Kind::Builtin };
                Frame { name: strings.intern(name).unwrap_or(Text::EMPTY), ..Frame::new(kind) }
            }
            RawFrame::BuiltinFunction(id) => {
                Frame { name: self.of_function(id).0, ..Frame::new(Kind::Builtin) }
            }
            RawFrame::UnnamedBuiltin => Frame::new(Kind::Builtin),
            RawFrame::RegExp => Frame::new(Kind::RegExp),
            RawFrame::Wasm(id) => match id.and_then(|id| self.wasm.get(id)) {
                Some(function) => {
                    Frame { name: function.name, offset: function.index.into(), ..Frame::new(Kind::Wasm) }
                }
                None => Frame { offset: NO_INDEX, ..Frame::new(Kind::Wasm) },
            },
            RawFrame::Native(place) => {
                self.buffer.clear();
                let kind = symbols.name(place, &mut self.buffer);
                let name = strings.intern(&self.buffer).unwrap_or(Text::EMPTY);
                self.buffer.clear();
                symbols.path(place, &mut self.buffer);
                let file = strings.intern(&self.buffer).unwrap_or(Text::EMPTY);
                Frame { name, file, offset: place.offset, ..Frame::new(kind) }
            }
            RawFrame::Nowhere(pc) => Frame { offset: pc, ..Frame::new(Kind::Native) },
            RawFrame::Glue(frame_type) => {
                let name = strings.intern(glue_name(frame_type)).unwrap_or(Text::EMPTY);
                Frame { name, ..Frame::new(Kind::Glue) }
            }
            RawFrame::Unread => {
                let file = strings.intern("[unknown]").unwrap_or(Text::EMPTY);
                Frame { file, ..Frame::new(Kind::JavaScript) }
            }
            RawFrame::Elided => Frame::ELIDED,
            RawFrame::Thread(id) => {
                let thread = self.threads.get(usize::from(id.0));
                let name = thread.and_then(|thread| strings.intern(&thread.name).ok());
                let offset = thread.map_or(0, |thread| thread.tid.into());
                Frame { name: name.unwrap_or(Text::EMPTY), offset, ..Frame::new(Kind::Thread) }
            }
        }
    }
}

fn glue_name(frame_type: FrameType) -> &'static str {
    match frame_type {
        FrameType::Entry => "EntryFrame",
        FrameType::Exit => "ExitFrame",
        FrameType::BuiltinExit => "BuiltinExitFrame",
        FrameType::ApiExit => "ApiExitFrame",
        FrameType::Construct => "ConstructFrame",
        FrameType::ArgumentsAdaptor => "ArgumentsAdaptorFrame",
        FrameType::Internal => "InternalFrame",
        FrameType::Stub => "StubFrame",
        FrameType::Builtin => "BuiltinFrame",
        FrameType::Wasm => "WasmFrame",
        FrameType::WasmGlue => "WasmGlueFrame",
        FrameType::RegExp => "RegExpFrame",
        FrameType::JavaScript => "JavaScriptFrame",
        FrameType::Unknown => "UnknownFrame",
    }
}

pub(super) type Places = BTreeMap<(ScriptId, u32), LineColumn>;

fn place_of(lines: &Places, script: Option<ScriptId>, position: Position) -> LineColumn {
    let key = script.zip(position.offset());
    key.and_then(|key| lines.get(&key)).copied().unwrap_or_default()
}

/// Line and column of every position that a frame has, in one pass over each script's lines.
pub(super) fn line_columns(functions: &Functions, lines: &Lines, frames: &[RawFrame]) -> Places {
    let mut wanted: Vec<(ScriptId, u32)> = Vec::new();
    for frame in frames {
        if let RawFrame::JavaScript { function, position, .. } = frame
            && let Some(known) = functions.function(*function)
            && let Some(script) = known.script()
        {
            let position = functions.within(*function, *position);
            let offsets = [known.start, position].into_iter().filter_map(Position::offset);
            wanted.extend(offsets.map(|offset| (script, offset)));
        }
    }
    wanted.sort_unstable();
    wanted.dedup();
    let mut places = Places::new();
    for of_script in wanted.chunk_by(|a, b| a.0 == b.0) {
        let id = of_script[0].0;
        let (Some(info), Some(ends)) = (functions.script(id), lines.ends(id)) else { continue };
        let mut ends = ends.peekable();
        // Number of line ends before the position, and where its line starts.
        let (mut before, mut start) = (0u32, 0u32);
        for (_, offset) in of_script {
            while let Some(end) = ends.next_if(|end| end < offset) {
                before += 1;
                start = end.saturating_add(1);
            }
            // V8 7.x counts the body of `new Function` from line 1, so its head lies before that.
            let line = (i64::from(before) + 1 + i64::from(info.line_offset)).max(1);
            let first_column = if before == 0 { i64::from(info.column_offset) } else { 0 };
            let column = i64::from(offset - start.min(*offset)) + 1 + first_column;
            places.insert(
                (id, *offset),
                LineColumn {
                    line: u32::try_from(line).unwrap_or(0),
                    column: u32::try_from(column).unwrap_or(0),
                },
            );
        }
    }
    places
}
