//! Every integration test, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod firestore_stand_in;
mod mappings;
mod process;
mod queue;
mod salesforce;
mod support;
