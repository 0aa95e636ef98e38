//! The proxy in front of the emulator, driven by the real client: what a test may rely on.

mod billing;
mod indexes;
mod troubles;

use firestore::{FirestoreDb, FirestoreDbOptions};
use gcloud_sdk::google_cloud_auth::credentials::anonymous;

use crate::support::firestore::Firestore;

/// A client of the proxy that asks once, and no longer than `timeout`.
async fn client(firestore: &Firestore) -> FirestoreDb {
    let url = format!("http://{}", firestore.host);
    let options = FirestoreDbOptions::new(firestore.project.clone()).with_firebase_api_url(url);
    let credentials = anonymous::Builder::new().build();
    FirestoreDb::with_options_auth(options.with_max_retries(0), credentials).await.unwrap()
}
