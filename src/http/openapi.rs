//! The OpenAPI document, made of the URL table and of the description at each handler.

use axum::Json;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, ResponseBuilder, SecurityRequirement};
use utoipa::{Modify, OpenApi};

use super::error::ErrorBody;
use super::params::{Collection, Dest};
use super::payloads::Samples;
use super::{monitoring_calls, operator_calls, probe_calls, scheduler_calls, webhook_calls};

/// The parts of the document beside the calls.
#[derive(OpenApi)]
#[openapi(
    info(title = "commcare-sf-integration", description = "Joins CommCare, Salesforce and PostGIS. Every path is also answered with a trailing slash."),
    components(schemas(ErrorBody, Collection, Dest)),
    tags(
        (name = "webhooks", description = "What CommCare and Salesforce call"),
        (name = "scheduler", description = "What Cloud Scheduler calls"),
        (name = "operators", description = "What people call who keep the service running"),
        (name = "probes", description = "What asks whether the service lives"),
    ),
)]
struct Frame;

/// The OpenAPI document of every call except the dashboard's pages and `/docs`.
pub fn document() -> utoipa::openapi::OpenApi {
    let calls = [webhook_calls(), scheduler_calls(), operator_calls(), monitoring_calls(), probe_calls()];
    let mut document = Frame::openapi();
    for calls in calls {
        document.merge(calls.into_openapi());
    }
    EveryCall.modify(&mut document);
    Samples.modify(&mut document);
    document
}

/// This document
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "operators",
    responses((status = 200, body = Object, description = "OpenAPI")))]
pub(super) async fn show() -> Json<utoipa::openapi::OpenApi> {
    Json(document())
}

/// The parts that many calls share: credentials, and common answers.
struct EveryCall;

impl Modify for EveryCall {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let http = |scheme, words| {
            SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(words)).build())
        };
        let key = ApiKeyValue::with_description("X-API-Key", "`WEBHOOK_API_KEY`; also as Bearer");
        for (name, scheme) in [
            ("webhook_basic", http(HttpAuthScheme::Basic, "`WEBHOOK_BASIC_AUTH`")),
            ("webhook_key", SecurityScheme::ApiKey(ApiKey::Header(key))),
            ("scheduler_token", http(HttpAuthScheme::Bearer, "Cloud Scheduler's identity token")),
            ("operator_token", http(HttpAuthScheme::Bearer, "`OPERATOR_TOKEN`")),
            (
                "operator_password",
                http(HttpAuthScheme::Basic, "`OPERATOR_TOKEN` as the password, with any user name"),
            ),
        ] {
            components.add_security_scheme(name, scheme);
        }
        for item in document.paths.paths.values_mut() {
            if let (Some(get), Some(post)) = (&item.get, &mut item.post)
                && get.operation_id == post.operation_id
            {
                // One handler serves both methods, and every operation needs an id of its own.
                post.operation_id = get.operation_id.as_ref().map(|id| format!("{id}_by_post"));
            }
            let operations = [&mut item.get, &mut item.post];
            operations.into_iter().flatten().for_each(describe);
        }
    }
}

/// Adds a call's credentials, by its tag, and the answers that it shares with other calls.
fn describe(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next().map(String::as_str);
    let schemes: &[&str] = match tag {
        Some("webhooks") => &["webhook_basic", "webhook_key"],
        Some("scheduler") => &["scheduler_token", "operator_token", "operator_password"],
        Some("operators") => &["operator_token", "operator_password"],
        _ => return,
    };
    let none: [&str; 0] = [];
    operation.security = Some(schemes.iter().map(|scheme| SecurityRequirement::new(*scheme, none)).collect());
    let shared = [
        ("401", "The credential is missing or wrong", Some(("WWW-Authenticate", Type::String))),
        ("403", "No credential is configured for this call, or another site's page makes it", None),
        ("503", "The queue does not answer", Some(("Retry-After", Type::Integer))),
    ];
    for (status, words, header) in shared {
        let schema = RefOr::Ref(Ref::from_schema_name("ErrorBody"));
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let mut response = ResponseBuilder::new().description(words).content("application/json", content);
        if let Some((name, of)) = header {
            response = response.header(name, Header::new(ObjectBuilder::new().schema_type(of)));
        }
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.build().into());
    }
}
