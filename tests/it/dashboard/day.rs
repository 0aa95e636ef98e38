//! An operator's day in Chromium, with real amounts of records: which causes are failing, retry the one that is mended,
//! retry a few, mark an answer; on a phone, too.

use std::time::Instant;

use fantoccini::Locator;
use serde_json::{Value, json};

use super::browser::Stage;
use crate::support::forms::{attendance, attendance_light, mill, registration, unmappable};

/// Two hundred records that complete, and these many failures of nine causes.
const CAUSES: [(&str, usize); 9] = [
    ("unmappable", 21),
    ("early", 17),
    ("refused", 14),
    ("photo", 9),
    ("gps", 7),
    ("session", 6),
    ("survey", 4),
    ("mill", 3),
    ("trainer", 1),
];

/// One form that fails of a cause.
fn failing(cause: &str, id: &str) -> Value {
    let odd = json!({ "odd": ["x"] });
    let broken = |mut form: Value, path: &str| {
        form["form"][path] = odd.clone();
        form
    };
    match cause {
        "unmappable" => unmappable(id),
        "early" => attendance(id, 1),
        "refused" => registration(id),
        "photo" => broken(attendance(id, 1), "photo"),
        "gps" => broken(attendance(id, 1), "gps_coordinates"),
        "session" => broken(attendance_light(id), "selected_training_module"),
        "survey" => broken(attendance(id, 1), "survey_detail"),
        "mill" => broken(mill(id), "wetmill_tns_id"),
        _ => broken(attendance_light(id), "trainer"),
    }
}

