//! Rows of the wet-mill tables (`docs/mappings/commcare-to-postgis.md`, sections 2, 3 and 6).
//!
//! Rows name their parents by ids that forms know (case id, submission ids). The destination finds the keys
//! and users that only the database knows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::NaiveDate;
use geo_types::Point;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// The table of mills.
const MILLS: &str = "wetmills";
/// The table of visits.
const VISITS: &str = "form_visits";

/// The rows that one wet-mill form writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// A registration's mill.
    Mill(Box<Mill>),
    /// A visit with everything that was answered there.
    Visit(Box<Visit>),
}

/// A row of `wetmills`. The case id is its key.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(
    missing_docs,
    reason = "the columns are documented in docs/mappings/commcare-to-postgis.md, section 2"
)]
pub struct Mill {
    pub wet_mill_unique_id: String,
    pub commcare_case_id: String,
    pub name: Option<String>,
    pub mill_status: &'static str,
    pub exporting_status: &'static str,
    pub vertical_integration: &'static str,
    pub manager_name: Option<String>,
    pub manager_role: Option<Cow<'static, str>>,
    pub programme: Option<String>,
    pub country: Option<String>,
    pub comments: Option<String>,
    pub ba_signature: Option<String>,
    pub manager_signature: Option<String>,
    pub tor_page_picture: Option<String>,
    pub office_entrance_picture: Option<String>,
    pub registration_date: Option<NaiveDate>,
    pub date_ba_signature: Option<NaiveDate>,
    #[serde(serialize_with = "position")]
    pub office_gps: Option<Point<f64>>,
    /// The Salesforce project role whose staff member is the mill's user.
    pub project_role: Option<String>,
}

/// A row of `form_visits`, with its surveys.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Visit {
    /// `WV-{id}`.
    pub submission_id: String,
    /// The case id of the mill, which must be registered.
    pub wetmill: String,
    /// The form's survey type.
    pub form_name: String,
    /// The day of the visit.
    pub visit_date: NaiveDate,
    /// URL of the photograph.
    pub entrance_photograph: Option<String>,
    /// Where the visit took place.
    #[serde(serialize_with = "position")]
    pub geo_location: Option<Point<f64>>,
    /// The surveys that were filled in.
    #[serde(skip)]
    pub surveys: Vec<Survey>,
}

/// A row of `survey_responses`, with its answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// `SR-{id}-{survey}`.
    pub submission_id: String,
    /// The survey's name.
    pub survey_type: &'static str,
    /// The day on which it was completed.
    pub completed_date: Option<NaiveDate>,
    /// The feedback, as it was written.
    pub general_feedback: Option<String>,
    /// The answers. Their submission ids differ.
    #[serde(skip)]
    pub answers: Vec<Answer>,
}

/// A row of `survey_question_responses`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// `SQR-{id}-{survey}-…`.
    pub submission_id: String,
    /// The group or list that holds the answer.
    pub section_name: Option<String>,
    /// The question.
    pub question_name: String,
    /// The answer.
    #[serde(flatten)]
    pub value: Typed,
}

/// An answer's value and its column.
#[derive(Debug, Clone, PartialEq)]
pub enum Typed {
    /// `value_text`; `None` where the answer is empty.
    Text(Option<String>),
    /// `value_number`.
    Number(f64),
    /// `value_boolean`.
    Boolean(bool),
    /// `value_date`.
    Date(NaiveDate),
}

impl Typed {
    /// The word of the column `field_type`.
    pub fn field_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Number(_) => "number",
            Self::Boolean(_) => "boolean",
            Self::Date(_) => "date",
        }
    }
}

impl Rows {
    /// Table and key of the row that other forms may write or refer to as well.
    pub(super) fn written(&self) -> (&'static str, &str) {
        match self {
            Self::Mill(mill) => (MILLS, &mill.commcare_case_id),
            Self::Visit(visit) => (VISITS, &visit.submission_id),
        }
    }

    /// The Salesforce project role whose staff member is the user of these rows.
    pub(crate) fn project_role(&self) -> Option<&str> {
        match self {
            Self::Mill(mill) => mill.project_role.as_deref(),
            Self::Visit(_) => None,
        }
    }

    /// The case id of the mill to which the rows refer.
    pub(super) fn reference(&self) -> Option<&str> {
        match self {
            Self::Mill(_) => None,
            Self::Visit(visit) => Some(&visit.wetmill),
        }
    }
}

/// By table, as in a preview (`docs/service.md`, section 2). A child names its parent by submission id.
impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let visit = match self {
            Self::Mill(mill) => return serializer.collect_map([(MILLS, [mill])]),
            Self::Visit(visit) => visit,
        };
        let surveys: Vec<_> =
            visit.surveys.iter().map(|survey| child(("form_visit", &visit.submission_id), survey)).collect();
        let mut answers = Vec::new();
        for Survey { submission_id, answers: of_survey, .. } in &visit.surveys {
            let parent = ("survey_response", submission_id.as_str());
            answers.extend(of_survey.iter().map(|answer| child(parent, answer)));
        }
        let mut tables = serializer.serialize_map(Some(3))?;
        tables.serialize_entry(VISITS, &[visit])?;
        tables.serialize_entry("survey_responses", &surveys)?;
        tables.serialize_entry("survey_question_responses", &answers)?;
        tables.end()
    }
}

/// A row and the column that names its parent.
#[derive(Serialize)]
struct Child<'r, R> {
    #[serde(flatten)]
    parent: BTreeMap<&'static str, &'r str>,
    #[serde(flatten)]
    row: &'r R,
}

fn child<'r, R>(parent: (&'static str, &'r str), row: &'r R) -> Child<'r, R> {
    Child { parent: BTreeMap::from([parent]), row }
}

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut columns = serializer.serialize_map(Some(2))?;
        columns.serialize_entry("field_type", self.field_type())?;
        match self {
            Self::Text(text) => columns.serialize_entry("value_text", text)?,
            Self::Number(number) => columns.serialize_entry("value_number", number)?,
            Self::Boolean(boolean) => columns.serialize_entry("value_boolean", boolean)?,
            Self::Date(date) => columns.serialize_entry("value_date", date)?,
        }
        columns.end()
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn position<S: Serializer>(point: &Option<Point<f64>>, serializer: S) -> Result<S::Ok, S::Error> {
    point.map(|point| BTreeMap::from([("lon", point.x()), ("lat", point.y())])).serialize(serializer)
}
