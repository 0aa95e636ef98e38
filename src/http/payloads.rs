//! The schemas of the payloads that CommCare and Salesforce post. They describe routing and id only: the
//! answers of a form type are the business of its mapping. The samples of the demo are the examples.

use serde_json::Value;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AnyOfBuilder, Object, ObjectBuilder, Schema, Type};
use utoipa::openapi::{OpenApi, Ref, RefOr};
use utoipa::{Modify, PartialSchema, ToSchema};

use crate::jobs::{self, JOBS};
use crate::queue::ID_LIMIT;
use crate::samples;
use crate::submission::Origin;

/// A form as CommCare forwards it. The form type is `form.@name`.
pub(super) struct Form;

/// Records from Salesforce for CommCare. The job type is `jobType`, and the list of records is named after it.
pub(super) struct Payload;

/// The same for a preview, which needs no id.
pub(super) struct PayloadToPreview;

impl ToSchema for Form {
    fn schemas(schemas: &mut Vec<Component>) {
        let answers = |name| ObjectBuilder::new().property("@name", name).required("@name");
        let form = |answers| ObjectBuilder::new().property("form", named(answers)).required("form");
        schemas.extend([
            component("HandledFormAnswers", answers(handled(Origin::CommCare))),
            component("OtherFormAnswers", answers(another(Origin::CommCare))),
            component("HandledForm", with_id(form("HandledFormAnswers"))),
            component("OtherForm", form("OtherFormAnswers").description(Some(SKIPPED))),
        ]);
    }
}

impl PartialSchema for Form {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new().item(named("HandledForm")).item(named("OtherForm")).into()
    }
}

impl ToSchema for Payload {
    fn schemas(schemas: &mut Vec<Component>) {
        let payload = |name| ObjectBuilder::new().property("jobType", name).required("jobType");
        schemas.extend([
            component("HandledPayload", with_id(payload(handled(Origin::Salesforce)))),
            component("OtherPayload", payload(another(Origin::Salesforce)).description(Some(SKIPPED))),
        ]);
    }
}

impl PartialSchema for Payload {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new().item(named("HandledPayload")).item(named("OtherPayload")).into()
    }
}

impl ToSchema for PayloadToPreview {}

impl PartialSchema for PayloadToPreview {
    fn schema() -> RefOr<Schema> {
        let name = AnyOfBuilder::new().item(handled(Origin::Salesforce)).item(another(Origin::Salesforce));
        ObjectBuilder::new().property("jobType", name).required("jobType").into()
    }
}

/// A schema of the document's components. Every object has a name there: generators of clients make their
/// classes of the names, and two objects without one get the same.
type Component = (String, RefOr<Schema>);

fn component(name: &str, object: ObjectBuilder) -> Component {
    (name.to_owned(), object.into())
}

fn named(component: &str) -> Ref {
    Ref::from_schema_name(component)
}

/// The description of a type that isn't handled.
const SKIPPED: &str = "Of any other type: it is skipped before its other members are looked at.";

/// A type that is handled, which needs an id.
fn with_id(object: ObjectBuilder) -> ObjectBuilder {
    let words = "Of a type that is handled; all else that it has is kept with it.";
    object.property("id", id(Some(ID_LIMIT))).required("id").description(Some(words))
}

fn handled(origin: Origin) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names(origin))).build()
}

fn another(origin: Origin) -> Object {
    let handled = names(origin).collect::<Vec<_>>().join("|");
    // Names are words, so that no letter of theirs has a meaning in the pattern.
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(format!(r"^(?!({handled})$)[\s\S]*\S")))
        .build()
}

fn names(origin: Origin) -> impl Iterator<Item = &'static str> {
    JOBS.iter().filter(move |job| job.origin == origin).map(|job| job.name)
}

/// An id: text that is not blank, or a number, which counts as its text.
pub(super) fn id(most: Option<usize>) -> AnyOfBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"\S")).max_length(most);
    let number = ObjectBuilder::new().schema_type(Type::Number);
    AnyOfBuilder::new().item(text).item(number)
}

/// Gives the calls that take payloads the samples of the demo as examples.
pub(super) struct Samples;

impl Modify for Samples {
    fn modify(&self, document: &mut OpenApi) {
        for (origin, paths) in [
            (Origin::CommCare, ["/process-data-cc", "/preview/cc"]),
            (Origin::Salesforce, ["/process-data-sf", "/preview/sf"]),
        ] {
            for sample in samples::of(origin) {
                // Every sample is JSON: a test maps each.
                let Ok(sample) = serde_json::from_str::<Value>(sample) else { continue };
                let Some(name) = jobs::job_name(origin, &sample) else { continue };
                let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
                let key = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-").to_lowercase();
                for path in paths {
                    let operation = document.paths.paths.get_mut(path).and_then(|item| item.post.as_mut());
                    refer(operation, &key);
                }
                let example = ExampleBuilder::new().summary(name).value(Some(sample.clone())).build();
                document.components.get_or_insert_default().examples.insert(key, example.into());
            }
        }
    }
}

/// Names an example of the components at a call's body.
fn refer(operation: Option<&mut Operation>, key: &str) {
    let Some(RefOr::T(body)) = operation.and_then(|operation| operation.request_body.as_mut()) else {
        return;
    };
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        content.examples.insert(key.to_owned(), RefOr::Ref(Ref::new(format!("#/components/examples/{key}"))));
    }
}
