#![doc = include_str!("ARCHITECTURE.md")]

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
mod demo;
pub mod destinations;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod jobs;
pub mod metrics;
pub mod plan;
pub mod queue;
mod retry;
mod samples;
pub mod server;
pub mod submission;
pub mod telemetry;
mod text;
pub mod worker;
