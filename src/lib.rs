//! CommCare → Salesforce, CommCare → PostGIS and Salesforce → CommCare, each record once, in
//! order, and none lost.
//!
//! `http → queue → worker → jobs (pure: form → plan) → destinations`

pub mod clock;
pub mod config;
pub mod destinations;
pub mod jobs;
pub mod plan;
pub mod submission;
