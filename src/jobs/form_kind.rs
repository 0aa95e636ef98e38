//! The kinds of registration, attendance and farm-visit forms: the conditions of
//! `docs/mappings/commcare-to-salesforce.md`, sections 3 and 4.

use std::borrow::Cow;

use crate::jobs::MapError;
use crate::jobs::form::Form;

/// Registers a farmer.
pub(super) const FARMER_REGISTRATION: &str = "Farmer Registration";
/// Changes a registered farmer.
pub(super) const EDIT_FARMER_DETAILS: &str = "Edit Farmer Details";
/// Registers a farmer at a field day.
pub(super) const FIELD_DAY_REGISTRATION: &str = "Field Day Farmer Registration";
/// Attendance with names.
pub(super) const ATTENDANCE_FULL: &str = "Attendance Full - Current Module";
/// Attendance by head count.
pub(super) const ATTENDANCE_LIGHT: &str = "Attendance Light - Current Module";
/// Attendance of several groups at a field day. The words are also a survey detail.
pub(super) const FIELD_DAY_ATTENDANCE: &str = "Field Day Attendance Full";

/// The answers that say what a form is about.
pub(super) struct FormKind<'a> {
    /// `form.@name`.
    name: Cow<'a, str>,
    /// `form.survey_detail`.
    detail: Cow<'a, str>,
    /// `form.survey_type`.
    survey_type: Cow<'a, str>,
    /// Whether `form.new_farmer` says yes.
    new_farmer: bool,
}

impl<'a> FormKind<'a> {
    /// The kind of `form`.
    pub(super) fn from_form(form: &Form<'a>) -> Result<Self, MapError> {
        Ok(Self {
            name: form.text("form.@name")?,
            detail: form.text("form.survey_detail")?,
            survey_type: form.text("form.survey_type")?,
            new_farmer: form.is("form.new_farmer", "1")?,
        })
    }

    /// Whether the form registers a farmer who is new to the programme.
    pub(super) fn is_new(&self) -> bool {
        self.detail == "New Farmer New Household" || self.detail == "New Farmer Existing Household"
    }

    /// Whether that farmer's household is new as well.
    pub(super) fn is_new_household(&self) -> bool {
        self.detail == "New Farmer New Household"
    }

    /// Whether a farmer moves to another training group.
    pub(super) fn is_move(&self) -> bool {
        self.detail == "Existing Farmer Change in FFG"
    }

    /// Whether a farmer's details change.
    pub(super) fn is_update(&self) -> bool {
        self.detail == "Participant Update"
    }

    /// Whether the form is a Puerto Rican farm visit that registers the farmer.
    pub(super) fn is_new_on_visit(&self) -> bool {
        self.survey_type == "Farm Visit Full - PR" && self.new_farmer
    }

    /// Whether the form is a light attendance, under either name.
    pub(super) fn is_light(&self) -> bool {
        self.name == ATTENDANCE_LIGHT || (self.name == "Followup" && self.survey_type == "Attendance Light")
    }

    /// Whether the form is a field day's attendance, by name or by detail.
    pub(super) fn is_field_day(&self) -> bool {
        self.name == FIELD_DAY_ATTENDANCE || self.detail == FIELD_DAY_ATTENDANCE
    }

    /// Whether the form has one of these names.
    pub(super) fn is_named(&self, names: &[&str]) -> bool {
        names.contains(&&*self.name)
    }
}
