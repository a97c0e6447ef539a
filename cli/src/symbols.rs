//! Names of native code, looked up once at the end of a run.

use crate::target::Objects;
use flame_core::maps::{FilePlace, Maps};
use flame_core::profile::Kind;
use flame_core::sample::resolve::Symbols;
use flame_core::symbols::{Lookup, Style, demangle, kind_of};
use std::collections::HashMap;

/// The symbols of all places that were met.
pub struct Names {
    maps: Maps,
    /// The mangled name of each place that has one.
    found: HashMap<FilePlace, &'static [u8]>,
}

impl Names {
    /// Looks them up in one pass over each object's symbols.
    pub fn of(places: impl Iterator<Item = FilePlace>, maps: Maps, objects: &Objects) -> Names {
        let mut by_address: Vec<(FilePlace, u64)> = places
            .filter_map(|place| {
                let elf = objects.get(usize::from(place.module.0)).copied().flatten()?;
                Some((place, elf.vaddr_of(place.offset)?))
            })
            .collect();
        by_address.sort_unstable_by_key(|(place, address)| (place.module, *address));
        let mut found = HashMap::with_capacity(by_address.len());
        for of_module in by_address.chunk_by(|a, b| a.0.module == b.0.module) {
            let module = of_module.first().map(|(place, _)| usize::from(place.module.0));
            let Some(elf) = module.and_then(|module| objects.get(module).copied().flatten()) else {
                continue;
            };
            let addresses: Vec<u64> = of_module.iter().map(|(_, address)| *address).collect();
            let mut lookup = Lookup::new(&addresses);
            lookup.pass(&elf);
            let names = of_module.iter().zip(lookup.finish());
            found.extend(names.filter_map(|((place, _), symbol)| Some((*place, symbol?.name))));
        }
        Names { maps, found }
    }
}

impl Symbols for Names {
    fn name(&mut self, place: FilePlace, into: &mut String) -> Kind {
        if let Some(name) = self.found.get(&place) {
            demangle(name, Style::NoArguments, into);
        }
        kind_of(into, self.maps.path(place.module))
    }

    fn path(&mut self, place: FilePlace, into: &mut String) {
        into.push_str(&String::from_utf8_lossy(self.maps.path(place.module)));
    }
}
