//! Invented submissions, one of every form type and job type. The demo posts them, and the documentation
//! of the API shows them as examples.

use crate::submission::Origin;

/// One sample of every form type from CommCare: `samples/` beside this file.
const FORMS: &[&str] = &[
    include_str!("samples/farmer_registration.json"),
    include_str!("samples/edit_farmer_details.json"),
    include_str!("samples/field_day_farmer_registration.json"),
    include_str!("samples/attendance_full_current_module.json"),
    include_str!("samples/attendance_light_current_module.json"),
    include_str!("samples/field_day_attendance_full.json"),
    include_str!("samples/training_observation.json"),
    include_str!("samples/demo_plot_observation.json"),
    include_str!("samples/farm_visit_full.json"),
    include_str!("samples/farm_visit_aa.json"),
    include_str!("samples/wet_mill_registration_form.json"),
    include_str!("samples/wet_mill_visit.json"),
];

/// One sample of every job type from Salesforce. Parent cases come first.
const PAYLOADS: &[&str] = &[
    include_str!("samples/project_role.json"),
    include_str!("samples/training_group.json"),
    include_str!("samples/training_session.json"),
    include_str!("samples/household_sampling.json"),
    include_str!("samples/participant.json"),
    include_str!("samples/wetmill.json"),
];

/// The samples of one origin.
pub(crate) fn of(origin: Origin) -> &'static [&'static str] {
    match origin {
        Origin::CommCare => FORMS,
        Origin::Salesforce => PAYLOADS,
    }
}
