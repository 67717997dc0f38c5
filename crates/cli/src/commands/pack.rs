//! `quorate pack`: product knowledge, seen and checked.

use crate::{
    args::{Global, Output, PackCommand},
    print, site,
};
use quorate_packs::{Pack, Packs};
use quorate_runner::{
    problem::{BAD_PACK, Problem},
    setup::pack_files,
};
use serde_json::json;
use std::path::PathBuf;

pub(crate) fn run(global: &Global, command: &PackCommand) -> Result<u8, Problem> {
    match command {
        PackCommand::List => list(global),
        PackCommand::Show { pack } => {
            let packs = site::packs(global)?;
            let pack = site::pack(&packs, pack)?;
            match global.output {
                Output::Json => {
                    print::json(&json!({ "schema": 1, "digest": pack.digest(), "pack": **pack }))
                }
                Output::Text | Output::Csv => print::data(&text(pack)),
            }
            Ok(0)
        }
        PackCommand::Lint { files } => lint(global, files),
        PackCommand::Test { folders } => test(global, folders),
        PackCommand::Schema => {
            print::data(&quorate_packs::schema());
            Ok(0)
        }
    }
}

fn list(global: &Global) -> Result<u8, Problem> {
    let packs = site::packs(global)?;
    if global.output == Output::Json {
        let all: Vec<_> = packs
            .iter()
            .map(|pack| json!({ "pack": pack.pack, "title": pack.title, "about": pack.about, "releases": pack.releases.len(), "rules": pack.rules.len(), "digest": pack.digest() }))
            .collect();
        print::json(&json!({ "schema": 1, "packs": all }));
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = packs
        .iter()
        .map(|pack| {
            vec![
                pack.pack.to_string(),
                pack.releases.len().to_string(),
                pack.rules.len().to_string(),
                pack.about.clone(),
            ]
        })
        .collect();
    print::data(&print::table(&["PACK", "RELEASES", "RULES", "ABOUT"], &rows));
    Ok(0)
}

fn text(pack: &Pack) -> String {
    let mut text = format!("{} - {}\n\n", pack.title, pack.about);
    let releases: Vec<String> =
        pack.releases.iter().map(|known| known.release.to_string()).collect();
    text.push_str(&format!("releases: {}\n\nrules:\n", releases.join(" ")));
    for rule in &pack.rules {
        text.push_str(
            &format!(
                "  {:5} {} -> {}  {:?}: {}\n        because {} ({})\n",
                rule.id,
                rule.from,
                rule.to,
                rule.verdict,
                rule.text,
                rule.because,
                rule.sources.join("; ")
            )
            .replace("Condition:", "asks:")
            .replace("Allow:", "allows:")
            .replace("Block:", "forbids:"),
        );
    }
    text.push_str("\nknown issues:\n");
    for issue in &pack.known_issues {
        text.push_str(&format!(
            "  {}  {}: {}\n        do: {} ({})\n",
            issue.id,
            issue.affects,
            issue.text,
            issue.advice,
            issue.sources.join("; ")
        ));
    }
    text
}

fn lint(global: &Global, files: &[PathBuf]) -> Result<u8, Problem> {
    let mut texts = Vec::new();
    for path in files {
        if path.is_dir() {
            texts.extend(pack_files(path)?);
        } else {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Problem::new(BAD_PACK, format!("cannot read {}", path.display()))
                    .because(error.to_string())
            })?;
            texts.push((path.display().to_string(), text));
        }
    }
    let diagnostics = if files.is_empty() {
        quorate_packs::lint(&quorate_packs::builtin_files())
    } else {
        quorate_packs::lint(&texts)
    };
    let errors = diagnostics.iter().filter(|one| one.is_error()).count();
    if global.output == Output::Json {
        print::json(&json!({ "schema": 1, "diagnostics": diagnostics }));
    } else {
        for (name, source) in &texts {
            let own: Vec<_> = diagnostics.iter().filter(|one| one.file == *name).cloned().collect();
            if !own.is_empty() {
                print::data(&quorate_syntax::render(&own, source));
            }
        }
        print::say(&format!("{} errors, {} warnings", errors, diagnostics.len() - errors));
    }
    Ok(if errors == 0 { 0 } else { 1 })
}

fn test(global: &Global, folders: &[PathBuf]) -> Result<u8, Problem> {
    let mut failed = 0;
    let mut count = 0;
    let packs = site::packs(global)?;
    for folder in folders {
        let pack_name =
            folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let files = pack_files(folder)?;
        let loaded = Packs::load(&files).map_err(|found| {
            Problem::new(BAD_PACK, format!("{} faults in {}", found.len(), folder.display()))
        })?;
        let pack = site::pack(&loaded, &pack_name)?;
        for entry in std::fs::read_dir(folder.join("tests")).into_iter().flatten().flatten() {
            let path = entry.path();
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for case in quorate_planner::golden::run(pack, &text) {
                count += 1;
                if !case.holds() {
                    failed += 1;
                    print::data(&format!(
                        "{}:{}: {}\nexpected:\n{}\nis:\n{}",
                        path.display(),
                        case.line,
                        case.command,
                        case.expected,
                        case.actual
                    ));
                }
            }
        }
    }
    if folders.is_empty() {
        let names: Vec<&str> = packs.names().map(quorate_model::PackName::as_str).collect();
        return Err(Problem::new(BAD_PACK, "no folder of a pack was named").hint(format!(
            "built in are {}; their tests run with the project's own",
            names.join(", ")
        )));
    }
    print::say(&format!("{count} golden tests, {failed} differ"));
    Ok(if failed == 0 { 0 } else { 5 })
}
