//! From a posted form to what Salesforce holds: the real service on each of its queues, against the
//! stand-in.

mod failures;
mod goldens;
mod requests;
mod stopping;

use crate::queue::backend::Backend;
use crate::support::app::TestApp;
use crate::support::salesforce::SalesforceStandIn;

async fn start(backend: &Backend) -> (SalesforceStandIn, TestApp) {
    let stand_in = SalesforceStandIn::start().await;
    let app = TestApp::on(backend, &stand_in, &[]).await;
    (stand_in, app)
}
