//! `/docs`.

use crate::support::app::TestApp;

#[tokio::test]
async fn every_call_is_on_the_page() {
    let app = TestApp::start().await;
    let document = app.get("/openapi.json").await.expect(200);
    let page = app.get("/docs").await;
    assert_eq!(
        (page.status.as_u16(), &page.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let id = call["operationId"].as_str().unwrap();
            let title = format!("{} {path}", method.to_uppercase());
            assert!(page.text.contains(&format!("<h3 id=\"{id}\"><code>{title}</code></h3>")), "{title}");
            assert!(page.text.contains(&format!("href=\"#{id}\"")), "{title}");
        }
    }
}

#[tokio::test]
async fn limits_members_callers_and_an_example_are_shown() {
    let page = TestApp::start().await.get("/docs").await.text;
    let section = |id: &str| {
        let begin = page.find(&format!("<section aria-labelledby=\"{id}\"")).unwrap();
        page[begin..].split_once("</section>").unwrap().0
    };
    let failed = section("failed");
    for part in [
        "<code>limit</code> (query, optional): a whole number from 1 to 1000. Records of one page; 100 by default",
        "“transient” or “dependency” or “permanent”",
        "<code>operator_token</code></a> or <a",
        "<summary><code>422</code> A parameter is bad; the answer names it</summary>",
        "<code>next_cursor</code>: text or null, optional.",
        "curl -sS &quot;$SERVICE_URL/failed/sf&quot; \\\n  -H &quot;Authorization: Bearer $OPERATOR_TOKEN&quot;",
    ] {
        assert!(failed.contains(part), "{part} is not in {failed}");
    }
    let retry = section("batch_retry");
    assert!(retry.contains("-d '{&quot;ids&quot;:[&quot;"), "{retry}");
    assert!(section("accept_commcare").contains("-u &quot;$WEBHOOK_BASIC_AUTH&quot;"));
    assert!(section("health").contains("Who may call: everyone"));
}

#[tokio::test]
async fn nothing_is_loaded_from_elsewhere_or_written_into_the_page() {
    let page = TestApp::start().await.get("/docs").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    for inline in ["<style", "style=", "onclick=", "<script>"] {
        assert!(!page.text.contains(inline), "{inline}");
    }
    for attribute in ["src=\"", "href=\""] {
        for reference in page.text.split(attribute).skip(1) {
            assert!(reference.starts_with('/') || reference.starts_with('#'), "{}", &reference[..40]);
        }
    }
}
