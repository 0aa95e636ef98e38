//! The Salesforce destination over the wire.
