//! The senders (`docs/senders`): each page is followed literally against the running service, and each sender's
//! own requests are sent to it.

mod cloud_scheduler;
mod commcare_hq;
mod postgresql_client;
mod salesforce;

use serde_json::Value;

use crate::queue::backend::Backend;
use crate::support::page::{self, filled_in};
use crate::support::process::{Process, queue_variables};

const BASIC: &str = "commcare:pass-word-of-the-test";
const KEY: &str = "api-key-of-the-test";
const OPERATOR: &str = "operator-of-the-test";

/// A running service with the credentials of the senders, and its queue.
struct Service {
    process: Process,
    _backend: Backend,
}

impl Service {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    async fn with(more: &[(&str, &str)]) -> Self {
        let backend = Backend::sqlite();
        let mut variables = queue_variables(&backend);
        let credentials =
            [("WEBHOOK_BASIC_AUTH", BASIC), ("WEBHOOK_API_KEY", KEY), ("OPERATOR_TOKEN", OPERATOR)];
        variables.extend(
            credentials.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Self { process: Process::start(&variables).await, _backend: backend }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.process.url)
    }

    /// Runs a block of a page's commands, with the values that its reader fills in.
    async fn follow(&self, block: &str, values: &[(&str, &str)]) -> Vec<Value> {
        let folder = page::workplace(&["src"], &[]);
        let values = [&[("URL", self.process.url.as_str())], values].concat();
        let ran = page::run(&folder, &filled_in(block, &values), "", &[]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.output);
        serde_json::Deserializer::from_str(&ran.output).into_iter().map(Result::unwrap).collect()
    }

    /// The only record of a submission.
    async fn record(&self, collection: &str, id: &str) -> Value {
        let get = reqwest::Client::new().get(self.url(&format!("/record/{collection}/{id}")));
        let found: Value =
            get.bearer_auth(OPERATOR).send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
        assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
        found[0]["data"].clone()
    }
}

/// The cells of the page's table rows that begin with this cell.
fn row<'p>(page: &'p str, first: &str) -> Vec<&'p str> {
    let cells = |line: &'p str| -> Option<Vec<&'p str>> {
        let inside = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        Some(inside.split('|').map(str::trim).collect())
    };
    let mut rows = page.lines().filter_map(cells).filter(|cells| cells[0] == first);
    let found = rows.next().unwrap_or_else(|| panic!("the page has no row {first}"));
    assert!(rows.next().is_none(), "the page has two rows {first}");
    found
}
