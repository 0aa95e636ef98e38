//! The settings of every part, as types that can't hold a wrong value.

pub mod salesforce;
