//! Names as their authors wrote them: C++ (Itanium ABI) and Rust (legacy and v0).

use alloc::format;
use alloc::string::String;
use core::fmt::{self, Write as _};

use cpp_demangle::{DemangleNodeType, DemangleOptions, DemangleWrite, ParseOptions, Symbol};

use crate::limits;

/// How much of a C++ function's name is shown. Rust's names have no arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With the types of its parameters: `v8::Object::Get(v8::Local<v8::Value>)`.
    Full,
    /// Without: `v8::Object::Get`.
    NoArguments,
}

/// Appends a symbol's name in readable form, at most [`limits::NAME_BYTES`] bytes. A name that is
/// not mangled, or in a way that is not known, is appended as it is.
///
/// Return types are left out: they say nothing about where time goes and come before the name. A
/// name that is too long loses template arguments, the inner ones first (`Reducer<…>::Visit`): some
/// of V8's compiler have 10,000 bytes of them. If that is not enough it is cut, with an ellipsis.
pub fn demangle(symbol: &[u8], style: Style, out: &mut String) {
    let start = out.len();
    if let Ok(name) = core::str::from_utf8(symbol)
        && name.len() <= limits::MANGLED_BYTES
    {
        match Mangled::parse(name) {
            Some(Mangled::Rust(name)) => return write_rust(&name, out),
            Some(Mangled::Cpp(prefix, name)) => {
                if write_cpp(prefix, &name, style, out).is_ok() {
                    return;
                }
                out.truncate(start);
            }
            None => {}
        }
    }
    let mut writer = Bounded::new(out);
    for chunk in symbol.utf8_chunks() {
        let replacement = if chunk.invalid().is_empty() { "" } else { "\u{fffd}" };
        if writer.write_str(chunk.valid()).and_then(|()| writer.write_str(replacement)).is_err() {
            out.push('…');
            return;
        }
    }
}

/// A name of one of the languages.
enum Mangled<'n> {
    Rust(rustc_demangle::Demangle<'n>),
    /// What to write before the name, and the name.
    Cpp(&'static str, Symbol<String>),
}

impl<'n> Mangled<'n> {
    fn parse(name: &'n str) -> Option<Mangled<'n>> {
        if !name.starts_with("_R") && !name.starts_with("_Z") && !name.starts_with("_GLOBAL_") {
            return None;
        }
        if let Ok(rust) = rustc_demangle::try_demangle(name) {
            return Some(Mangled::Rust(rust));
        }
        let (prefix, name) = match thunk_target(name) {
            Some((prefix, target)) => (prefix, format!("_Z{target}")),
            None => ("", name.into()),
        };
        let options = ParseOptions::default().recursion_limit(limits::DEMANGLE_DEPTH);
        Symbol::new_with_options(name, &options).ok().map(|symbol| Mangled::Cpp(prefix, symbol))
    }
}

/// For a thunk, which corrects `this` and jumps to a virtual function: how c++filt calls it, and the
/// function's mangled name without its `_Z`.
fn thunk_target(name: &str) -> Option<(&'static str, &str)> {
    fn offset(text: &str) -> Option<&str> {
        let text = text.strip_prefix('n').unwrap_or(text);
        let rest = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
        rest.strip_prefix('_').filter(|_| rest.len() < text.len())
    }
    if let Some(rest) = name.strip_prefix("_ZTh") {
        return Some(("non-virtual thunk to ", offset(rest)?));
    }
    Some(("virtual thunk to ", offset(offset(name.strip_prefix("_ZTv")?)?)?))
}

fn write_rust(name: &rustc_demangle::Demangle<'_>, out: &mut String) {
    let mut writer = Bounded::new(out);
    // The alternate form leaves out the hash.
    if write!(writer, "{name:#}").is_err() {
        out.push('…');
    }
}

fn write_cpp(prefix: &str, symbol: &Symbol<String>, style: Style, out: &mut String) -> fmt::Result {
    let options = DemangleOptions::new()
        .no_return_type()
        .hide_expression_literal_types()
        .recursion_limit(limits::DEMANGLE_DEPTH);
    let options = match style {
        Style::Full => options,
        Style::NoArguments => options.no_params(),
    };
    let start = out.len();
    // Template arguments of all depths, of the outermost depth, none.
    for depth in [u32::MAX, 1, 0] {
        out.truncate(start);
        out.push_str(prefix);
        let mut sink = Sink::new(Bounded::new(out), depth);
        let result = symbol.structured_demangle(&mut sink, &options);
        if result.is_ok() {
            if style == Style::NoArguments {
                trim_qualifiers(out);
            }
            return Ok(());
        }
        if !sink.is_full() {
            return Err(fmt::Error);
        }
    }
    out.push('…');
    Ok(())
}

/// Takes the qualifiers of a member function from the end of a name whose arguments were left out.
fn trim_qualifiers(out: &mut String) {
    while let Some(rest) =
        [" const", " volatile", " &", " &&"].iter().find_map(|qualifier| out.strip_suffix(qualifier))
    {
        out.truncate(rest.len());
    }
}

/// Text that stops growing at a bound.
struct Bounded<'o> {
    out: &'o mut String,
    limit: usize,
    is_full: bool,
}

impl<'o> Bounded<'o> {
    fn new(out: &'o mut String) -> Self {
        Bounded { limit: out.len() + limits::NAME_BYTES, out, is_full: false }
    }

    fn trim_end(&mut self, end: &str) {
        let start = self.limit - limits::NAME_BYTES;
        if self.out.get(start..).is_some_and(|text| text.ends_with(end)) {
            self.out.truncate(self.out.len() - end.len());
        }
    }
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.limit.saturating_sub(self.out.len());
        let fits = text.floor_char_boundary(room);
        self.out.push_str(text.get(..fits).unwrap_or_default());
        if fits < text.len() {
            self.is_full = true;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// What the demangler writes to: leaves out template arguments deeper than `shown`.
struct Sink<'o> {
    text: Bounded<'o>,
    shown: u32,
    /// Lists of template arguments around what is being written.
    depth: u32,
    /// For each open node, at its depth's bit, whether it is such a list.
    open: alloc::vec::Vec<bool>,
    /// Writes left. What is left out costs time as well, and names can be made to grow without end.
    writes: u32,
}

impl<'o> Sink<'o> {
    fn new(text: Bounded<'o>, shown: u32) -> Self {
        Sink { text, shown, depth: 0, open: alloc::vec::Vec::new(), writes: limits::DEMANGLE_WRITES }
    }

    const fn is_full(&self) -> bool {
        self.text.is_full || self.writes == 0
    }
}

impl DemangleWrite for Sink<'_> {
    fn push_demangle_node(&mut self, node: DemangleNodeType) {
        let is_list = node == DemangleNodeType::TemplateArgs;
        self.open.push(is_list);
        if is_list {
            if self.depth == self.shown {
                // A full text is noticed by the next write.
                let _ = self.text.write_str("…");
            }
            self.depth += 1;
        }
    }

    fn pop_demangle_node(&mut self) {
        if self.open.pop() == Some(true) {
            self.depth = self.depth.saturating_sub(1);
        }
    }

    fn write_string(&mut self, text: &str) -> fmt::Result {
        self.writes = self.writes.saturating_sub(1);
        if self.writes == 0 {
            return Err(fmt::Error);
        }
        if self.depth > self.shown {
            return Ok(());
        }
        if text.starts_with(['>', ')']) {
            // Behind an empty pack of arguments the demangler leaves a comma.
            self.text.trim_end(", ");
        }
        self.text.write_str(text)
    }
}
