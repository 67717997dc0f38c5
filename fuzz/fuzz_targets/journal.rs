//! Any events after a beginning: replayed, or refused by name.
#![no_main]
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use quorate_model::{Plan, Recorded};
use std::sync::Arc;

fuzz_target!(|text: &str| {
    let Some((plan, journal)) = text.split_once(char::from(0)) else { return };
    let (Ok(plan), Ok(journal)) = (serde_json::from_str::<Plan>(plan), serde_json::from_str::<Vec<Recorded>>(journal)) else { return };
    if let Ok(mut engine) = quorate_engine::Engine::replay(Arc::new(plan), &journal, Timestamp::UNIX_EPOCH) {
        let _ = engine.poll_action(Timestamp::UNIX_EPOCH);
    }
});
