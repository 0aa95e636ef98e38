//! Wire-level stand-ins for the services that cannot run here, and the app under test.

pub(crate) mod app;
pub(crate) mod bomb;
pub(crate) mod browser;
pub(crate) mod claims;
pub(crate) mod commcare;
pub(crate) mod disk;
pub(crate) mod firestore;
pub(crate) mod forms;
pub(crate) mod forms_api;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod pooler;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod salesforce;
pub(crate) mod xml;
