//! The countries whose farm visits differ, and tables that hold for some countries only.

use crate::jobs::MapError;
use crate::jobs::fields::Row;
use crate::jobs::form::Form;

/// The country that a visit's type names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Country {
    /// Kenya.
    Ke,
    /// Burundi.
    Bu,
    /// Puerto Rico.
    Pr,
    /// Zambia.
    Zm,
    /// Ethiopia.
    Et,
    /// Any other country, or none.
    Other,
}

use Country::{Bu, Et, Ke, Other, Pr, Zm};

/// The values of `form.survey_type` that stand for a country.
const SURVEY_TYPES: &[(&str, Country)] = &[
    ("Farm Visit Full - KE", Ke),
    ("Farm Visit Full - BU", Bu),
    ("Farm Visit Full - PR", Pr),
    ("Farm Visit Full - ZM", Zm),
    ("Farm Visit Full - ET", Et),
];

/// Every visit.
pub(super) const ALL: &[Country] = &[Ke, Bu, Pr, Zm, Et, Other];
/// Every visit except Ethiopia's.
pub(super) const NOT_ET: &[Country] = &[Ke, Bu, Pr, Zm, Other];
/// Every visit except Burundi's.
pub(super) const NOT_BU: &[Country] = &[Ke, Pr, Zm, Et, Other];

impl Country {
    /// The country of a visit, AA visits included.
    pub(super) fn from_form(form: &Form) -> Result<Self, MapError> {
        let survey_type = form.text("form.survey_type")?;
        let country = SURVEY_TYPES.iter().find(|(known, _)| *known == survey_type);
        Ok(country.map_or(Other, |(_, country)| *country))
    }

    /// The letters with which a visit's type ends; `other` for any other type.
    pub(super) fn letters(self) -> &'static str {
        match self {
            Ke => "KE",
            Bu => "BU",
            Pr => "PR",
            Zm => "ZM",
            Et => "ET",
            Other => "other",
        }
    }
}

/// Rows and the countries to which they apply.
pub(super) type Section = (&'static [Country], &'static [Row]);
