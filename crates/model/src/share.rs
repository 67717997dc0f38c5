//! A part of a group: so many nodes, or so many of a hundred. Written `5` or `10%`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};

/// So many nodes of a group, or so many of a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// That many.
    Count(u32),
    /// That many of a hundred.
    Percent(u32),
}

/// The text is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no part of a group: write a number of nodes (`5`), or `0%` to `100%`")]
pub struct ShareError {
    /// What was given.
    pub text: String,
}

impl Share {
    /// How many of so many nodes that is, rounded down.
    pub fn of(self, nodes: usize) -> u32 {
        let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
        match self {
            Self::Count(count) => count.min(nodes),
            Self::Percent(percent) => {
                let part = u64::from(nodes) * u64::from(percent) / 100;
                u32::try_from(part).unwrap_or(u32::MAX).min(nodes)
            }
        }
    }
}

impl FromStr for Share {
    type Err = ShareError;
    fn from_str(text: &str) -> Result<Self, ShareError> {
        let wrong = || ShareError { text: text.to_owned() };
        match text.trim().strip_suffix('%') {
            Some(percent) => {
                let percent = percent.trim().parse().map_err(|_| wrong())?;
                if percent <= 100 { Ok(Self::Percent(percent)) } else { Err(wrong()) }
            }
            None => text.trim().parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl de::Visitor<'_> for Reader {
            type Value = Share;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of nodes, or a text such as `10%`")
            }
            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Share, E> {
                u32::try_from(count)
                    .map(Share::Count)
                    .map_err(|_| E::custom(ShareError { text: count.to_string() }))
            }
            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Share, E> {
                u32::try_from(count)
                    .map(Share::Count)
                    .map_err(|_| E::custom(ShareError { text: count.to_string() }))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Share, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "So many nodes of a group (`5`), or so many of a hundred (`10%`).",
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": "^ *[0-9]+ *%?$"},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn shares_are_read_as_people_write_them() {
        assert_eq!("10%".parse(), Ok(Share::Percent(10)));
        assert_eq!(" 5 ".parse(), Ok(Share::Count(5)));
        for wrong in ["", "%", "-1", "101%", "ten", "1.5%"] {
            let error = wrong.parse::<Share>().unwrap_err();
            assert!(error.to_string().contains("`10%`") || error.to_string().contains("`0%`"));
        }
    }

    #[test]
    fn a_share_of_a_group_is_rounded_down() {
        assert_eq!(Share::Percent(10).of(300), 30);
        assert_eq!(Share::Percent(10).of(5), 0);
        assert_eq!(Share::Percent(1).of(100), 1);
        assert_eq!(Share::Count(7).of(3), 3);
    }

    #[test]
    fn shares_go_through_json_unchanged() {
        for share in [Share::Count(3), Share::Percent(25)] {
            let text = serde_json::to_string(&share).unwrap();
            assert_eq!(serde_json::from_str::<Share>(&text).unwrap(), share, "{text}");
        }
        assert!(serde_json::from_str::<Share>("-2").is_err());
    }
}
