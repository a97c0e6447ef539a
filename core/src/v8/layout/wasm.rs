//! WebAssembly: the way from a frame to the code that it runs.

use crate::v8::version::Version;

/// Where one V8 keeps WebAssembly's code.
///
/// Frames hold the data of their instance, and that leads to a `NativeModule`: memory of C++, of which no
/// symbol tells the layout. So as little as possible stands here, and what is read must prove itself: a code
/// object names its module and lies where the module's table has it. Measured on official builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WasmLayout {
    /// Fields that lead from the instance's data to the `Managed` that holds the module; the last ones may be
    /// 0, which is no field.
    pub path: [u16; 3],
    /// In a `WasmCode`: bytes of its instructions.
    pub size: u16,
    /// In a `WasmCode`: index of its function, -1 for code that is of none.
    pub index: u16,
}

impl WasmLayout {
    pub(super) fn of(version: Version) -> Option<WasmLayout> {
        let (path, size, index) = match version.key() {
            (10, 2) => ([0xd0, 0x18, 0], 32, 48),
            (10, 8) => ([0xd8, 0x18, 0], 32, 48),
            (11, 3) => ([0xd0, 0x18, 0], 24, 44),
            (11, 8) => ([0xd8, 0x18, 0], 24, 44),
            (12, 4) => ([0xa0, 0x20, 0x18], 24, 44),
            (12, 9) => ([0x108, 0, 0], 24, 48),
            (13, 6) | (14, 1) => ([0x108, 0, 0], 32, 56),
            (14, 6) => ([0xd8, 0, 0], 32, 56),
            _ => return None,
        };
        Some(WasmLayout { path, size, index })
    }
}
