//! Names and numbers that identify things, each its own type so that two cannot be swapped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $type(pub String);

        impl $type {
            /// Makes the name from any text; the rooms that read input check its form.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            /// Gives the bare text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
        impl From<String> for $type {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

name!(
    /// A cluster's name, unique in its fleet.
    ClusterName
);
name!(
    /// A node's name, unique in its cluster.
    NodeName
);
name!(
    /// The name of an application that lives by a cluster, unique there.
    DependantName
);
name!(
    /// A group of nodes with one duty in a cluster: `server`, `client`.
    GroupName
);
name!(
    /// A pack's name: `etcd`.
    PackName
);
name!(
    /// A run's id, short enough to type.
    RunId
);
name!(
    /// A step's id, unique in its plan and readable: `h1.demo-2.stop`.
    StepId
);
name!(
    /// Lower-case hexadecimal SHA-256 of a canonical form.
    Digest
);

impl Digest {
    /// The first twelve characters: enough to name a plan in a sentence.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
    /// The beginnings of two digests, long enough to be told apart; the whole of both when they are equal.
    pub fn told_apart<'a>(&'a self, other: &'a Self) -> (&'a str, &'a str) {
        let same = self.0.bytes().zip(other.0.bytes()).take_while(|(a, b)| a == b).count();
        // Twelve as in `short`; past that, a few more than the equal ones, so that the eye finds the place.
        let length = if same < 12 { 12 } else { same + 4 };
        let begin = |digest: &'a Self| digest.0.get(..length).unwrap_or(&digest.0);
        (begin(self), begin(other))
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $type(pub u64);
        impl $type {
            /// The next number.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number!(
    /// The fencing counter of a lease: only the newest may act.
    Generation
);
number!(
    /// A position in a run's journal; the first event is 1, an empty journal is at 0.
    Seq
);
number!(
    /// One try of a step, counted from 1.
    Attempt
);

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn digests_that_begin_alike_are_told_apart() {
        let digest = |end: &str| Digest::new(format!("{}{end}", "906946952684".repeat(5)));
        let (one, other) = (digest("000a"), digest("000b"));
        let (a, b) = one.told_apart(&other);
        assert_ne!(a, b);
        let (far, near) = (Digest::new("a".repeat(64)), Digest::new("b".repeat(64)));
        assert_eq!(far.told_apart(&near).0.len(), 12);
        assert_eq!(one.told_apart(&one).0, one.as_str());
    }
}
