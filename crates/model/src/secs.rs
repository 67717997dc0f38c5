//! Durations on the wire are plain seconds with a fraction, under a field name that ends in `_secs`.

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::time::Duration;

/// Writes seconds.
pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let secs = value.as_secs_f64();
    if secs.fract() == 0.0 {
        serializer.serialize_u64(value.as_secs())
    } else {
        serializer.serialize_f64(secs)
    }
}

/// Reads seconds; refuses negative, endless and absurd ones.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let secs = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(secs)
        .map_err(|_| D::Error::custom(format!("{secs} is no number of seconds")))
}

/// The same for an optional duration.
pub mod option {
    use super::{Deserialize, Deserializer, Duration, Error, Serializer};

    /// Writes seconds or nothing.
    pub fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads seconds or nothing.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(deserializer)?
            .map(|secs| {
                Duration::try_from_secs_f64(secs)
                    .map_err(|_| D::Error::custom(format!("{secs} is no number of seconds")))
            })
            .transpose()
    }
}
