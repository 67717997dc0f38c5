//! Checks that every expression, template and regular expression parses, and uses only what exists.

use super::Lint;
use crate::{
    eval::{Env, Uses, known_functions},
    spots::{Kind, Spot, spots},
    template,
};
use quorate_syntax::nearest;
use regex::Regex;

/// First names that templates may begin with: what planner, observer, probe and lab give them.
const TEMPLATE_NAMES: [&str; 29] = [
    "artifact",
    "cluster",
    "data_dir",
    "ejected",
    "endpoint",
    "endpoints",
    "facts",
    "file",
    "from",
    "host",
    "key",
    "member",
    "name",
    "node",
    "nodes",
    "password",
    "peers",
    "port",
    "prefix",
    "release",
    "revision",
    "session",
    "seen_at",
    "source",
    "target",
    "tls",
    "to",
    "user",
    "value",
];

pub(super) fn check(lint: &mut Lint<'_>) {
    let pack = lint.pack;
    let env = Env::new();
    for spot in spots(pack) {
        match spot.kind {
            Kind::Cel(known) => cel(lint, &env, &spot, known),
            Kind::Template => template(lint, &spot),
            Kind::Regex => regex(lint, &spot),
        }
    }
}

fn cel(lint: &mut Lint<'_>, env: &Env, spot: &Spot<'_>, known: &[&str]) {
    let uses = match env.uses(spot.text) {
        Ok(uses) => uses,
        Err(error) => {
            return lint.error(
                &spot.path,
                "pack-cel",
                format!("the expression does not parse: {error}"),
            );
        }
    };
    let Uses { names, functions, facts: _ } = uses;
    for name in names.iter().filter(|name| !known.contains(&name.as_str())) {
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        lint.error_hint(
            &spot.path,
            "pack-cel-name",
            format!("`{name}` is not known to this expression"),
            hint,
        );
    }
    for name in functions.iter().filter(|name| !known_functions().contains(&name.as_str())) {
        let near = nearest(name, known_functions().iter().copied());
        let hint = near.map_or_else(
            || "the functions that packs add are listed in the manual".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        lint.error_hint(
            &spot.path,
            "pack-cel-name",
            format!("there is no function `{name}`"),
            hint,
        );
    }
}

fn template(lint: &mut Lint<'_>, spot: &Spot<'_>) {
    let environment = template::environment();
    let parsed = match environment.template_from_str(spot.text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let message = format!("the template does not parse: {}", template::explain(&error));
            return lint.error(&spot.path, "pack-template", message);
        }
    };
    let mut names: Vec<_> = parsed.undeclared_variables(false).into_iter().collect();
    names.sort();
    for name in
        names.iter().filter(|name| *name != "vars" && !TEMPLATE_NAMES.contains(&name.as_str()))
    {
        let hint = nearest(name, TEMPLATE_NAMES).map(|near| format!("did you mean `{near}`?"));
        let message = format!("nothing gives templates a `{name}`, as far as the linter knows");
        lint.warn(&spot.path, "pack-template-name", message, hint);
    }
    let mut nested: Vec<_> = parsed.undeclared_variables(true).into_iter().collect();
    nested.sort();
    let pack = lint.pack;
    for word in nested.iter().filter_map(|name| name.strip_prefix("vars.")) {
        let word = word.split('.').next().unwrap_or(word);
        if !pack.vars.contains_key(word) {
            let hint = nearest(word, pack.vars.keys().map(String::as_str));
            let hint = hint.map_or_else(
                || "add it under `vars`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            lint.error_hint(
                &spot.path,
                "pack-template-name",
                format!("`vars` has no word `{word}`"),
                hint,
            );
        }
    }
}

fn regex(lint: &mut Lint<'_>, spot: &Spot<'_>) {
    match Regex::new(spot.text) {
        Err(error) => {
            let text = error.to_string();
            let cause =
                text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            lint.error(
                &spot.path,
                "pack-regex",
                format!("the regular expression does not parse: {cause}"),
            );
        }
        Ok(pattern) => {
            let upstream = lint.pack.scheme.upstream.as_deref() == Some(spot.text);
            if upstream && !pattern.capture_names().flatten().any(|name| name == "release") {
                let message = "the regular expression has no group `release`";
                lint.error_hint(
                    &spot.path,
                    "pack-regex",
                    message,
                    "write `(?P<release>...)` around the version",
                );
            }
        }
    }
}
