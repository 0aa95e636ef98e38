//! A Salesforce stand-in that enforces what Salesforce enforces.