async fn busy_day() -> Stage {
    let stage = Stage::empty().await;
    for (cause, count) in CAUSES {
        for n in 0..count {
            let id = format!("{cause}-{n}");
            if cause == "refused" {
                let farmer = format!("farmer-{id}");
                let code = "FIELD_CUSTOM_VALIDATION_EXCEPTION";
                stage.salesforce.refuse_row(&farmer, 400, code, "The age must be a number");
            }
            stage.post(&failing(cause, &id)).await;
        }
    }
    for n in 0..200 {
        stage.post(&registration(&format!("good-{n}"))).await;
    }
    stage.drain().await;
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_causes_are_one_click_away_and_the_mended_one_is_retried_with_two_more() {
    let stage = busy_day().await;
    let browser = &stage.browser;
    stage.open("/dashboard").await;
    let began = Instant::now();
    browser.click(r#"a.button[href="/dashboard/failed/sf"]"#).await;
    browser.client.wait().for_element(Locator::Css(".groups")).await.unwrap();
    let counts = browser
        .evaluate("[...document.querySelectorAll('.groups h3 b')].map(b => Number(b.textContent))")
        .await;
    assert_eq!(counts, json!(CAUSES.map(|(_, count)| count)), "nine causes, the largest first");
    let advice = browser.text(".groups .permanent .advice").await;
    assert!(advice.contains("A retry alone will not help"), "{advice}");

    // The rule is mended: the stand-in refuses each of these rows once.
    let group = "//li[contains(., 'The age must be a number')]//a[contains(@class, 'button')]";
    let button = browser.client.find(Locator::XPath(group)).await.unwrap();
    assert_eq!(button.text().await.unwrap(), "Retry 14 …");
    button.click().await.unwrap();
    let button = browser.client.wait().for_element(Locator::Css("main form button")).await.unwrap();
    assert_eq!(button.text().await.unwrap(), "Retry 14", "the count comes before the deed");
    assert!(browser.text("main").await.contains("The age must be a number"));
    button.click().await.unwrap();
    browser.client.wait().for_element(Locator::Css("[role=status]")).await.unwrap();
    assert_eq!(browser.text("[role=status]").await, "14 completed");
    eprintln!("three clicks, {:.1} s of the browser", began.elapsed().as_secs_f64());
    stage.open("/dashboard/failed/sf").await;
    let left = browser.evaluate("document.querySelectorAll('.groups > li').length").await;
    assert_eq!(left, 8, "the others were left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ticked_records_are_retried_and_no_other() {
    let stage = Stage::empty().await;
    let browser = &stage.browser;
    for n in 0..5 {
        stage.post(&unmappable(&format!("bad-{n}"))).await;
    }
    stage.drain().await;
    stage.open("/dashboard/failed/sf").await;
    for id in ["bad-1", "bad-3"] {
        browser.click(&format!("input[name=id][value={id}]")).await;
    }
    browser.click("form[action='/dashboard/retry-ticked/sf'] button").await;
    browser.client.wait().for_element(Locator::Css("[role=status]")).await.unwrap();
    assert_eq!(browser.text("[role=status]").await, "2 failed");
    for n in 0..5 {
        let retries = stage.record(&format!("bad-{n}")).await["run_retries"].clone();
        assert_eq!(retries, i32::from([1, 3].contains(&n)), "bad-{n}");
    }
    // Without a tick nothing is retried.
    stage.open("/dashboard/failed/sf").await;
    browser.click("form[action='/dashboard/retry-ticked/sf'] button").await;
    browser.client.wait().for_element(Locator::Css("[role=status]")).await.unwrap();
    assert!(browser.text("[role=status]").await.contains("no record was ticked"));
    assert_eq!(stage.record("bad-0").await["run_retries"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_phone_every_value_is_on_the_screen() {
    let stage = busy_day().await;
    let browser = &stage.browser;
    stage
        .sight("form.best_practice_questions.pruning.pruning_methods_used_last_season", "single_stem_2026")
        .await;
    browser.show(390, 844, "light").await;
    stage.open("/dashboard").await;
    let rights =
        "Math.max(...[...document.querySelectorAll('.kinds *')].map(e => e.getBoundingClientRect().right))";
    let right = browser.evaluate(rights).await;
    assert!(right.as_f64().unwrap() <= 390.0, "the failure table is in view, with its last column: {right}");
    let permanent = "[...document.querySelectorAll('.kinds th')].find(th => th.textContent == 'permanent').getBoundingClientRect().width";
    assert!(browser.evaluate(permanent).await.as_f64().unwrap() > 50.0);
    let widths = browser
        .evaluate("[...document.querySelectorAll('#unmapped ~ table code')].map(e => e.getBoundingClientRect().width)")
        .await;
    let widths: Vec<f64> = widths.as_array().unwrap().iter().map(|width| width.as_f64().unwrap()).collect();
    assert_eq!(widths.len(), 2);
    assert!(widths.iter().all(|width| *width >= 0.6 * 390.0), "codes and answers have the width: {widths:?}");
    let label = "(() => { const t = document.querySelector('.chart text'); return t.getBoundingClientRect().height; })()";
    assert!(browser.evaluate(label).await.as_f64().unwrap() >= 11.0, "the numbers of the chart can be read");
    for path in [
        "/dashboard",
        "/dashboard/failed/sf",
        "/dashboard/summary",
        "/dashboard/record/commcare_collection/early-0",
    ] {
        stage.open(path).await;
        let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.evaluate(overflow).await, 0, "{path}");
        let name = path.rsplit('/').next().unwrap();
        browser.picture(&format!("day-{name}-390-light")).await;
    }
    browser.show(1280, 900, "dark").await;
    stage.open("/dashboard/failed/sf").await;
    browser.picture("day-failed-1280-dark").await;
    let heights = browser
        .evaluate("[...document.querySelectorAll('.records time')].map(e => e.getClientRects().length)")
        .await;
    assert!(heights.as_array().unwrap().iter().all(|lines| *lines == 1), "no date is broken: {heights}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_marked_as_known_with_one_click() {
    let stage = Stage::empty().await;
    let browser = &stage.browser;
    stage.sight("form.shade", "9").await;
    stage.open("/dashboard").await;
    browser.click("form[action='/dashboard/unmapped'] button").await;
    browser.client.wait().for_element(Locator::Css("#unmapped ~ details")).await.unwrap();
    assert_eq!(browser.text("#unmapped ~ details summary").await, "1 marked as known");
    assert!(browser.text("[aria-labelledby=unmapped]").await.contains("None that is new"));
    stage.sight("form.shade", "10").await;
    stage.open("/dashboard").await;
    let code = browser.text("#unmapped ~ table td[data-label=Code]").await;
    assert!(code.contains("10"), "a new code has no mark: {code}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_present_is_loaded_again_except_while_somebody_types() {
    let stage = Stage::empty().await;
    let browser = &stage.browser;
    // The page's own interval, to be run at will.
    let source =
        "window.setInterval = (tick, wait) => { window.tick = tick; window.wait = wait; return 0; };";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
    stage.open("/dashboard").await;
    assert_eq!(browser.evaluate("window.wait").await, 60_000);
    browser.evaluate("(window.mark = 1)").await;
    browser.click("#id").await;
    browser.evaluate("window.tick()").await;
    stage.service.get("/health").await;
    assert_eq!(browser.evaluate("window.mark").await, 1, "somebody types");
    browser.evaluate("document.activeElement.blur()").await;
    browser.evaluate("window.tick()").await;
    let deadline = Instant::now() + std::time::Duration::from_secs(30);
    while browser.evaluate("window.mark === undefined").await != json!(true) {
        assert!(Instant::now() < deadline, "it is not loaded again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_marks_its_entry_of_the_menu_and_no_other() {
    let stage = Stage::empty().await;
    let browser = &stage.browser;
    stage.post(&unmappable("bad")).await;
    stage.drain().await;
    for (path, entry) in [
        ("/dashboard", "Dashboard"),
        ("/dashboard/failed/sf", "Failed forms"),
        ("/dashboard/failed/cc", "Failed payloads"),
        ("/dashboard/record/commcare_collection/bad", "Failed forms"),
        ("/dashboard/record/commcare_collection/nobody", "Failed forms"),
        ("/dashboard/retry-failed/sf", "Failed forms"),
        ("/dashboard/search?id=", "Dashboard"),
        ("/dashboard/summary", "Summary"),
        ("/dashboard/mappings", "Mappings"),
        ("/docs", "API"),
    ] {
        stage.open(path).await;
        let marked = browser
            .evaluate("[...document.querySelectorAll('[aria-current]')].map(e => e.textContent)")
            .await;
        assert_eq!(marked, json!([entry]), "{path}");
        assert_eq!(
            browser.evaluate("document.querySelectorAll('nav [aria-current=page]').length").await,
            1,
            "{path}"
        );
    }
}
