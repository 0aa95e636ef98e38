//! What a failed record waits for.

use serde::Serialize;
use utoipa::ToSchema;

/// What the next run of a failed record waits for (`docs/service.md`, section 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Awaits {
    /// A record that another form writes: it is woken by that form, and looks by itself as well.
    Reference,
    /// The time of its next retry.
    Retry,
    /// A person: it is not tried again by itself.
    Person,
}

impl Awaits {
    /// All three, from the one that needs nobody to the one that does.
    pub const ALL: [Self; 3] = [Self::Reference, Self::Retry, Self::Person];

    /// The word of the HTTP API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Retry => "retry",
            Self::Person => "person",
        }
    }
}
