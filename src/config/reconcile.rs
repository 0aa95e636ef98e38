//! How far back CommCare HQ is asked for forms that it could not deliver.

use std::time::Duration;

use super::reader::Reader;

/// The settings of a reconciliation (`docs/service.md`, guarantee 12).
#[derive(Debug, Clone, Copy)]
pub struct ReconcileSettings {
    /// `RECONCILE_DAYS`: how far a reconciliation goes back that is not told so.
    pub days: Duration,
    /// `RECONCILE_ALERT`: more missing forms than this are an alarm.
    pub alert: u64,
}

pub(super) fn load(reader: &mut Reader<'_>) -> ReconcileSettings {
    ReconcileSettings {
        days: reader.days("RECONCILE_DAYS", 7),
        alert: reader.number("RECONCILE_ALERT", 0, 0, u64::MAX),
    }
}
