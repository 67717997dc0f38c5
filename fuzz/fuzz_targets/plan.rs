//! Any text as a plan file: what can be read can be proved or refused.
#![no_main]
use libfuzzer_sys::fuzz_target;
use quorate_model::Plan;

fuzz_target!(|text: &str| {
    if let Ok(plan) = serde_json::from_str::<Plan>(text) {
        let _ = quorate_checker::check(&plan);
    }
});
