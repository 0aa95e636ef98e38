//! Writes one `XForm` instance (`docs/mappings/salesforce-to-commcare.md`, section 3). The same record
//! always gives the same bytes.

use std::borrow::Cow;

use quick_xml::Writer;
use quick_xml::escape::escape;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::name::QName;
use uuid::Uuid;

use super::element::Values;
use super::{Batch, JobType, Layout, PayloadRecord};
use crate::plan::Warning;

const FORMS: &str = "http://openrosa.org/formdesigner/";
const CASE: &str = "http://commcarehq.org/case/transaction/v2";
const META: &str = "http://openrosa.org/jr/xforms";
/// The same in every job type.
const UI_VERSION: &str = "1";

/// Characters that CommCare HQ takes in a case's name, owner and type (`docs/mappings/salesforce-to-commcare.md`,
/// section 7).
const CREATE_LIMIT: usize = 255;

/// The parts of a case block, except the ids.
pub(super) struct Case<'r> {
    pub(super) name: &'r str,
    pub(super) owner_id: Option<&'r str>,
    pub(super) kind: &'r str,
    pub(super) update: &'r Values<'r>,
    pub(super) parent_id: Option<&'r str>,
}

impl Case<'_> {
    /// The parts of `create` for which CommCare HQ would refuse the document.
    pub(super) fn warnings(&self, position: u32) -> impl Iterator<Item = Warning> {
        let owner_id = self.owner_id.unwrap_or_default();
        let parts = [("case_name", self.name), ("owner_id", owner_id), ("case_type", self.kind)];
        parts.into_iter().filter_map(move |(field, text)| {
            let length = Some(text.chars().count()).filter(|length| *length > CREATE_LIMIT)?;
            let warning = format!(
                "record {position}: {field} has {length} characters, and CommCare takes {CREATE_LIMIT}: it would \
                 refuse this record"
            );
            Some(Warning { position, field, warning })
        })
    }
}

/// The document of a record.
pub(super) fn write(
    job: &JobType,
    record: &PayloadRecord<'_>,
    questions: &Values<'_>,
    case: &Case<'_>,
) -> String {
    let mut xml = Xml::new();
    let namespace = format!("{FORMS}{}", job.namespace);
    let root = [
        ("xmlns", namespace.as_str()),
        ("name", job.form_name),
        ("uiVersion", UI_VERSION),
        ("version", job.form_version),
    ];
    xml.open("data", &root);
    xml.leaves(questions);
    if job.layout == Layout::SubcaseAndCase {
        xml.open("subcase_0", &[]);
    }
    case_block(&mut xml, job, record, case);
    if job.layout == Layout::SubcaseAndCase {
        xml.close("subcase_0");
    }
    if job.layout != Layout::Case {
        xml.open("case", &case_attributes(record));
        xml.close("case");
    }
    meta(&mut xml, record);
    xml.close("data");
    xml.into_text()
}

fn case_attributes<'r>(record: &'r PayloadRecord<'_>) -> [(&'static str, &'r str); 4] {
    [
        ("xmlns", CASE),
        ("case_id", &record.case_id),
        ("date_modified", &record.batch.now),
        ("user_id", &record.batch.facts.sender.user_id),
    ]
}

fn case_block(xml: &mut Xml, job: &JobType, record: &PayloadRecord<'_>, case: &Case<'_>) {
    xml.open("case", &case_attributes(record));
    xml.open("create", &[]);
    xml.leaf("case_name", case.name);
    if let Some(owner_id) = case.owner_id {
        xml.leaf("owner_id", owner_id);
    }
    xml.leaf("case_type", case.kind);
    xml.close("create");
    xml.open("update", &[]);
    xml.leaves(case.update);
    xml.close("update");
    if let (Some(parent), Some(id)) = (&job.parent, case.parent_id) {
        xml.open("index", &[]);
        xml.open("parent", &[("case_type", &record.batch.case_type(parent.case_type))]);
        xml.text(id);
        xml.close("parent");
        xml.close("index");
    }
    xml.close("case");
}

fn meta(xml: &mut Xml, record: &PayloadRecord<'_>) {
    let Batch { facts, job_id, now, .. } = record.batch;
    xml.open("meta", &[("xmlns", META)]);
    xml.leaf("deviceID", &facts.sender.device_id);
    xml.leaf("timeStart", now);
    xml.leaf("timeEnd", now);
    xml.leaf("username", &facts.sender.username);
    xml.leaf("userID", &facts.sender.user_id);
    xml.leaf("jobID", job_id);
    xml.leaf("instanceID", &instance_id(job_id, &record.case_id, record.position));
    xml.close("meta");
}

/// The id by which CommCare HQ recognises a document that is sent again (decision X2).
fn instance_id(job_id: &str, case_id: &str, position: u32) -> String {
    let name = format!("{job_id}/{case_id}/{position}");
    Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).hyphenated().to_string()
}

/// A writer into memory, where writing cannot fail.
struct Xml(Writer<Vec<u8>>);

impl Xml {
    fn new() -> Self {
        let mut xml = Self(Writer::new(Vec::with_capacity(4 * 1024)));
        xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        xml
    }

    fn into_text(self) -> String {
        // Only text was written.
        String::from_utf8(self.0.into_inner()).unwrap_or_default()
    }

    fn event(&mut self, event: Event<'_>) {
        let _ = self.0.write_event(event);
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let attributes =
            attributes.iter().map(|(name, value)| Attribute { key: QName(name), value: attribute(value) });
        self.event(Event::Start(BytesStart::new(name).with_attributes(attributes)));
    }

    fn close(&mut self, name: &str) {
        self.event(Event::End(BytesEnd::new(name)));
    }

    fn text(&mut self, text: &str) {
        self.event(Event::Text(BytesText::new(text)));
    }

    fn leaf(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.text(text);
        self.close(name);
    }

    fn leaves(&mut self, values: &Values<'_>) {
        for (name, value) in values {
            self.leaf(name, value);
        }
    }
}

/// The escaped value of an attribute. Tabs and line ends are character references, because a parser would
/// read them as blanks.
fn attribute(value: &str) -> Cow<'_, str> {
    let escaped = escape(value);
    if escaped.contains(['\t', '\n']) {
        return Cow::Owned(escaped.replace('\t', "&#9;").replace('\n', "&#10;"));
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_id_is_that_of_the_contract() {
        assert_eq!(instance_id("j1", "x", 1), "51069ca1-6ef6-5c98-8e2d-b526ac5c85da");
    }
}
