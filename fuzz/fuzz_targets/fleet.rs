//! Any text as a fleet file: a fleet, or errors that point into the text.
#![no_main]
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    let packs = quorate_packs::Packs::builtin();
    if let Err(found) = quorate_inventory::read_fleet("fleet.yaml", text, Path::new("/"), packs) {
        assert!(!found.is_empty(), "refused without a reason");
    }
});
