//! Keeps the documentation true: error pages, links, examples, command lines and the generated reference.
//!
//! `QUORATE_BLESS=1` (or `cargo xtask bless`) writes what is generated. Read `pages.rs` for what counts as documentation.

mod examples;
mod pages;
mod reference;

use pages::{Page, pages, root};
use quorate_model::Policy;
use quorate_runner::problem::CODES;
use std::{collections::BTreeSet, fs};

#[test]
fn every_error_code_has_a_page_and_every_page_a_code() {
    let folder = root().join("docs/errors");
    let written: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    let known: BTreeSet<String> = CODES.iter().map(|code| code.id.to_owned()).collect();
    assert_eq!(
        written, known,
        "pages in docs/errors (left) and codes in the program (right) differ"
    );
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    for code in CODES {
        let text = fs::read_to_string(folder.join(format!("{}.md", code.id))).unwrap();
        let head = format!("# {}: {}", code.id, code.title);
        assert_eq!(text.lines().next(), Some(head.as_str()), "the head of the page of {}", code.id);
        for part in ["## What happened", "## What was left as it was", "## What to do"] {
            assert!(
                text.lines().any(|line| line == part),
                "the page of {} lacks `{part}`",
                code.id
            );
        }
        let row = format!("| [{id}]({id}.md) | {title} |", id = code.id, title = code.title);
        assert!(index.contains(&row), "the index lacks the row `{row}`");
    }
}

#[test]
fn the_command_line_reference_is_the_generated_one() {
    let file = root().join("docs/operators/cli.md");
    let generated = reference::markdown(&quorate_cli::command_line());
    if std::env::var_os("QUORATE_BLESS").is_some() {
        fs::write(&file, &generated).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap();
    assert!(
        committed == generated,
        "docs/operators/cli.md is out of date: run `cargo xtask bless`"
    );
}

#[test]
fn links_between_pages_resolve() {
    let all = pages();
    let faults: Vec<String> = all.iter().flat_map(|page| page.broken_links(&all)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_page_of_the_documentation_is_linked_from_another() {
    let all = pages();
    let entry = root().join("README.md");
    let linked: BTreeSet<_> = all.iter().flat_map(Page::targets).collect();
    let lonely: Vec<_> = all
        .iter()
        .map(|page| &page.path)
        .filter(|path| **path != entry && !linked.contains(*path))
        .collect();
    assert!(lonely.is_empty(), "no page links to {lonely:?}");
}

#[test]
fn every_command_line_in_the_documentation_parses() {
    let mut count = 0;
    let mut faults = Vec::new();
    for page in pages() {
        for (line, words) in examples::commands(&page) {
            count += 1;
            if let Err(error) = quorate_cli::parse(&words) {
                let because = error.to_string();
                faults.push(format!(
                    "{}:{line}: {}: {because}",
                    page.path.display(),
                    words.join(" ")
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(
        count > 50,
        "only {count} command lines were found: is the documentation still where it was?"
    );
}

#[test]
fn a_command_line_that_is_wrong_does_not_parse() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert!(quorate_cli::parse(&words("quorate plan main --to 3.5.16")).is_ok());
    assert!(quorate_cli::parse(&words("quorate plan main --too 3.5.16")).is_err());
}

/// `path` reads nothing but the packs, so what a page shows of it is what the program says.
#[test]
fn what_pages_show_of_paths_is_what_the_program_says() {
    let mut count = 0;
    for page in pages() {
        for (line, words, shown) in examples::shown(&page, "path") {
            let said = std::process::Command::new(env!("CARGO_BIN_EXE_quorate"))
                .args(&words[1..])
                .output()
                .unwrap();
            let said = String::from_utf8(said.stdout).unwrap();
            let mut rest = said.lines();
            // A page may leave lines, or the end of one, out, with `…` in their place; the order stays.
            for one in shown.iter().filter(|one| one.trim() != "…") {
                let begins = one.strip_suffix('…');
                assert!(
                    rest.any(|own| own == one || begins.is_some_and(|head| own.starts_with(head))),
                    "{}:{line}: `{one}` is not said, or not there:\n{said}",
                    page.path.display()
                );
            }
            count += usize::from(!shown.is_empty());
        }
    }
    assert!(count > 0, "no page shows a path");
}

#[test]
fn every_fleet_file_in_the_documentation_is_accepted() {
    let mut found: Vec<(String, String)> = pages().iter().flat_map(examples::fleets).collect();
    assert!(found.len() >= 3, "only {} fleet files were found", found.len());
    let starter = root().join("crates/cli/src/commands/starter.yaml");
    found.push(("starter.yaml".into(), fs::read_to_string(starter).unwrap()));
    for (place, text) in found {
        let read = quorate_inventory::read_fleet(
            &place,
            &text,
            std::path::Path::new("/srv/fleet"),
            quorate_packs::Packs::builtin(),
        );
        if let Err(wrong) = read {
            panic!("{}", quorate_syntax::render(&wrong, &text));
        }
    }
}

#[test]
fn the_policy_page_tells_every_key_and_its_default() {
    let page = fs::read_to_string(root().join("docs/operators/policy.md")).unwrap();
    let defaults = serde_json::to_value(Policy::default()).unwrap();
    for (key, value) in defaults.as_object().unwrap() {
        // A duration of whole seconds is written without a fraction.
        let value = match value.as_f64() {
            Some(number) if number.fract() == 0.0 => format!("{number:.0}"),
            _ => value.to_string().replace("null", "none").replace('"', ""),
        };
        let row = format!("| `{key}` | `{value}` |");
        assert!(
            page.contains(&row),
            "docs/operators/policy.md lacks a row that begins with `{row}`"
        );
    }
}

#[test]
fn every_reason_to_halt_is_explained() {
    let page = fs::read_to_string(root().join("docs/operators/when-a-run-halts.md")).unwrap();
    let mut codes = BTreeSet::new();
    codes.insert(quorate_model::LEFT_BEHIND.to_owned());
    for text in pages::sources(&["crates/engine/src", "crates/runner/src"]) {
        // A call may be broken over several lines.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for mark in
            ["halt(", "fail( lane,", "fail(lane,", "hold(step,", "code: ", "_BASELINE: &str = "]
        {
            codes.extend(text.split(mark).skip(1).filter_map(|rest| {
                let code = rest.trim_start().strip_prefix('"')?.split('"').next()?;
                Some(code.to_owned())
            }));
        }
    }
    assert!(
        codes.contains("gate-timeout") && codes.contains("noisy-baseline"),
        "the codes are no longer found in the sources: {codes:?}"
    );
    for code in codes {
        assert!(
            page.contains(&format!("\n## {code}\n")),
            "docs/operators/when-a-run-halts.md has no part on `{code}`"
        );
    }
}
