//! The functions and scripts met so far, each read once and recognised again by a few words.

use super::raw::{FunctionId, Position, ScriptId};
use crate::limits::{FUNCTION_CACHE, FUNCTIONS, SCRIPT_CACHE, SCRIPTS};
use crate::memory::Memory;
use crate::profile::pool::hash;
use crate::profile::{Pool, Strings, Text};
use crate::v8::function::SharedInfo;
use crate::v8::script::Script;
use crate::v8::{Decode, Heap};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// A function: what it is called, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// Its name; empty for an anonymous one.
    pub name: Text,
    /// Its script; `None` for a builtin.
    pub script: Option<ScriptId>,
    /// Where it starts.
    pub start: Position,
    /// It has no source: V8 wrote it.
    pub is_builtin: bool,
}

/// A script: two isolates may have the same one, with objects of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScriptInfo {
    /// Whole path, URL, `node:` name, `[eval]` or `[unknown]`.
    pub name: Text,
    /// V8's number for it.
    pub id: i32,
    /// Length of its source in characters.
    pub length: u32,
    /// Its first line's number in its file, from 0.
    pub line_offset: i32,
    /// Its first column's number in that line, from 0.
    pub column_offset: i32,
}

/// A SharedFunctionInfo that was read before: it is the same function while these words are.
#[derive(Clone, Copy)]
struct KnownShared {
    shared: u64,
    info: SharedInfo,
    function: FunctionId,
}

/// A Script that was read before.
#[derive(Clone, Copy)]
struct KnownScript {
    tagged: u64,
    script: Script,
    id: ScriptId,
}

/// A script whose lines are still to be read, from this object.
#[derive(Clone, Copy, Debug)]
pub struct Unread {
    /// Its number.
    pub id: ScriptId,
    /// Its object, as it stood when it was met.
    pub script: Script,
}

/// Functions and scripts, their names, and caches by their objects' addresses.
pub struct Functions {
    /// Names and paths.
    pub strings: Strings,
    functions: Pool<Function>,
    scripts: Pool<ScriptInfo>,
    shared_cache: Vec<Option<KnownShared>>,
    script_cache: Vec<Option<KnownScript>>,
    unread: Vec<Unread>,
    buffer: String,
}

/// Scripts whose lines wait to be read; beyond that they are met again.
const UNREAD: usize = 256;

impl Default for Functions {
    fn default() -> Self {
        Functions {
            strings: Strings::default(),
            functions: Pool::new(FUNCTIONS),
            scripts: Pool::new(SCRIPTS),
            shared_cache: vec![None; FUNCTION_CACHE],
            script_cache: vec![None; SCRIPT_CACHE],
            unread: Vec::with_capacity(UNREAD),
            buffer: String::with_capacity(8 * crate::limits::NAME_BYTES),
        }
    }
}

impl Functions {
    /// The function that a tagged SharedFunctionInfo describes.
    ///
    /// # Errors
    /// It is no SharedFunctionInfo, cannot be read, or the table of functions is full
    /// ([`Decode::Bound`]).
    pub fn of_shared<M: Memory>(&mut self, heap: &Heap<'_, M>, shared: u64) -> Result<FunctionId, Decode> {
        let info = heap.shared_info(shared)?;
        let slot = hash(&shared) as usize % FUNCTION_CACHE;
        if let Some(known) = &self.shared_cache[slot]
            && known.shared == shared
            && known.info.is_same_function(&info)
        {
            return Ok(known.function);
        }
        let function = self.read_function(heap, &info)?;
        self.shared_cache[slot] = Some(KnownShared { shared, info, function });
        Ok(function)
    }

    fn read_function<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        info: &SharedInfo,
    ) -> Result<FunctionId, Decode> {
        let script = heap.script(info.script)?;
        let script = script.map(|script| self.of_script(heap, info.script, script)).transpose()?;
        self.buffer.clear();
        let start = heap.function_name(info, &mut self.buffer)?;
        let function = Function {
            name: self.strings.intern(&self.buffer).unwrap_or(Text::EMPTY),
            start: Position::new(start.position.filter(|_| script.is_some())),
            is_builtin: script.is_none() && info.is_builtin(),
            script,
        };
        self.functions.intern(function).map(FunctionId).map_err(|_| Decode::Bound)
    }

    fn of_script<M: Memory>(
        &mut self,
        heap: &Heap<'_, M>,
        tagged: u64,
        script: Script,
    ) -> Result<ScriptId, Decode> {
        let slot = hash(&tagged) as usize % SCRIPT_CACHE;
        if let Some(known) = &self.script_cache[slot]
            && (known.tagged, known.script) == (tagged, script)
        {
            return Ok(known.id);
        }
        self.buffer.clear();
        heap.script_name(&script, &mut self.buffer)?;
        let info = ScriptInfo {
            name: self.strings.intern(&self.buffer).unwrap_or(Text::EMPTY),
            id: script.id,
            length: heap.string_length(script.source).unwrap_or(0),
            line_offset: script.line_offset,
            column_offset: script.column_offset,
        };
        let id = self.scripts.intern(info).map(ScriptId).map_err(|_| Decode::Bound)?;
        self.script_cache[slot] = Some(KnownScript { tagged, script, id });
        if self.unread.len() < UNREAD {
            self.unread.push(Unread { id, script });
        }
        Ok(id)
    }

    /// The next script whose lines are to be read.
    pub fn next_unread(&mut self) -> Option<Unread> {
        self.unread.pop()
    }

    /// A function by number.
    pub fn function(&self, id: FunctionId) -> Option<&Function> {
        self.functions.values().get(id.0 as usize)
    }

    /// A script by number.
    pub fn script(&self, id: ScriptId) -> Option<&ScriptInfo> {
        self.scripts.values().get(id.0 as usize)
    }

    /// Functions and scripts that found their tables full.
    pub fn refused(&self) -> (u64, u64) {
        (self.functions.refused(), self.scripts.refused())
    }
}
