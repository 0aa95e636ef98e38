//! The dashboard in Chromium: on a phone and a desk, light and dark, by keyboard, and with nothing from
//! elsewhere. Pictures of the pages are kept below the target folder.

use commcare_sf_integration::submission::{Origin, Unmapped};
use fantoccini::Locator;
use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::queue::backend::Backend;
use crate::support::browser::Browser;
use crate::support::forms::{attendance, registration, unmappable};
use crate::support::process::{Process, queue_variables};
use crate::support::salesforce::{CLIENT_ID, CLIENT_SECRET, SalesforceStandIn};

/// A service with an operator's credential, and records in its queue for the tests to look at.
pub(super) struct Stage {
    pub(super) service: Process,
    pub(super) salesforce: SalesforceStandIn,
    pub(super) browser: Browser,
    backend: Backend,
}

impl Stage {
    async fn set() -> Self {
        let stage = Self::empty().await;
        let mut early = attendance("early", 1);
        // It says the same of the session as the registration that it waits for: nothing newer is undone.
        early["form"]["trainer"] = registration("early")["form"]["trainer"].clone();
        early["form"]["date"] = registration("early")["form"]["registration_date"].clone();
        for form in [registration("good"), unmappable("bad-1"), unmappable("bad-2"), early] {
            stage.post(&form).await;
        }
        stage.drain().await;
        stage
    }

    /// The same without records.
    pub(super) async fn empty() -> Self {
        let (backend, salesforce) = (Backend::sqlite(), SalesforceStandIn::start().await);
        let login_url = salesforce.settings().login_url.to_string();
        let queue = queue_variables(&backend);
        let mut variables: Vec<(&str, &str)> =
            queue.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        variables.extend([
            ("SALESFORCE_LOGIN_URL", login_url.as_str()),
            ("SF_CLIENT_ID", CLIENT_ID),
            ("SF_CLIENT_SECRET", CLIENT_SECRET),
            ("SF_SANDBOX_ATTENDANCE", "true"),
            ("OPERATOR_TOKEN", "token"),
            ("WEBHOOK_API_KEY", "token"),
        ]);
        let service = Process::start(&variables).await.with_bearer("token");
        let browser = Browser::start().await;
        Self { service, salesforce, browser, backend }
    }

    pub(super) async fn post(&self, form: &Value) {
        self.service.call("/process-data-cc", form).await;
    }

    pub(super) async fn drain(&self) {
        self.service.call("/process-firestore-to-sf?drain=true&limit=500", &Value::Null).await;
    }

    /// The record of a form.
    pub(super) async fn record(&self, id: &str) -> Value {
        self.service.get(&format!("/record/commcare_collection/{id}")).await[0]["data"].clone()
    }

    /// Has a record give an answer that no mapping knows.
    pub(super) async fn sight(&self, path: &str, code: &str) {
        let answer = Unmapped { path: path.to_owned(), code: code.to_owned() };
        let queue = self.backend.open().await;
        queue.add_unmapped(Origin::CommCare, "Farm Visit Full", "good-0", vec![answer]).await.unwrap();
    }

