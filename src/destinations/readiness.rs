//! What a destination lacks, as far as it can be asked without writing (`docs/service.md`, section 10).

/// Something that is wrong with a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The table, right or setting that is meant.
    pub place: String,
    /// What is wrong, in words that say what to do.
    pub problem: String,
}

impl Fault {
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

/// A destination could not be asked: it gave no answer, or no usable one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAsked(pub String);
