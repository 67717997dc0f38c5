//! What was probably meant: the known word nearest to an unknown one.

/// Below this likeness (Jaro-Winkler, 0 to 1) a suggestion confuses more than it helps:
/// `nodse` and `nodes` score 0.97, `host` and `hosts` 0.96, `colour` and `auth` under 0.5.
const LIKENESS_MIN: f64 = 0.78;

/// Finds the candidate that is most like `word`, when one is like it at all.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let word = plain(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &plain(candidate)), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn suggests_what_was_probably_meant() {
        let known = ["name", "nodes", "max_unavailable", "soak_secs"];
        assert_eq!(nearest("nodse", known), Some("nodes"));
        assert_eq!(nearest("max-unavailable", known), Some("max_unavailable"));
        assert_eq!(nearest("soak", known), Some("soak_secs"));
        assert_eq!(nearest("colour", known), None);
    }
}
