//! Every integration test, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod auth;
mod chaos;
mod check;
mod cli;
mod config;
mod cutover;
mod dashboard;
mod end_to_end;
mod firestore;
mod http;
mod logs;
mod mappings;
mod metrics;
mod openapi;
mod operating;
mod outages;
mod postgis;
mod privacy;
mod process;
mod queue;
mod reconcile;
mod salesforce;
mod senders;
mod support;
mod tidy;
mod to_commcare;
mod under_fire;
mod waiting;