    /// Opens a page as an operator who has typed the password.
    pub(super) async fn open(&self, path: &str) {
        let url = self.service.url.replace("http://", "http://operator:token@");
        self.browser.client.goto(&format!("{url}{path}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_fits_a_phone_and_a_desk_in_light_and_dark() {
    let stage = Stage::set().await;
    let browser = &stage.browser;
    let pages = [
        ("overview", "/dashboard"),
        ("failed", "/dashboard/failed/sf"),
        ("record", "/dashboard/record/commcare_collection/early"),
        ("retry", "/dashboard/retry-failed/sf"),
        ("search", "/dashboard/search?id=nobody"),
        ("summary", "/dashboard/summary"),
        ("api", "/docs"),
    ];
    for (width, height, scheme) in
        [(390, 844, "light"), (390, 844, "dark"), (1280, 900, "light"), (1280, 900, "dark")]
    {
        browser.show(width, height, scheme).await;
        for (name, path) in pages {
            stage.open(path).await;
            let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(browser.evaluate(overflow).await, 0, "{name} at {width} scrolls sideways");
            let paper = browser.evaluate("getComputedStyle(document.body).backgroundColor").await;
            let expected = if scheme == "dark" { "rgb(23, 22, 20)" } else { "rgb(251, 250, 247)" };
            assert_eq!(paper, expected, "{name}: the style sheet is there, in {scheme}");
            let elsewhere = "performance.getEntriesByType('resource').map(entry => entry.name)\
                             .filter(name => new URL(name).host != location.host)";
            assert_eq!(browser.evaluate(elsewhere).await, json!([]), "{name}");
            let unnamed = "[...document.querySelectorAll('input:not([type=hidden]), select')]\
                           .filter(field => field.labels.length == 0).length";
            assert_eq!(browser.evaluate(unnamed).await, 0, "{name}: every field has a label");
            browser.picture(&format!("{name}-{width}-{scheme}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_found_understood_and_retried_by_keyboard_alone() {
    let stage = Stage::set().await;
    let browser = &stage.browser;
    stage.open("/dashboard").await;
    // Skip link, the pages, then the search.
    let tab = char::from(Key::Tab).to_string();
    let enter = char::from(Key::Enter).to_string();
    let focused = async || browser.client.active_element().await.unwrap();
    let body = browser.client.find(Locator::Css("body")).await.unwrap();
    body.send_keys(&tab).await.unwrap();
    let mut steps = 0;
    while focused().await.attr("name").await.unwrap().as_deref() != Some("id") {
        focused().await.send_keys(&tab).await.unwrap();
        steps += 1;
        assert!(steps < 10, "the search is not reached by keyboard");
    }
    let search = focused().await;
    search.send_keys(&format!("early{enter}")).await.unwrap();
    browser.client.wait().for_element(Locator::Css(".explanation.failed")).await.unwrap();
    let explanation = browser.text(".explanation").await;
    assert!(explanation.contains("Salesforce does not know participant farmer-early-0 yet"), "{explanation}");
    assert!(explanation.contains("It will be retried at "), "{explanation}");

    // The missing record arrives; then the button is pressed with the keyboard.
    let mut farmer = registration("early");
    farmer["form"]["subcase_0"]["case"]["@case_id"] = json!("farmer-early-0");
    farmer["id"] = json!("registration-of-early");
    stage.service.call("/process-data-cc", &farmer).await;
    stage.service.call("/process-firestore-to-sf?drain=true", &Value::Null).await;
    let mut steps = 0;
    while focused().await.text().await.unwrap() != "Retry it now" {
        focused().await.send_keys(&tab).await.unwrap();
        steps += 1;
        assert!(steps < 40, "the button is not reached by keyboard");
    }
    focused().await.send_keys(&enter).await.unwrap();
    browser.client.wait().for_element(Locator::Css(".timeline li + li")).await.unwrap();
    assert_eq!(browser.text("h1").await, "Attendance Full - Current Module: completed");
    assert!(browser.text(".timeline").await.contains("by hand · an operator"));
    assert_eq!(stage.salesforce.records("Attendance__c").len(), 2, "that of `good`, and this one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filtered_list_is_retried_after_its_count_was_shown() {
    let stage = Stage::set().await;
    let browser = &stage.browser;
    stage.open("/dashboard").await;
    browser.click(r#"a[href*="error_kind=permanent"]"#).await;
    browser.client.wait().for_element(Locator::Css(".actions a.button")).await.unwrap();
    assert_eq!(browser.text("h1").await, "Failed: CommCare → Salesforce and PostGIS");
    browser.click(".actions a.button").await;
    let button = browser.client.wait().for_element(Locator::Css("main button")).await.unwrap();
    assert_eq!(button.text().await.unwrap(), "Retry 2");
    button.click().await.unwrap();
    browser.client.wait().for_element(Locator::Css("[role=status]")).await.unwrap();
    assert_eq!(browser.text("[role=status]").await, "2 failed");
    // The times tell the browser's own clock as well.
    stage.open("/dashboard/failed/sf").await;
    let title = browser.evaluate("document.querySelector('time').title").await;
    assert!(title.as_str().is_some_and(|title| title.ends_with("by your clock")), "{title}");
}
