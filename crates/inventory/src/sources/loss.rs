//! Hosts that were there and are not listed any more: a few leave, many at once are rather a filter or an account that sees a part.

use crate::hosts::ListedHost;
use quorate_model::Share;
use std::collections::BTreeSet;

/// More hosts are gone than may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// How many there were.
    pub before: usize,
    /// How many are listed now.
    pub now: usize,
    /// Names of those that are gone.
    pub gone: Vec<String>,
}

/// Compares an answer with the one before. No host where some were is always too few.
pub fn lost(before: &[ListedHost], now: &[ListedHost], lose_max: Share) -> Option<Loss> {
    let names: BTreeSet<&str> = now.iter().map(|host| host.name.as_str()).collect();
    let gone: Vec<String> = before
        .iter()
        .filter(|host| !names.contains(host.name.as_str()))
        .map(|host| host.name.clone())
        .collect();
    let allowed = usize::try_from(lose_max.of(before.len())).unwrap_or(usize::MAX);
    let empty = now.is_empty() && !before.is_empty();
    (empty || gone.len() > allowed).then_some(Loss { before: before.len(), now: now.len(), gone })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &str) -> Vec<ListedHost> {
        names.split_whitespace().map(|name| ListedHost::new("list", name)).collect()
    }

    #[test]
    fn some_may_leave_and_many_may_not() {
        let check = |before: &str, now: &str, share: Share, gone: Option<usize>| {
            let found = lost(&hosts(before), &hosts(now), share);
            assert_eq!(found.map(|loss| loss.gone.len()), gone, "{before} / {now}");
        };
        let half = Share::Percent(50);
        check("a b c d", "a b", half, None);
        check("a b c d", "a", half, Some(3));
        check("a b c d", "a b x y z", half, None);
        // As many as before, and all others: another account.
        check("a b", "x y", half, Some(2));
        check("a", "", half, Some(1));
        check("a b", "", Share::Percent(100), Some(2));
        check("", "", half, None);
        check("", "a", half, None);
        check("a b c", "a", Share::Count(1), Some(2));
    }
}
