//! A release: a version as upstream writes it, ordered as people expect (3.4.9 < 3.4.23 < 3.5.0-rc.1 < 3.5.0).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::{cmp::Ordering, fmt, str::FromStr};

/// A version of a product. Missing trailing numbers count as zero, a pre-release comes before its release.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Release {
    /// In place, not on the heap: plans name releases in every step and rules compare them all the time.
    numbers: [u32; PARTS_MAX],
    parts: usize,
    pre: Option<String>,
}

/// The text is no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a release: expected numbers with dots, like 3.4.23 or 3.5.0-rc.1")]
pub struct ReleaseError {
    /// What was given.
    pub text: String,
}

/// More parts than any product uses; a longer text is a mistake, not a release.
const PARTS_MAX: usize = 5;

impl Release {
    /// The numbers before any pre-release mark.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers[..self.parts]
    }
    /// The pre-release mark, `rc.1` in `3.5.0-rc.1`.
    pub fn pre(&self) -> Option<&str> {
        self.pre.as_deref()
    }
    /// The release line: its first `parts` numbers, `3.4` for 3.4.23 with two parts.
    pub fn line(&self, parts: usize) -> String {
        let padded = self.numbers().iter().copied().chain(std::iter::repeat(0)).take(parts);
        padded.map(|n| n.to_string()).collect::<Vec<_>>().join(".")
    }
    /// Whether this is a pre-release of the other: 3.6.0-rc.1 of 3.6.
    pub fn is_pre_of(&self, other: &Self) -> bool {
        self.pre.is_some() && other.pre.is_none() && Self { pre: None, ..self.clone() } == *other
    }
}

impl FromStr for Release {
    type Err = ReleaseError;
    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let bad = || ReleaseError { text: text.to_owned() };
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let (mut numbers, mut parts) = ([0; PARTS_MAX], 0);
        for part in core.split('.') {
            let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            let number = part.parse().ok().filter(|_| plain).ok_or_else(bad)?;
            *numbers.get_mut(parts).ok_or_else(bad)? = number;
            parts += 1;
        }
        let pre_ok = pre.is_none_or(|p| {
            !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        });
        if !pre_ok {
            return Err(bad());
        }
        Ok(Self { numbers, parts, pre: pre.map(str::to_owned) })
    }
}

impl TryFrom<String> for Release {
    type Error = ReleaseError;
    fn try_from(text: String) -> Result<Self, ReleaseError> {
        text.parse()
    }
}

impl Serialize for Release {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (numbers, pre) = (self.numbers(), &self.pre);
        f.debug_struct("Release").field("numbers", &numbers).field("pre", pre).finish()
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, number) in self.numbers().iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "." })?;
            write!(f, "{number}")?;
        }
        match &self.pre {
            Some(pre) => write!(f, "-{pre}"),
            None => Ok(()),
        }
    }
}

fn pre_key(pre: &str) -> Vec<(u8, u64, &str)> {
    pre.split('.')
        .map(|part| part.parse::<u64>().map_or((1, 0, part), |number| (0, number, "")))
        .collect()
}

impl Ord for Release {
    fn cmp(&self, other: &Self) -> Ordering {
        // Parts that were not written are zero, so that 3.5 is 3.5.0.
        self.numbers.cmp(&other.numbers).then_with(|| match (&self.pre, &other.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(a), Some(b)) => pre_key(a).cmp(&pre_key(b)),
        })
    }
}
impl PartialOrd for Release {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Release {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Release {}
impl std::hash::Hash for Release {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.numbers.hash(state);
        self.pre.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    #[test]
    fn orders_as_people_expect() {
        let ordered =
            ["2.3.8", "3.4.9", "3.4.23", "3.5.0-rc.1", "3.5.0-rc.2", "3.5.0-rc.10", "3.5.0"];
        for pair in ordered.windows(2) {
            assert!(release(pair[0]) < release(pair[1]), "{} < {}", pair[0], pair[1]);
        }
        assert_eq!(release("3.5"), release("3.5.0"));
    }

    #[test]
    fn refuses_what_is_no_release() {
        for text in ["", "3.", ".3", "v3.4", "3.4.x", "3.5.0-", "1.2.3.4.5.6", "99999999999"] {
            assert!(text.parse::<Release>().is_err(), "{text}");
        }
    }
}
