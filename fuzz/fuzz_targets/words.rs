//! Releases, ranges, freeze windows and apt sources from any text.
#![no_main]
use libfuzzer_sys::fuzz_target;
use quorate_model::{Range, Release};

fuzz_target!(|text: &str| {
    if let Ok(release) = text.parse::<Release>() {
        assert_eq!(release.to_string().parse::<Release>().as_ref(), Ok(&release));
        if let Ok(range) = text.parse::<Range>() {
            let _ = range.contains(&release);
        }
    }
    let _ = quorate_inventory::freeze::Window::parse(text);
    let _ = quorate_hosts::artifacts::debian::sources::read_deb822(text);
    let _ = quorate_hosts::artifacts::debian::sources::read_one_line(text);
});
