//! From a posted form to what Salesforce holds: the real service against the stand-in.

mod failures;
mod goldens;
mod requests;
mod stopping;
