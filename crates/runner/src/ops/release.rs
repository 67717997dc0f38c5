//! Reads a release that a person names: one that the pack knows, or one that is at hand.
//!
//! Why: a slip of the finger (`3.5.99`, `3.5`) must not become a plan. A release that is newer than the pack is no slip when
//! its files are there: then the rules of its line speak for it.

use crate::problem::{BAD_RELEASE, Problem};
use quorate_model::Release;
use quorate_packs::Pack;

/// Reads a release's text alone, where no pack is asked.
pub fn release(text: &str) -> Result<Release, Problem> {
    text.parse().map_err(|error| Problem::new(BAD_RELEASE, format!("{error}")))
}

/// Reads a release of a pack. `at_hand` are releases that count although the pack does not know them.
pub fn release_of(pack: &Pack, text: &str, at_hand: &[Release]) -> Result<Release, Problem> {
    let wanted = release(text)?;
    // 3.5 and 3.5.0 are one number, and not what somebody means who types a line.
    let is_line = wanted.numbers().len() <= pack.scheme.line_parts && wanted.pre().is_none();
    let is_known = |one: &Release| pack.releases.iter().any(|known| known.release == *one);
    if !is_line && (is_known(&wanted) || at_hand.contains(&wanted)) {
        return Ok(wanted);
    }
    let line = pack.line(&wanted);
    let of_line =
        pack.releases.iter().map(|known| &known.release).filter(|known| pack.line(known) == line);
    let newest = of_line.max();
    let text = if is_line && newest.is_some() {
        format!("`{text}` is a line of {}, not one release of it", pack.pack)
    } else {
        format!("pack {} knows no release {wanted}", pack.pack)
    };
    let problem = Problem::new(BAD_RELEASE, text);
    let problem = match newest {
        Some(newest) => problem.hint(format!("the newest of {line} that it knows is {newest}")),
        None => problem
            .hint(format!("see `quorate pack show {}` for the releases that it knows", pack.pack)),
    };
    Err(if is_line {
        problem
    } else {
        problem.hint(format!(
            "a release that is newer than the pack counts once it is at hand: `quorate artifact fetch {} {wanted}`, or --artifacts",
            pack.pack
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_packs::Packs;

    fn said(text: &str, at_hand: &[&str]) -> String {
        let pack = Packs::builtin().get(&"etcd".into()).unwrap();
        let at_hand: Vec<Release> = at_hand.iter().map(|text| text.parse().unwrap()).collect();
        match release_of(pack, text, &at_hand) {
            Ok(release) => release.to_string(),
            Err(problem) => format!("{problem} | {}", problem.hints.join(" | ")),
        }
    }

    #[test]
    fn a_release_is_known_or_at_hand() {
        assert_eq!(said("3.5.16", &[]), "3.5.16");
        assert_eq!(said("3.5.99", &["3.5.99"]), "3.5.99", "newer than the pack, and there");
    }

    #[test]
    fn a_slip_is_told_with_what_was_probably_meant() {
        let unknown = said("3.5.99", &[]);
        assert!(unknown.starts_with("pack etcd knows no release 3.5.99"), "{unknown}");
        assert!(unknown.contains("the newest of 3.5 that it knows is 3.5."), "{unknown}");
        let line = said("3.5", &[]);
        assert!(line.starts_with("`3.5` is a line of etcd"), "{line}");
        assert!(said("9.1.0", &[]).contains("quorate pack show etcd"));
        assert!(said("three", &[]).contains("is not a release"));
    }
}
