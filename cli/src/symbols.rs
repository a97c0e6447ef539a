//! Names of native code, looked up once at the end of a run.

use crate::target::Objects;
use flame_core::elf::Elf;
use flame_core::maps::{FilePlace, Maps, ModuleId};
use flame_core::profile::Kind;
use flame_core::sample::resolve::Symbols;
use flame_core::symbols::{Lookup, Style, debug_file, demangle, kind_of, stubs};
use flame_sys::process::{Process, Root};
use std::cell::RefCell;
use std::collections::HashMap;

/// Where separate debug files are looked for: the target's own root, then the host's, which may have
/// them installed for a container's files.
pub struct DebugFiles {
    roots: Vec<Root>,
    /// What was found for each object: a file that is mapped stays so.
    found: RefCell<Vec<(ModuleId, Option<Elf<'static>>)>>,
}

impl DebugFiles {
    /// For a process that lives: its root is held open, for the names are looked up when it may be gone.
    pub fn of(process: &Process) -> DebugFiles {
        let roots = [Root::of(process), Root::own()].into_iter().flatten().collect();
        DebugFiles { roots, found: RefCell::default() }
    }

    /// The file with the symbols that were stripped off the object of a module, looked for once.
    fn of_module(&self, module: ModuleId, elf: &Elf<'_>, path: &[u8]) -> Option<Elf<'static>> {
        let mut found = self.found.borrow_mut();
        if let Some((_, known)) = found.iter().find(|known| known.0 == module) {
            return *known;
        }
        let debug = self.find(elf, path);
        found.push((module, debug));
        debug
    }

    /// The same, looked for. The target sees the object's path as `path`.
    fn find(&self, elf: &Elf<'_>, path: &[u8]) -> Option<Elf<'static>> {
        let candidates = debug_file::candidates(elf, path);
        let files = self.roots.iter().flat_map(|root| candidates.iter().map(|path| root.map(path)));
        let mut elves = files.flatten().filter_map(|(bytes, _)| Elf::parse(bytes).ok());
        elves.find(|debug| debug_file::belongs_to(debug, elf))
    }
}

/// The symbols of all places that were met.
pub struct Names {
    maps: Maps,
    /// The mangled name of each place that has one, and what is written behind it.
    found: HashMap<FilePlace, (&'static [u8], &'static str)>,
}

impl Names {
    /// Looks them up in one pass over each object's symbols, and over those of its debug file where it
    /// was stripped of them.
    pub fn of(
        places: impl Iterator<Item = FilePlace>,
        maps: Maps,
        objects: &Objects,
        debug_files: &DebugFiles,
    ) -> Names {
        let mut by_address: Vec<(FilePlace, u64)> = places
            .filter_map(|place| {
                let elf = objects.get(usize::from(place.module.0)).copied().flatten()?;
                Some((place, elf.vaddr_of(place.offset)?))
            })
            .collect();
        by_address.sort_unstable_by_key(|(place, address)| (place.module, *address));
        let mut found = HashMap::with_capacity(by_address.len());
        for of_module in by_address.chunk_by(|a, b| a.0.module == b.0.module) {
            let Some(module) = of_module.first().map(|(place, _)| place.module) else { continue };
            let Some(elf) = objects.get(usize::from(module.0)).copied().flatten() else { continue };
            let addresses: Vec<u64> = of_module.iter().map(|(_, address)| *address).collect();
            let mut lookup = Lookup::new(&addresses);
            lookup.pass(&elf);
            if elf.symtab_symbols().is_empty()
                && let Some(debug) = debug_files.of_module(module, &elf, maps.path(module))
            {
                lookup.pass_debug_file(&debug);
            }
            let names = of_module.iter().zip(lookup.finish());
            found.extend(names.filter_map(|((place, address), symbol)| {
                let named = match symbol {
                    Some(symbol) => (symbol.name, ""),
                    None => (stubs::callee(&elf, *address)?, "@plt"),
                };
                Some((*place, named))
            }));
        }
        Names { maps, found }
    }
}

impl Symbols for Names {
    fn name(&mut self, place: FilePlace, into: &mut String) -> Kind {
        if let Some((name, end)) = self.found.get(&place) {
            demangle(name, Style::NoArguments, into);
            into.push_str(end);
        }
        kind_of(into, self.maps.path(place.module))
    }

    fn path(&mut self, place: FilePlace, into: &mut String) {
        into.push_str(&String::from_utf8_lossy(self.maps.path(place.module)));
    }
}
