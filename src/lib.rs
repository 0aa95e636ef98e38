//! CommCare → Salesforce, CommCare → `PostGIS` and Salesforce → CommCare: each submission takes effect once, those that
//! touch the same record keep their order within a drain, and none is lost.
//!
//! ```text
//! http → queue → worker → jobs (pure: form → plan) → destinations
//! ```
//!
//! Imports go from left to right, never back (`tests/it/tidy.rs` holds them to it). [`http`] takes submissions and
//! operators' calls, [`queue`] keeps one record for each submission, [`worker`] claims records and settles them,
//! [`jobs`] turns a form into a [`plan::Plan`], [`destinations`] perform it. [`reconcile`] fetches what CommCare could
//! not deliver. [`submission`] has the words that all of them use. [`app`] puts the parts together from a
//! [`config::Config`]; [`server`] and [`cli`] run it.
//!
//! `docs/architecture.md` follows a form through these modules and says where to change what. `docs/service.md` is
//! the contract of the outside, `docs/mappings/` the mappings; comments cite their sections, guarantees and
//! decisions.

pub mod app;
mod bounded;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
mod csv;
mod demo;
pub mod destinations;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod jobs;
pub mod mappings;
pub mod metrics;
mod payload;
pub mod plan;
pub mod queue;
pub mod reconcile;
mod retry;
mod samples;
pub mod server;
pub mod submission;
mod summary;
pub mod telemetry;
mod text;
mod time;
pub mod worker;
