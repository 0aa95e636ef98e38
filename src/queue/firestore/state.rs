//! Documents of the service itself, in Firestore: a collection of their own. The original service has none.

use std::collections::HashMap;

use gcloud_sdk::google::firestore::v1::write::Operation;
use gcloud_sdk::google::firestore::v1::{Document, Write};

use super::{Firestore, codec, within};
use crate::queue::{QueueError, SWAP_TRIES};

/// The collection. A document's id is its name.
const STATE: &str = "service_state";
/// The field that holds a document, as JSON text: a map could not hold every JSON.
const VALUE: &str = "value_json";

impl Firestore {
    pub(in crate::queue) async fn state(&self, name: &str) -> Result<Option<String>, QueueError> {
        let found = self.db.fluent().select().by_id_in(STATE).one(name);
        let found = within("reading a document of the service", found).await?;
        Ok(found.and_then(|document| codec::as_text(document.fields.get(VALUE)?)))
    }

    pub(in crate::queue) async fn set_state(&self, name: &str, value: &str) -> Result<(), QueueError> {
        let document = Document {
            name: format!("{}/{STATE}/{name}", self.db.get_documents_path()),
            fields: HashMap::from([(VALUE.to_owned(), codec::text(value))]),
            ..Document::default()
        };
        let write = Write {
            operation: Some(Operation::Update(document)),
            update_mask: None,
            update_transforms: Vec::new(),
            current_document: None,
        };
        // Of two writes at the same moment one is refused.
        for _ in 0..SWAP_TRIES {
            if self.commit(vec![write.clone()], "keeping a document of the service").await?.is_some() {
                return Ok(());
            }
        }
        Err(QueueError::Contended { doc_id: name.to_owned() })
    }
}
