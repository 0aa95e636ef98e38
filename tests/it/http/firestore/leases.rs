//! Leases while Firestore is slow.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use crate::support::app::TestApp;
use crate::support::firestore::Firestore;
use crate::support::forms::attendance_light;
use crate::support::log::Log;
use crate::support::salesforce::{Fault, SalesforceStandIn};

#[tokio::test]
async fn a_record_that_completes_while_its_lease_is_renewed_has_not_lost_it() {
    let log = Log::production(None);
    let (firestore, salesforce) = (Firestore::start(), SalesforceStandIn::start().await);
    let app =
        TestApp::sending_to(&salesforce, &[&firestore.variables()[..], &[("LEASE_SECONDS", "6")]].concat())
            .await;
    app.process(&attendance_light("first")).await;
    app.accept(&attendance_light("done")).await;
    app.accept(&attendance_light("stays")).await;
    let released = Arc::new(Notify::new());
    let held = Fault::Held(Arc::clone(&released), 503, String::new());
    salesforce.fail_request_with("session-stays", held);
    // Leases are renewed after two seconds: Firestore reads a record, and its outcome arrives before the lease does.
    salesforce.delay(Duration::from_millis(2_500));
    let meanwhile = async {
        let prolonged = async |since: &Value| loop {
            let lease = app.record("stays").await["lease_expires_at"].clone();
            if lease.is_string() && lease != *since {
                return lease;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let claimed = prolonged(&Value::Null).await;
        firestore.delay(Duration::from_secs(1));
        let once = prolonged(&claimed).await;
        firestore.delay(Duration::ZERO);
        prolonged(&once).await;
        assert_eq!(app.record("done").await["status"], "completed");
        salesforce.delay(Duration::ZERO);
        released.notify_one();
    };
    let (drained, ()) = tokio::join!(app.post("/process-firestore-to-sf", ""), meanwhile);
    assert_eq!(drained.expect(200)["processed_records"][0], "done");
    assert_eq!(log.events("lease of a record was lost"), Vec::<Value>::new());
}
