//! A set of releases, written the way the rules of products are written: `3.4.x`, `>=3.5.20 <3.6`, `any`.

use crate::Release;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::{fmt, str::FromStr, sync::Arc};

/// Releases between bounds; alternatives are joined with `||`. Cloning shares it: every hop of every plan carries the
/// ranges of all blocking rules.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Range(Arc<Parsed>);

#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    text: String,
    any_of: Vec<Vec<Bound>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Bound {
    AtLeast(Release),
    Above(Release),
    Below(Release),
    AtMost(Release),
    Exactly(Release),
    Line(Vec<u32>),
}

/// The text is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a range of releases: write `3.4.x`, `3.4.23`, `>=3.5.20 <3.6`, `any`, alternatives with `||`"
)]
pub struct RangeError {
    /// What was given.
    pub text: String,
}

impl Range {
    fn new(text: String, any_of: Vec<Vec<Bound>>) -> Self {
        Self(Arc::new(Parsed { text, any_of }))
    }
    /// Whether the release lies in the range. A pre-release of a bound counts as below it.
    pub fn contains(&self, release: &Release) -> bool {
        self.0.any_of.iter().any(|all| all.iter().all(|bound| bound.holds(release)))
    }
    /// The range as it was written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
    /// The range that holds just this release.
    pub fn exactly(release: &Release) -> Self {
        Self::new(release.to_string(), vec![vec![Bound::Exactly(release.clone())]])
    }
}

impl Bound {
    fn holds(&self, release: &Release) -> bool {
        match self {
            Self::AtLeast(bound) => release >= bound,
            Self::Above(bound) => release > bound,
            Self::Below(bound) => release < bound && !release.is_pre_of(bound),
            Self::AtMost(bound) => release <= bound,
            Self::Exactly(bound) => release == bound,
            Self::Line(numbers) => {
                let own = release.numbers();
                numbers.iter().enumerate().all(|(i, n)| own.get(i).copied().unwrap_or(0) == *n)
            }
        }
    }
    fn parse(word: &str) -> Option<Self> {
        let with = |rest: &str, make: fn(Release) -> Self| rest.parse().ok().map(make);
        if let Some(rest) = word.strip_prefix(">=") {
            return with(rest, Self::AtLeast);
        }
        if let Some(rest) = word.strip_prefix("<=") {
            return with(rest, Self::AtMost);
        }
        if let Some(rest) = word.strip_prefix('>') {
            return with(rest, Self::Above);
        }
        if let Some(rest) = word.strip_prefix('<') {
            return with(rest, Self::Below);
        }
        if let Some(line) = word.strip_suffix(".x") {
            return line
                .parse::<Release>()
                .ok()
                .filter(|r| r.pre().is_none())
                .map(|r| Self::Line(r.numbers().to_vec()));
        }
        with(word.strip_prefix('=').unwrap_or(word), Self::Exactly)
    }
}

impl FromStr for Range {
    type Err = RangeError;
    fn from_str(text: &str) -> Result<Self, RangeError> {
        let bad = || RangeError { text: text.to_owned() };
        if text.trim() == "any" {
            return Ok(Self::new("any".into(), vec![Vec::new()]));
        }
        let any_of = text
            .split("||")
            .map(|part| {
                let bounds: Option<Vec<_>> = part
                    .split([' ', ','])
                    .filter(|word| !word.is_empty())
                    .map(Bound::parse)
                    .collect();
                bounds.filter(|all| !all.is_empty()).ok_or_else(bad)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(text.trim().to_owned(), any_of))
    }
}

impl TryFrom<String> for Range {
    type Error = RangeError;
    fn try_from(text: String) -> Result<Self, RangeError> {
        text.parse()
    }
}
impl Serialize for Range {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(range: &str, release: &str) -> bool {
        range.parse::<Range>().unwrap().contains(&release.parse().unwrap())
    }

    #[test]
    fn contains_what_its_text_says() {
        assert!(holds("3.4.x", "3.4.23") && !holds("3.4.x", "3.5.0"));
        assert!(holds(">=3.5.20 <3.6", "3.5.21") && !holds(">=3.5.20 <3.6", "3.6.0"));
        assert!(!holds("<3.6", "3.6.0-rc.1"), "a pre-release belongs to its own line");
        assert!(holds("3.3.x || >=3.5", "3.3.1") && !holds("3.3.x || >=3.5", "3.4.1"));
        assert!(holds("any", "0.1") && holds("3.4.23", "3.4.23"));
    }

    #[test]
    fn refuses_what_is_no_range() {
        for text in ["", ">=", "3.x.4", "<<3", "||", "3.4 ||"] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }
}
