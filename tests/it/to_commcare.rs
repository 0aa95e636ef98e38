//! Salesforce → CommCare.

mod vectors;
