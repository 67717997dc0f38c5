//! Which room may use which: the one direction of the house, and purity by an allow-list of dependencies.

use cargo_metadata::{DependencyKind, Metadata};

/// A room, the rooms that it may use, and whether it is pure.
struct Room {
    name: &'static str,
    uses: &'static [&'static str],
    pure: bool,
}

const fn room(name: &'static str, uses: &'static [&'static str], pure: bool) -> Room {
    Room { name, uses, pure }
}

const ROOMS: [Room; 18] = [
    room("model", &[], true),
    room("syntax", &[], true),
    room("packs", &["model", "syntax"], true),
    room("inventory", &["model", "syntax", "packs"], true),
    room("planner", &["model", "packs"], true),
    room("checker", &["model"], true),
    room("engine", &["model"], true),
    room("report", &["model"], true),
    room("store", &["model"], false),
    room("transport", &["model"], false),
    room("hosts", &["model", "transport"], false),
    room("observe", &["model", "packs", "transport"], false),
    room("probe", &["model", "packs", "transport"], false),
    room(
        "runner",
        &[
            "model",
            "syntax",
            "packs",
            "inventory",
            "planner",
            "checker",
            "engine",
            "report",
            "store",
            "transport",
            "hosts",
            "observe",
            "probe",
        ],
        false,
    ),
    room(
        "cli",
        &[
            "model",
            "syntax",
            "packs",
            "inventory",
            "planner",
            "checker",
            "report",
            "store",
            "runner",
        ],
        false,
    ),
    room("sim", &["model", "packs", "planner", "checker", "engine", "report", "store"], false),
    room(
        "e2e",
        &[
            "model",
            "packs",
            "inventory",
            "planner",
            "store",
            "transport",
            "hosts",
            "observe",
            "probe",
            "runner",
            "report",
        ],
        false,
    ),
    room(
        "bench",
        &[
            "model",
            "packs",
            "inventory",
            "planner",
            "checker",
            "store",
            "transport",
            "hosts",
            "observe",
            "probe",
            "runner",
            "report",
            "sim",
            "e2e",
        ],
        false,
    ),
];

/// Crates that a pure room may use: they compute, and touch neither clock, file, network nor randomness by themselves.
const PURE_CRATES: [&str; 22] = [
    "diffy",
    "serde",
    "serde_json",
    "schemars",
    "thiserror",
    "jiff",
    "cel",
    "minijinja",
    "regex",
    "strsim",
    "miette",
    "serde-saphyr",
    "quick-junit",
    "sha2",
    "hex",
    "base64",
    "similar",
    "url",
    "indexmap",
    "ipnet",
    "semver",
    "wildmatch",
];

pub(crate) fn check(metadata: &Metadata) -> Vec<String> {
    let mut faults = Vec::new();
    for package in metadata.workspace_packages() {
        let Some(name) = package.name.strip_prefix("quorate-") else { continue };
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
            faults.push(format!(
                "room `{name}` is not in xtask/src/tidy/edges.rs: say what it may use"
            ));
            continue;
        };
        for dependency in
            package.dependencies.iter().filter(|one| one.kind != DependencyKind::Development)
        {
            match dependency.name.strip_prefix("quorate-") {
                Some(used) if !room.uses.contains(&used) => {
                    faults.push(format!(
                        "room `{name}` may not use room `{used}`: it may use {:?}",
                        room.uses
                    ));
                }
                Some(_) => {}
                None if room.pure
                    && dependency.kind == DependencyKind::Normal
                    && !PURE_CRATES.contains(&dependency.name.as_str()) =>
                {
                    faults.push(format!(
                        "pure room `{name}` may not use crate `{}`",
                        dependency.name
                    ));
                }
                None => {}
            }
        }
    }
    faults
}
