//! Any text as a pack: loaded, or refused with reasons; never a panic.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let files = [("packs/any/pack.yaml".to_owned(), text.to_owned())];
    if let Err(found) = quorate_packs::Packs::load(&files) {
        assert!(!found.is_empty(), "refused without a reason");
    }
});
