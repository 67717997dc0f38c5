//! The three answers of the world.

/// What became of something that was asked of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "an answer that nobody reads hides a failure"]
pub enum Answer<T> {
    /// It happened.
    Done(T),
    /// It did not happen, and why.
    Failed(String),
    /// Nobody can tell whether it happened, and why not.
    Unknown(String),
}

impl<T> Answer<T> {
    /// The value, when it happened.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Failed(_) | Self::Unknown(_) => None,
        }
    }
    /// Turns the value into another.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Done(value) => Answer::Done(change(value)),
            Self::Failed(because) => Answer::Failed(because),
            Self::Unknown(because) => Answer::Unknown(because),
        }
    }
    /// Goes on only when it happened.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Answer<U>) -> Answer<U> {
        match self {
            Self::Done(value) => next(value),
            Self::Failed(because) => Answer::Failed(because),
            Self::Unknown(because) => Answer::Unknown(because),
        }
    }
    /// As a result, for callers to whom failed and unknown are one.
    pub fn into_result(self) -> Result<T, String> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Failed(because) => Err(because),
            Self::Unknown(because) => Err(format!("{because} (nobody knows whether it happened)")),
        }
    }
}
