//! `GET /docs`: the OpenAPI document for people. The server makes the whole page: it needs no script, and
//! nothing from elsewhere.

mod curl;
mod schema;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, header};
use axum::routing::get;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::dashboard::page::{self, Content};
use super::openapi;
use super::state::HttpState;
use schema::{Schemas, prose, text};

/// The page.
pub(super) fn router() -> Router<HttpState> {
    Router::new().route("/docs", get(show))
}

async fn show(headers: HeaderMap) -> Content {
    let document = json!(openapi::document());
    let reader = Reader { document: &document, schemas: Schemas(&document) };
    page::page("API", &reader.content(&address(&headers)))
}

/// The address at which the page was opened.
fn address(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or("127.0.0.1:8080");
    // Cloud Run ends TLS before the service, and says so.
    let scheme = text(HeaderName::from_static("x-forwarded-proto")).filter(|scheme| *scheme == "https");
    format!("{}://{host}", scheme.unwrap_or("http"))
}

/// A call in the document: method, path and operation.
type Call<'d> = (&'d String, &'d String, &'d Value);

struct Reader<'d> {
    document: &'d Value,
    schemas: Schemas<'d>,
}

impl<'d> Reader<'d> {
    fn content(&self, address: &str) -> Markup {
        let tags = || self.document["tags"].as_array().into_iter().flatten();
        html! {
            p { (prose(&self.document["info"]["description"])) }
            p {
                "The same for programs: " a href="/openapi.json" { "/openapi.json" } ". The examples below take "
                "the service's address and your credential from the shell:"
            }
            pre tabindex="0" { code { (curl::set_up(address)) } }
            h2 { "Calls" }
            @for tag in tags() {
                h3 { (text(&tag["description"])) }
                ul {
                    @for (method, path, call) in self.calls(text(&tag["name"])) {
                        li {
                            a href={ "#" (text(&call["operationId"])) } { code { (title(method, path)) } }
                            ": " (prose(&call["summary"]))
                        }
                    }
                }
            }
            (self.credentials())
            @for tag in tags() {
                h2 { (text(&tag["description"])) }
                @for call in self.calls(text(&tag["name"])) { (self.call(call)) }
            }
        }
    }

    /// The calls of a tag.
    fn calls(&self, tag: &str) -> Vec<Call<'d>> {
        let paths = self.document["paths"].as_object().into_iter().flatten();
        let calls = paths.flat_map(|(path, item)| {
            item.as_object().into_iter().flatten().map(move |(method, call)| (method, path, call))
        });
        calls.filter(|(_, _, call)| call["tags"][0] == tag).collect()
    }

    fn credentials(&self) -> Markup {
        let schemes = self.document["components"]["securitySchemes"].as_object();
        html! {
            h2 #credentials { "Credentials" }
            dl .facts {
                @for (name, scheme) in schemes.into_iter().flatten() {
                    dt { code { (name) } }
                    dd {
                        @match text(&scheme["type"]) {
                            "apiKey" => { "In the header " code { (text(&scheme["name"])) } ": " },
                            _ => { "HTTP " (text(&scheme["scheme"])) ": " },
                        }
                        (prose(&scheme["description"]))
                    }
                }
            }
        }
    }

    fn call(&self, (method, path, call): Call<'_>) -> Markup {
        let parameters = call["parameters"].as_array();
        html! {
            section aria-labelledby=(text(&call["operationId"])) {
                h3 #(text(&call["operationId"])) { code { (title(method, path)) } }
                p { (prose(&call["summary"])) "." }
                @if call["description"].is_string() { p { (prose(&call["description"])) } }
                p { "Who may call: " (callers(call)) }
                @if let Some(parameters) = parameters {
                    h4 { "Parameters" }
                    ul { @for parameter in parameters { li { (self.parameter(parameter)) } } }
                }
                @if let Some(content) = call["requestBody"]["content"].as_object() {
                    h4 { "Body" }
                    @for (kind, content) in content { (self.body(kind, content)) }
                }
                h4 { "Answers" }
                @for (status, answer) in call["responses"].as_object().into_iter().flatten() {
                    (self.answer(status, answer))
                }
                h4 { "Example" }
                pre tabindex="0" { code { (curl::example(self.schemas, method, path, call)) } }
            }
        }
    }

    fn parameter(&self, parameter: &Value) -> Markup {
        let required = if parameter["required"] == true { "required" } else { "optional" };
        html! {
            code { (text(&parameter["name"])) } " (" (text(&parameter["in"])) ", " (required) "): "
            (self.schemas.kind(&parameter["schema"])) ". " (prose(&parameter["description"]))
        }
    }

    fn body(&self, kind: &str, content: &Value) -> Markup {
        html! {
            p { code { (kind) } ": " (self.schemas.kind(&content["schema"])) }
            (self.schemas.members(&content["schema"]))
            @for example in content["examples"].as_object().into_iter().flat_map(|examples| examples.values()) {
                @let example = self.schemas.resolve(example);
                details {
                    summary { "Example: " (text(&example["summary"])) }
                    pre tabindex="0" { code { (format!("{:#}", example["value"])) } }
                }
            }
        }
    }

    fn answer(&self, status: &str, answer: &Value) -> Markup {
        html! {
            details {
                summary { code { (status) } " " (prose(&answer["description"])) }
                @for (name, header) in answer["headers"].as_object().into_iter().flatten() {
                    p { "Header " code { (name) } ": " (self.schemas.kind(&header["schema"])) }
                }
                @for (kind, content) in answer["content"].as_object().into_iter().flatten() {
                    p { code { (kind) } ": " (self.schemas.kind(&content["schema"])) }
                    (self.schemas.members(&content["schema"]))
                }
            }
        }
    }
}

fn title(method: &str, path: &str) -> String {
    format!("{} {path}", method.to_uppercase())
}

/// The credentials that a call takes; any one of them is enough.
fn callers(call: &Value) -> Markup {
    let schemes: Vec<&String> = call["security"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|scheme| scheme.as_object().into_iter().flat_map(|scheme| scheme.keys()))
        .collect();
    html! {
        @if schemes.is_empty() { "everyone" } @else {
            "those with "
            @for (at, scheme) in schemes.iter().enumerate() {
                @if at > 0 { " or " }
                a href="#credentials" { code { (scheme) } }
            }
        }
    }
}
